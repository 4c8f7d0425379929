"""Checks across keys: mistakes that only several keys of a scenario together make."""

from collections.abc import Iterator

from asyncagg.net.links.presets import PRESETS
from asyncagg.protocols.registry import BUILT_IN, ProtocolError, find
from asyncagg.scenario.errors import KeyPath, Mistake, one_of, quoted, show, suggestion
from asyncagg.scenario.schema.availability import AvailabilityFault
from asyncagg.scenario.schema.faults import (
    ALL_ROUNDS,
    ByCount,
    Choice,
    DropFault,
    Event,
    Fault,
    RestartFault,
    SlowFault,
)
from asyncagg.scenario.schema.scenario import Scenario
from asyncagg.scenario.schema.workload import Digits, Python, Synthetic, Vectors

WORD_BITS = 64
"""Widest ring there is."""

_SMALLEST_CLIP = 1e-30
_LISTED = 3


def check(scenario: Scenario) -> Iterator[Mistake]:
    """Everything that does not fit together, named by the key to change and by the others that take part."""
    try:
        find(scenario.aggregation.protocol)
    except ProtocolError as error:  # installed, and of no use
        yield _mistake(str(error), "aggregation.protocol")
        return
    yield from _owners(scenario)
    yield from _links(scenario)
    yield from _thresholds(scenario)
    yield from _threat(scenario)
    yield from _reveal(scenario)
    yield from _compute_nodes(scenario)
    yield from _encoding(scenario)
    yield from _draws(scenario)
    yield from _workload(scenario)
    yield from _faults(scenario)
    yield from _expect(scenario)


def _at(*keys: str) -> tuple[KeyPath, ...]:
    return tuple(tuple(key.split(".")) for key in keys)


def _mistake(text: str, key: str, *others: str) -> Mistake:
    first, *rest = _at(key, *others)
    return Mistake(first, text, tuple(rest))


def _owners(scenario: Scenario) -> Iterator[Mistake]:
    count, per_round = scenario.owners.count, scenario.owners.per_round
    if per_round is not None and per_round > count:
        text = f"is {per_round}, but there are {_number(count, 'owner')} (at most {count})"
        yield _mistake(text, "owners.per_round", "owners.count")

    grouped = sum(group.count for group in scenario.owners.groups)
    if grouped > count:
        text = f"has {_number(grouped, 'owner')}, but there are {_number(count, 'owner')} (at most {count})"
        yield _mistake(text, "owners.groups", "owners.count")


def _links(scenario: Scenario) -> Iterator[Mistake]:
    """Every link that is named must be there, under a name that means one thing."""
    known = [*scenario.links, *PRESETS]
    for name in scenario.links:
        if name in PRESETS:
            yield Mistake(("links", name), "is the name of a preset (another name)")
    named: list[tuple[KeyPath, str | None]] = [(("owners", "link"), scenario.owners.link)]
    named += [(("owners", "groups", at, "link"), group.link) for at, group in enumerate(scenario.owners.groups)]
    for path, link in named:
        if link is not None and link not in known:
            right = suggestion(link, known) or one_of(known)
            yield Mistake(path, f"is {show(link)}, which is no link ({right})", (("links",),))


def _thresholds(scenario: Scenario) -> Iterator[Mistake]:
    """Numbers of owners that a round must be able to reach."""
    there, aggregation = scenario.owners.in_round, scenario.aggregation
    wanted: dict[str, tuple[object, int]] = {"minimum_cohort": (aggregation.minimum_cohort, there)}
    protocol = find(aggregation.protocol)
    if protocol.takes_threshold:
        wanted["threshold"] = (aggregation.threshold, there)
    if protocol.takes_neighbours:
        wanted["neighbours"] = (aggregation.neighbours, there - 1)
    for key, (number, most) in wanted.items():
        if isinstance(number, int) and number > most:
            text = f"is {number}, but a round has {_number(there, 'owner')} (at most {most})"
            yield _mistake(text, f"aggregation.{key}", "aggregation.protocol", "owners.count", "owners.per_round")


def _threat(scenario: Scenario) -> Iterator[Mistake]:
    protocol, threat = find(scenario.aggregation.protocol), scenario.aggregation.threat
    if threat not in protocol.threats:
        text = (
            f"is {show(threat)}, which {protocol.name} does not withstand ({', '.join(map(quoted, protocol.threats))})"
        )
        yield _mistake(text, "aggregation.threat", "aggregation.protocol")


def _reveal(scenario: Scenario) -> Iterator[Mistake]:
    protocol, reveal = find(scenario.aggregation.protocol), scenario.aggregation.reveal
    if reveal not in protocol.reveals:
        right = ", ".join(map(quoted, protocol.reveals))
        others = [name for name in BUILT_IN if reveal in find(name).reveals]
        why = f"but with {protocol.name} {protocol.reveals_only}"
        text = f"is {show(reveal)}, {why} ({right}; or {', '.join(others[:-1])} or {others[-1]})"
        yield _mistake(text, "aggregation.reveal", "aggregation.protocol")


def _compute_nodes(scenario: Scenario) -> Iterator[Mistake]:
    aggregation, nodes = scenario.aggregation, scenario.aggregation.compute_nodes
    protocol = find(aggregation.protocol)
    if nodes < protocol.least_nodes:
        text = (
            f"is {nodes}, but {protocol.name} splits every vector among compute nodes ({protocol.least_nodes} or more)"
        )
        yield _mistake(text, "aggregation.compute_nodes", "aggregation.protocol")
    elif protocol.shares:
        if aggregation.corrupt_nodes >= nodes:
            corrupt = aggregation.corrupt_nodes
            text = f"is {corrupt} of {nodes}, but {protocol.name} needs one honest node (at most {nodes - 1})"
            yield _mistake(text, "aggregation.corrupt_nodes", "aggregation.compute_nodes", "aggregation.protocol")
    elif isinstance(scenario.workload, Synthetic) and nodes > scenario.workload.dimension:
        dimension = scenario.workload.dimension
        text = f"is {nodes}, but a vector has {_number(dimension, 'coordinate')} (at most one node for each)"
        yield _mistake(text, "aggregation.compute_nodes", "workload.kind", "workload.dimension", "aggregation.protocol")


def _draws(scenario: Scenario) -> Iterator[Mistake]:
    """Mistake where inputs are real, the lead may lie, and it could repeat the rounding of a single input."""
    lying = scenario.engine == "hosts" and scenario.aggregation.threat == "lying"
    encoding = scenario.encoding
    if lying and encoding.rounding == "stochastic" and encoding.rounding_draws == "seeded":
        text = (
            'is "seeded": on hosts a lying lead could tell single inputs below one quantum from the sums of many '
            'attempts ("system")'
        )
        yield _mistake(text, "encoding.rounding_draws", "engine", "aggregation.threat")


def _encoding(scenario: Scenario) -> Iterator[Mistake]:
    """The largest sum must fit a word: R ≥ W_max · (2^bits − 1) + 1, where an "auto" bound is at least 1."""
    aggregation, encoding, count = scenario.aggregation, scenario.encoding, scenario.owners.count
    heaviest = aggregation.max_weight if isinstance(aggregation.max_weight, int) else 1
    needed = (count * heaviest * (2**encoding.bits - 1)).bit_length()
    if needed > WORD_BITS:
        text = (
            f"is {show(heaviest)}: {_number(count, 'owner')} of that weight at {encoding.bits} bits a value "
            f"need a ring of {needed} bits (at most {WORD_BITS}: a smaller weight or fewer bits)"
        )
        yield _mistake(text, "aggregation.max_weight", "encoding.bits", "owners.count")
    if encoding.clip < _SMALLEST_CLIP:
        yield _mistake(f"is {show(encoding.clip)} (at least {_SMALLEST_CLIP})", "encoding.clip")
    for name, clip in encoding.clip_by.items():
        if clip < _SMALLEST_CLIP:
            yield Mistake(("encoding", "clip_by", name), f"is {show(clip)} (at least {_SMALLEST_CLIP})")


def _workload(scenario: Scenario) -> Iterator[Mistake]:
    match scenario.workload:
        case Digits(shares=tuple() as shares) if len(shares) != scenario.owners.count:
            owners = _number(scenario.owners.count, "owner")
            text = f"has {_number(len(shares), 'share')} for {owners} (one for each)"
            yield _mistake(text, "workload.shares", "workload.kind", "owners.count")
        case Vectors(file=file) if not file.is_file():
            text = f"there is no file {file} (a path relative to the scenario's folder)"
            yield _mistake(text, "workload.file")
        case Python(path=path) if not path.is_dir():
            text = f"there is no folder {path} (a path relative to the scenario's folder)"
            yield _mistake(text, "workload.path")


def _faults(scenario: Scenario) -> Iterator[Mistake]:
    for index, fault in enumerate(scenario.faults):
        where: KeyPath = ("faults", index)
        for key in ("players", "peers"):
            yield from _wrong_players(scenario, (*where, key), fault, getattr(fault, key, None))
        if isinstance(fault, Event):
            yield from _wrong_time(where, fault)
        if isinstance(fault, SlowFault) and fault.factor == 1 and not fault.delay_ns:
            text = "is 1, and there is no delay (a factor above 1, or a delay)"
            yield Mistake((*where, "factor"), text, ((*where, "delay"),))
    yield from _availability(scenario)


def _availability(scenario: Scenario) -> Iterator[Mistake]:
    """Owners that are there at times must be owners, and one table alone may say when each is."""
    known = frozenset(owners := _known(scenario, everyone=False, model_owner=False))
    named: dict[str, int] = {}
    for index, fault in enumerate(scenario.faults):
        if not isinstance(fault, AvailabilityFault):
            continue
        strangers = [owner for owner in fault.intervals if owner not in known]
        if strangers:
            path, place = fault.place(strangers[0])
            more = len(strangers) - 1
            wrong = f"and {_number(more, 'other')} are no data owners" if more else "is no data owner"
            text = f"{place}{show(strangers[0])} {wrong} of this scenario ({_listed(owners)})"
            yield Mistake(("faults", index, *path), text, _at("owners.count"))
        for owner in fault.intervals:
            if named.setdefault(owner, index) != index:
                path, place = fault.place(owner)
                text = f"{place}{show(owner)} is named by faults.{named[owner]} too (each owner by one)"
                yield Mistake(("faults", index, *path), text)


def _wrong_time(where: KeyPath, fault: Event) -> Iterator[Mistake]:
    if fault.phase is None and fault.at_ns is None:
        yield Mistake((*where, "phase"), "is missing (a phase, or a time: at)", ((*where, "at"),))
    if fault.at_ns is not None:
        for key, given in (("phase", fault.phase is not None), ("rounds", fault.rounds != ALL_ROUNDS)):
            if given:
                yield Mistake((*where, key), "cannot stand beside at (one of the two)", ((*where, "at"),))


def _wrong_players(scenario: Scenario, where: KeyPath, fault: Fault, players: object) -> Iterator[Mistake]:
    match players:
        case tuple():
            everyone = not isinstance(fault, DropFault)
            model_owner = not isinstance(fault, DropFault | RestartFault)
            for at, text in _wrong_names(players, _known(scenario, everyone, model_owner), everyone):
                is_node = everyone and players[at].startswith("compute-node")
                yield Mistake((*where, at), text, _at("aggregation.compute_nodes" if is_node else "owners.count"))
        case ByCount(count=count) if count > scenario.owners.in_round:
            there = scenario.owners.in_round
            text = f"is {count}, but a round has {_number(there, 'owner')} (at most {there})"
            yield Mistake((*where, "count"), text, _at("owners.count", "owners.per_round"))
    if isinstance(players, Choice) and players.correlated_by is not None and not scenario.owners.groups:
        text = 'is "group", but there are none ([[owners.groups]])'
        yield Mistake((*where, "correlated_by"), text, _at("owners.groups"))


def _known(scenario: Scenario, everyone: bool, model_owner: bool) -> list[str]:
    known = [f"data-owner-{index}" for index in range(scenario.owners.count)]
    if everyone:
        known += [f"compute-node-{index}" for index in range(scenario.aggregation.compute_nodes)]
    return [*known, "model-owner"] if model_owner else known


def _wrong_names(names: tuple[str, ...], known: list[str], everyone: bool) -> Iterator[tuple[int, str]]:
    allowed = frozenset(known)
    right = _listed(known)
    what = "player that it can strike" if everyone else "data owner of this scenario"
    for at, name in enumerate(names):
        if name not in allowed:
            yield at, f"is {show(name)}, which is no {what} ({right})"
        elif name in names[:at]:
            yield at, f"is {show(name)} a second time (each player once)"


def _listed(known: list[str]) -> str:
    return ", ".join(known) if len(known) <= _LISTED else f"{known[0]} to {known[-1]}"


def _expect(scenario: Scenario) -> Iterator[Mistake]:
    expect, there = scenario.expect, scenario.owners.in_round
    if expect.survivors_at_least is not None and expect.survivors_at_least > there:
        text = f"is {expect.survivors_at_least}, but a round has {_number(there, 'owner')} (at most {there})"
        yield _mistake(text, "expect.survivors_at_least", "owners.count", "owners.per_round")
    if expect.exact is not None and not scenario.check:
        yield _mistake("cannot be told without the harness (check = true)", "expect.exact", "check")
    if expect.accuracy_at_least is not None and isinstance(scenario.workload, Synthetic | Vectors):
        text = f"is never measured by the workload {scenario.workload.kind} (digits or python)"
        yield _mistake(text, "expect.accuracy_at_least", "workload.kind")


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
