"""Keys, masks, shares, boxes, signatures and digests: the primitives that protocols are written in.

`randomness` is where secrets come from: the operating system, or, in the simulator only, a seed that every other
engine refuses. `agreement` makes X25519 secrets between two owners, `kdf` derives keys from them and encodes what is
hashed or signed so that no two lists of fields give the same bytes. `keystream` expands a key into mask elements and
adds them to a vector block by block.

`shamir` shares 32-byte secrets over the prime field of `field`, many at a time; `reed_solomon` rebuilds a secret
around wrong shares with the polynomials of `polynomials`, and names the wrong ones. `sealing` seals a small message
to one reader, `signing` signs with a pinned identity, `checksum` finds damage, `digest` compares parameters, and
`hashtree` commits to a list of which a reader is shown only some entries. `certificates` is X.509 for TLS between
players.

The arithmetic is numpy, everything with a standard is the `cryptography` package; each module names its RFC or paper
and is tested on published vectors, negative ones too. Nothing does I/O or looks at a clock, and no error text, repr
or exception holds a secret. `errors` are those that a peer's bytes cause.
"""
