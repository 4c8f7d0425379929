"""Bugs that several tests plant."""

from __future__ import annotations

from asyncagg.protocols import messages as m
from asyncagg.protocols.effects import Role, Send
from asyncagg.protocols.names import Player, index_of
from asyncagg.protocols.steps.lead import _Uploads


def torn_held(uploads: _Uploads, node: Player, owner: Player) -> Role[None]:
    """In place of `_Uploads.held`: the lead counts an owner as soon as one compute node holds its slice."""
    if owner in uploads.pending:
        uploads.close(uploads.batch_of(owner))
        uploads.lead.survivors[owner] = None
        for each in uploads.nodes:
            yield Send(each, m.Commit(index_of(owner)))
