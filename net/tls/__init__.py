"""TLS 1.3 with a certificate on both sides, as a layer of our own between a socket and the protocol above.

`context` makes the two `ssl` contexts of a process from PEM: which authority it believes and which certificate it
shows. A certificate names players, not hosts. No name is sent in clear, so neither side asks for one (there is no
SNI), and both check the names of the other's certificate once the handshake stands.

`transport` is the layer. To the socket below it is a protocol, to the `SecuredProtocol` above it is a transport, and
in between an `ssl.MemoryBIO` turns one into the other, so that it works alike on every event loop. The loops' own TLS
closes the socket without a word when a handshake fails; this one sends the alert first, so that the other side learns
what was wrong, and discards a bounded number of bytes until that side closes too. It is bounded in memory as well:
all connections of a thread receive into one buffer.

`errors` says in words what an error of OpenSSL means, and whose certificate it is about. In TLS 1.3 a dialling side
believes that the handshake is over before the listener has looked at its certificate, so the listener's verdict comes
in place of the first answer; both ends put it into the same words.
"""
