"""Messages from peers before a role takes them, and the bounds on them.

A peer has an allowance of bytes for an attempt. What it says of an attempt that this player has not been told of yet is
stashed; what is of the current attempt waits in the mailbox of the role it is for.
"""
