"""Record of a run: its result, its checks, and what it needs to go on after an interruption.

A `run_record` is made before a run begins and filled while it goes on; until the end its result says `interrupted`,
so whatever happens, what is on the disk is true. The `recorder` adds each round as it ends. It has the model owner's
outcome and asks a `RunProbe` for what other players did: their own process answers, or a parent that asks its
children. `usage` adds up what players sent, received and worked, by role.

The `oracle` exists only in experiments. It encodes again the input that each survivor kept, adds them up and compares
with what was revealed: that is `exact` in the result. Players never see what it sees, and on many hosts there is
none.

The `checkpointer` writes a checkpoint before each attempt, so that no label is ever used twice, and after each round.
A failed round is not finished: a resumed run plays it again, with later attempts. Trace and means of finished rounds
are kept beside it, on every engine but `sim`, where the same scenario gives the same run again.
"""
