"""Errors of cryptography that come of what a peer sent. No text here ever carries a secret."""


class CryptoError(ValueError):
    """Something from outside that a primitive refuses: a key, a box, a share."""
