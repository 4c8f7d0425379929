"""Roles of a protocol over a transport of your own, without asyncio: here queues between threads.

Three data owners, one compute node (the lead plays beside it) and the model owner, one round of `pairwise`.
"""

import queue
import threading

import numpy as np

from asyncagg.engines.experiment import prepare
from asyncagg.protocols import public as p
from asyncagg.protocols.registry import find
from asyncagg.scenario import parse


def drive(role, send, receive):
    """Run a role to its end over any transport; what it returns."""
    answer = None
    while True:
        try:
            effect = role.send(answer)
        except StopIteration as end:
            return end.value
        match effect:
            case p.Send(to, message):
                answer = send(to, message)
            case p.Receive(kinds):
                answer = p.Got(*receive(kinds))
            case p.Compute(_, work, _):
                answer = work()
            case _:  # Enter, Persist, Release: nothing to do here; Refuse, Drop, Abort: nobody misbehaves here
                answer = None


SCENARIO = parse(
    {
        "name": "by-hand",
        "aggregation": {"protocol": "pairwise", "compute_nodes": 1, "weighting": "uniform"},
        "encoding": {"rounding": "nearest"},
        "workload": {"kind": "synthetic", "dimension": 3},
    }
)
EXPERIMENT, PROTOCOL = prepare(SCENARIO), find("pairwise")
TERMS, LABEL = EXPERIMENT.terms(run=bytes(16)), p.Label(round=0, attempt=1)
VECTORS = {p.owner_name(index): np.array([1.0, 2.0, index]) for index in range(3)}


def owner(context):
    encoded = EXPERIMENT.encoder.encode(VECTORS[context.me], weight=1)
    return PROTOCOL.owner(context, TERMS.plan.extend(encoded.words, 1, TERMS.ring))


ROLES = {(name, "owner"): owner for name in VECTORS}
ROLES |= {
    (p.LEAD, "lead"): PROTOCOL.lead,
    (p.LEAD, "node"): PROTOCOL.node,
    (p.MODEL_OWNER, "receiver"): PROTOCOL.receiver,
}
INBOXES = {who: queue.Queue() for who in ROLES}
RESULTS = {}


def play(who):
    """One role of one player, in a thread of its own."""
    me, kept = who[0], []

    def send(to, message):
        kind, body, payload = p.encode(LABEL, message)  # the bytes that your transport carries
        INBOXES[to, message.to].put((me, kind, body, payload))

    def receive(kinds):
        while not any(isinstance(message, kinds) for _, message in kept):
            sender, *received = INBOXES[who].get(timeout=10)
            kept.append((sender, p.decode(*received)[1]))
        return kept.pop(next(at for at, (_, message) in enumerate(kept) if isinstance(message, kinds)))

    context = p.Context(TERMS, me, LABEL, invited=b"\x07", digest=bytes(32), randomness=p.SystemRandomness())
    RESULTS[who] = drive(ROLES[who](context), send, receive)


threads = [threading.Thread(target=play, args=(who,)) for who in ROLES]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()

revealed = RESULTS[p.MODEL_OWNER, "receiver"]
print(
    "mean", EXPERIMENT.encoder.decode(revealed.words, revealed.weight).round(3), "of", len(revealed.survivors), "owners"
)
