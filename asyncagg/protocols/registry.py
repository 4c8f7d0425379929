"""The protocols by name. A protocol's module is imported when the protocol is asked for, and no other's.

A name is looked for among those that come along, then among those that `register_protocol` was given in this process,
then among the entry points `asyncagg.protocols` of installed packages:

    [project.entry-points."asyncagg.protocols"]
    ring = "my_package.ring:RING"
"""

from __future__ import annotations

import re
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Final

from asyncagg.protocols.names import PHASES

if TYPE_CHECKING:
    from asyncagg.protocols.interface import Protocol

GROUP: Final = "asyncagg.protocols"
BUILT_IN: Final = {
    "plain": "asyncagg.protocols.plain:PLAIN",
    "pairwise": "asyncagg.protocols.pairwise:PAIRWISE",
    "additive": "asyncagg.protocols.additive:ADDITIVE",
    "secagg": "asyncagg.protocols.secagg.roles:SECAGG",
    "secagg+": "asyncagg.protocols.secagg.roles:SECAGG_PLUS",
}
"""Name → module and attribute."""
_NAME: Final = re.compile(r"[a-z][a-z0-9+-]{0,31}")
_registered: dict[str, Protocol] = {}


class ProtocolError(ValueError):
    """There is no such protocol, or what stands under its name is none; the text says what would be right."""


def names() -> tuple[str, ...]:
    """Every name that can be found here, those that come along first. Imports none of them."""
    return tuple(dict.fromkeys((*BUILT_IN, *_registered, *(each.name for each in _installed()))))


def find(name: str) -> Protocol:
    """The protocol of this name. ProtocolError where there is none, or what there is cannot be used."""
    if name in BUILT_IN:
        module, _, attribute = BUILT_IN[name].partition(":")
        protocol: Protocol = getattr(import_module(module), attribute)
        return protocol
    if name in _registered:
        return _registered[name]
    return _load(name)


def register_protocol(protocol: Protocol) -> Protocol:
    """Make a protocol known in this process, under its name; returns it.

    Runs of several processes do not see it: they take entry points. ProtocolError for a name that is taken, or for
    something that is not a whole protocol.
    """
    check(protocol)
    if protocol.name in BUILT_IN or _registered.get(protocol.name, protocol) is not protocol:
        raise ProtocolError(f"there is a protocol {protocol.name!r} already (another name)")
    _registered[protocol.name] = protocol
    return protocol


def only_in_this_process(name: str) -> bool:
    """True if a protocol is known by `register_protocol` alone, so that other processes cannot find it."""
    return name in _registered and name not in {each.name for each in _installed()}


def check(protocol: object) -> None:
    """ProtocolError unless this is a whole protocol: roles, phases, a forecast."""
    from asyncagg.protocols.forecaster import Forecaster
    from asyncagg.protocols.interface import Protocol
    from asyncagg.protocols.messages import KINDS

    if not isinstance(protocol, Protocol):
        raise ProtocolError(f"{protocol!r:.80} is no asyncagg.protocols.public.Protocol")
    if not _NAME.fullmatch(protocol.name):
        raise ProtocolError(f"{protocol.name!r:.80} is no name (small letters, digits, + and -, up to 32)")
    if not isinstance(protocol.forecaster, Forecaster):
        raise ProtocolError(
            f"the protocol {protocol.name} has no forecast (forecaster: a Forecaster, which says what an attempt costs "
            "and who can open an input)"
        )
    strange = [kind for kind in protocol.kinds if KINDS.get(getattr(kind, "kind", "")) is not kind]
    if strange:
        raise ProtocolError(f"{strange[0]!r:.80}, a kind of {protocol.name}, is no message (a class under `says`)")
    ordered = tuple(phase for phase in PHASES if phase in protocol.phases)
    if protocol.phases != ordered or not {"publish", "upload", "reveal"} <= set(ordered):
        raise ProtocolError(
            f"the phases of {protocol.name} are {', '.join(protocol.phases)} (publish, upload and reveal, and others "
            f"of {', '.join(PHASES)}, in this order)"
        )


@cache
def _installed() -> tuple[EntryPoint, ...]:
    return tuple(sorted(entry_points(group=GROUP), key=lambda each: each.name))


@cache
def _load(name: str) -> Protocol:
    """A protocol that another package brings."""
    point = next((each for each in _installed() if each.name == name), None)
    if point is None:
        raise ProtocolError(f"there is no protocol {name!r} ({', '.join(names())})")
    try:
        protocol: Protocol = point.load()
    except Exception as error:  # the package's own code: whatever it raises is told by name
        raise ProtocolError(f"the protocol {name} ({point.value}) cannot be imported: {error!r}") from error
    check(protocol)
    if protocol.name != name:
        raise ProtocolError(f"the entry point {name} ({point.value}) is a protocol of the name {protocol.name}")
    return protocol
