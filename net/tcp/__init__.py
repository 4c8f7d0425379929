"""Channels over TCP: many players share a connection, and a stranger costs next to nothing.

`network` is the whole as its users see it. Its `listener` accepts connections and its `dialler` makes them, again and
again with growing pauses until a deadline. An accepted connection is `pending`, a bare socket, until it has sent
bytes that an honest peer would send; those who have waited longest make room when too many wait. Then it becomes an
`inbound` session, the other end of an `outbound` one. Both are kinds of `session`, which routes frames between the
channels of a connection, and that is a `connection`: bytes and time, with no idea of players.

The dialling side speaks first. Its `hello` says which format it speaks, in which run and for which players; the
listener answers with a welcome, or with a refusal that says why and is final. After that each player opens its own
channels over the connection. Every pair of players has one channel; a second is refused unless the first has gone
silent.

Received bytes go through the `decoder`, which checks a header before a large payload has any memory; that memory
comes from `buffers` and is used again. Frames leave through the `send_queue`, in order and by reference. A connection
that says nothing is asked for a sign of life, one that takes nothing is cut, and one that ends does so within a
bound.
"""
