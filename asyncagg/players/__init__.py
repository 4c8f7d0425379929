"""The players of a run: the asyncio side of a model owner, of compute nodes and of data owners.

A player has channels to others and, during an attempt at a round, one or two protocol roles. `base` is what all three
have in common. It turns a frame's bytes into a typed message, and brings the message to the role it is for. A message
of a later attempt waits, within bounds, until this player has been told of that attempt; one of an earlier attempt is
dropped; bytes that are no message end their sender's part in the attempt and nobody else's.

A role is a generator (see `asyncagg.protocols.effects`). The `driver` runs it: it carries out each effect, hands in
what has arrived in order, and ends the role when somebody who may has ended the attempt. The lead's phases have
deadlines; all other roles wait until the attempt ends or a new one begins, so that a round never hangs.

`model_owner` publishes parameters (`published`) under a label (round, attempt), and retries, skips or stops as the
policy says; `model_steps` guards the user's model. Compute nodes and data owners are followers (`follower`): they
dial, and serve attempts until the run is over. A `data_owner` computes and encodes a gradient, and keeps its privacy
ledger in a `ledger_store`; a `compute_node` adds vectors, and node 0 is the lead as well.

Engines give a player everything it needs (`PlayerEnvironment`): network, executor, trace, deadlines. `usage` counts
what it said and worked, `outcome` is what the model owner knows of a round, `start` is where a run begins or goes on.
"""
