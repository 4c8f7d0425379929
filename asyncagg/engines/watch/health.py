"""Health of a process, as the JSON of `GET /health`: for whoever restarts it or waits for it."""

from __future__ import annotations

import json

from asyncagg.engines.watch.http_pages import Page
from asyncagg.engines.watch.interface import Status, View
from asyncagg.protocols.names import PHASES, Label

_HTTP: dict[Status, int] = {"starting": 503, "ok": 200, "finished": 200, "stopped": 503, "failed": 503}


def health(view: View) -> Page:
    """200 while it takes part in rounds and once the run is done; 503 until everyone is there and after a failure.

    `round`, `attempt` and `phase` are null until something was begun; `peers` counts the players that are connected.
    """
    players = view.players()
    newest = max((player.label for player in players), default=Label(0, 0))
    talks = [each for player in players if player.label == newest for each in player.drivers.values()]
    leading = [each for each in talks if each.role == "lead"]  # the one that knows where everybody is
    phases = [PHASES.index(each.phase) for each in leading or talks]
    said = {
        "status": view.status,
        "player": view.name,
        "role": view.role,
        "round": newest.round if newest.attempt else None,
        "attempt": newest.attempt or None,
        "phase": PHASES[max(phases)] if phases else None,
        "peers": len(view.peers()),
    }
    return Page("application/json", json.dumps(said).encode() + b"\n", _HTTP[view.status])
