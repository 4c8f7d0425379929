"""Engine `processes`: a run whose players live in several processes of this machine.

The `parent` makes a certificate authority and identities that exist in memory only, and starts a child for the model
owner, for each compute node and for each fleet of data owners. A `ChildHandle` (`child_handle`) is one such place: it
starts the process, talks to it, and starts another when it dies. The parent plays nobody itself.

Parent and child talk over a socket pair (`control`): orders, questions and answers, as plain values (`codec`). A
child (`child`, `child_run`) is set up, says when it is ready, listens, and is told where the others do. From then on
players talk to each other over TLS, and the parent hears of phases, ends of rounds and trace records. After a round
it asks every child what its players did and put in (`children_probe`); a recorder in the parent makes the result of
it.

Two things hold whatever happens. The parent sees a child die at once, since the socket pair closes with it: a node or
a fleet is started again and takes part in the next attempt; without the model owner the run has failed, and can be
resumed. And no child outlives its parent: a thread of the child waits on a pipe that the system closes with the
parent (`die_with_parent`).
"""
