"""Who must collude to open an input, in plain sentences with a run's own numbers: `check`, `result.json`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from asyncagg.protocols.names import ProtocolName, Reveal, Threat
from asyncagg.protocols.parameters.choose import COMPUTATIONAL_BITS, GraphParameters


@dataclass(frozen=True, slots=True)
class Situation:
    """What decides who can open an input. ValueError if graph parameters are missing or out of place."""

    protocol: ProtocolName
    threat: Threat
    reveal: Reveal
    corrupt_owners: int
    """n_c: owners assumed to collude with the lead."""
    analysed_corrupt: int
    """⌊γN⌋: corrupt owners that the bound of a k-regular graph covers."""
    smallest_cohort: int
    """Fewest survivors in a released sum (`planning.smallest_cohort`)."""
    compute_nodes: int
    corrupt_nodes: int = 1
    """Compute nodes assumed to collude (additive)."""
    parameters: GraphParameters | None = None
    """Of the full roster (secagg, secagg+)."""
    owners_per_process: int = 1

    def __post_init__(self) -> None:
        if (self.parameters is not None) != (self.protocol in ("secagg", "secagg+")):
            raise ValueError(f"{self.protocol}: graph parameters belong to secagg and secagg+, only to them")


def honest_inputs(cohort: int, corrupt_owners: int) -> int:
    """Fewest honest inputs in a sum of `cohort` survivors."""
    return max(0, cohort - corrupt_owners)


def opens_an_input(situation: Situation) -> tuple[str, ...]:
    """Sentences: what a coalition needs, who sees the sum, what the smallest sum hides, what is assumed."""
    sentences = [*_openers(situation), _who_sees_the_sum(situation)]
    if situation.protocol != "plain":
        sentences += [_smallest_sum(situation), *_assumptions(situation)]
    if situation.owners_per_process > 1:
        sentences.append(
            f"Owners that share a process (up to {situation.owners_per_process}) are one party: if one of "
            "them colludes, count them all."
        )
    return tuple(sentences)


def _openers(situation: Situation) -> list[str]:
    match situation.protocol:
        case "plain":
            return [_plain(situation.compute_nodes)]
        case "pairwise":
            return [_pairwise(situation)]
        case "additive":
            return [_additive(situation.compute_nodes, situation.corrupt_nodes)]
        case "secagg" | "secagg+":
            assert situation.parameters is not None  # noqa: S101 - checked when the situation was made
            if situation.parameters.complete:
                return [_complete(situation, situation.parameters)]
            return _regular(situation, situation.parameters)
        case unknown:
            assert_never(unknown)


def _plain(nodes: int) -> str:
    if nodes == 1:
        return "plain protects nothing: compute-node-0 reads every input."
    return (
        f"plain protects nothing: each of the {nodes} compute nodes reads its slice of every input, and "
        "together they read every input whole."
    )


def _pairwise(situation: Situation) -> str:
    others = situation.smallest_cohort - 1
    return (
        f"Opening an input takes {_nodes(situation.compute_nodes)} and every other owner of its roster, "
        f"{others} or more. {_assumed(situation.corrupt_owners)}"
    )


def _additive(nodes: int, corrupt: int) -> str:
    if nodes == 1:
        return "compute-node-0 opens every input by itself: additive shares need at least 2 compute nodes."
    fewer = "one alone sees" if nodes == 2 else f"any {nodes - 1} of them see"
    opening = f"Opening an input takes all {nodes} compute nodes, lead included; {fewer} random numbers only."
    if corrupt >= nodes:
        return f"{opening} But all {nodes} are assumed to collude, so nothing is protected."
    return f"{opening} {corrupt} of them may collude, by assumption."


def _complete(situation: Situation, parameters: GraphParameters) -> str:
    t, n, nodes = parameters.threshold, parameters.members, _nodes(situation.compute_nodes)
    assumed = _assumed(situation.corrupt_owners)
    if situation.threat == "lying":
        return (
            f"Opening an input takes {nodes} and {2 * t - n} of the {n} owners, even if the lead lies: two "
            f"groups of {t} would have to give up different secrets, and only corrupt owners answer twice. "
            f"{assumed}"
        )
    opening = f"Opening an input takes {nodes} and {t} of the {n} owners, who pool shares of its secrets."
    return f"{opening} {assumed}"


def _regular(situation: Situation, parameters: GraphParameters) -> list[str]:
    t, k, nodes = parameters.threshold, parameters.neighbours, _nodes(situation.compute_nodes)
    lying = situation.threat == "lying"
    needed, how = (2 * t - k, ", even if the lead lies") if lying else (t, "")
    opening = (
        f"Opening an input takes {nodes} and {needed} of its owner's {k} neighbours{how}. Neighbours are "
        f"drawn at random: with {_count(situation.analysed_corrupt)} corrupt in all, {_chance(parameters)}."
    )
    if not lying:
        return [opening]
    return [
        opening,
        "A lying lead that chooses who drops still cannot cut off fewer than "
        f"{parameters.minimum_cohort_limit} honest inputs from the rest.",
        "The graph follows from a number that the model owner gives once the roster is fixed: a model owner "
        "that colludes with a lying lead could try many graphs. Where that is feared, use protocol = "
        '"secagg".',
    ]


def _chance(parameters: GraphParameters) -> str:
    if parameters.privacy_bits >= COMPUTATIONAL_BITS:
        return "no owner has so many corrupt neighbours"
    return f"the chance that any input is open to them is below 2^-{parameters.privacy_bits:g}"


def _who_sees_the_sum(situation: Situation) -> str:
    if situation.protocol == "additive":
        return "Only the model owner sees the sum: the compute nodes send it their shares of it directly."
    if situation.reveal == "model-owner":
        return (
            "Only the model owner sees the sum. A compute node learns the mean as well if it colludes with "
            "the model owner or with any data owner, who sees the next parameters."
        )
    return "The compute nodes together see the sum of the survivors, and so does the model owner."


def _smallest_sum(situation: Situation) -> str:
    cohort, corrupt = situation.smallest_cohort, situation.corrupt_owners
    honest = honest_inputs(cohort, corrupt)
    if honest >= 2:
        return (
            f"The smallest sum that is released has {cohort} survivors; with {_count(corrupt)} corrupt it "
            f"still mixes {honest} honest inputs."
        )
    return (
        f"The smallest sum that is released has {cohort} survivors, and with {_count(corrupt)} corrupt all "
        "but one may be: with whoever sees the sum they open that one's input. "
        f"minimum_cohort = {corrupt + 2} or more rules it out."
    )


def _assumptions(situation: Situation) -> list[str]:
    if situation.threat == "lying":
        return []
    sentences = [
        'threat = "curious" assumes a lead that follows the protocol. A lead that lies, inventing owners or '
        'telling them different things, is held off by threat = "lying" only.'
    ]
    if situation.protocol == "pairwise":
        sentences.append(
            "If an owner vanishes after the roster, its vector arrives late and the round is retried without "
            "it, the two sums differ by its input; the ledger says when that may have happened."
        )
    return sentences


def _nodes(count: int) -> str:
    if count == 1:
        return "compute-node-0"
    return f"the compute nodes (each for its slice, all {count} for the whole)"


def _assumed(corrupt: int) -> str:
    if corrupt == 0:
        return "No owner is assumed corrupt."
    return f"At most {_count(corrupt)} {'is' if corrupt == 1 else 'are'} assumed corrupt."


def _count(owners: int) -> str:
    return {0: "no owner", 1: "1 owner"}.get(owners, f"{owners} owners")
