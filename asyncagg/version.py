"""The version of this software, and the number of the format in which it speaks and writes."""

__version__ = "0.1.0"

FORMAT = 5
"""Of what players say to each other and of what a run leaves: hello, round id, checkpoint, account, trace and
result.

Whoever changes the encoder, the masks, a message or one of these files raises it by one, in the change that does so:
then peers of different formats refuse each other by name instead of making wrong means together, and no run goes on in,
or is compared with, another format than its own.
"""
