"""Roles without an engine: whoever has them says what happens to them, and sees all that they do.

`setting` makes one attempt of a scenario, with the real cryptography and secrets from its seed; `driver` feeds one
role. The explorer plays every order of events with them, `asyncagg explain` a worked round.
"""
