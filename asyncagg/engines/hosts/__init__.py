"""Engine `hosts`: a run whose players live on many machines, each process started by `asyncagg serve`.

Nobody is the parent. Every process has the same config.json, which says where each player listens, and the same
scenario; a `ProcessSpec` (`process_spec`) is what one process serves and with what. The processes may begin in any
order. All but the model owner's first ask it for the nonce of the run.

Every hello carries facts (`compatibility`): version, digest of the scenario and of each of its tables, dimension of
the data. So a process that would play something else is refused by name, and both sides read which table differs.

The model owner's process (`host`) waits for the others before the first round. The `preflight` says, in a line for
each, who is not there and why; without a compute node the run ends, without some data owners it goes on if enough are
left. `join_tracker` watches who has joined and who is still missing. All other processes run `follower`: they wait
for the model owner, listen and dial, serve attempts, and tell the model owner why if they have to give up. The model
owner's process keeps the run directory and can be started again with `--resume`; a data owner's keeps privacy
ledgers, one folder a run.
"""
