"""Forecast of `secagg` and `secagg+`: their cost, and who can open an input.

Both are one forecast over k neighbours: on the complete graph k = n − 1, and every owner holds a share of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from fractions import Fraction

from asyncagg.protocols.context import GraphPolicy
from asyncagg.protocols.forecast.sentences import assumed, nodes, owners
from asyncagg.protocols.forecast.traffic import SIZES, bitmap, message, publish_flow, signature, upload_flow
from asyncagg.protocols.forecaster import Flow, Forecaster, Setting, Situation, Work
from asyncagg.protocols.names import Phase
from asyncagg.protocols.parameters.choose import (
    COMPLETE_UP_TO,
    COMPUTATIONAL_BITS,
    GraphParameters,
    complete_thresholds,
)
from asyncagg.protocols.parameters.graph import Graph


class SecaggForecaster(Forecaster):
    """Both protocols, on either graph."""

    def traffic(self, setting: Setting) -> dict[Phase, Flow]:
        phases: dict[Phase, Flow] = {
            "publish": publish_flow(setting, sealing_key=setting.reveal == "model-owner"),
            "advertise": _advertise(setting),
            "share": _share(setting),
            "upload": upload_flow(setting),
        }
        if setting.threat == "lying":
            phases["certify"] = Flow(message(SIZES.signature), message(bitmap(setting)))
        phases["unmask"] = _unmask(setting)
        return phases

    def key_agreements(self, setting: Setting) -> Work:
        """Two a neighbour (masks, boxes), and one more where an owner seals its answer to the model owner.

        Whoever unmasks does one for every pair of a dropped owner and a surviving neighbour.
        """
        sealed = setting.reveal == "model-owner"
        unmasking = _orphaned_masks(setting) + (setting.survivors if sealed else 0)
        return _at_unmasker(setting, 2 * setting.neighbours + sealed, unmasking)

    def mask_expansions(self, setting: Setting) -> Work:
        """Mask expansions to unmask. secagg: S + D·S; secagg+: S + Σ alive neighbours.

        The latter is the expectation for dropped owners drawn at random, to the nearest integer; for known sets
        `unmask_expansions` counts exactly.
        """
        return _at_unmasker(setting, setting.neighbours + 1, setting.survivors + _orphaned_masks(setting))

    def keys_and_shares(self, setting: Setting) -> int:
        """Complete graph: 2n keys (two out, 2(n − 1) in) and 5n − 4 shares (two out and two in a pair, n to unmask).

        k-regular: 2(k + 1) keys and 5k shares, the same among k neighbours, of which none is the owner.
        """
        k = setting.neighbours
        return 2 * (k + 1) + 4 * k + holders(setting)

    def openers(self, situation: Situation) -> Sequence[str]:
        parameters = situation.parameters
        if parameters is None:
            raise ValueError(f"{situation.protocol}: graph parameters are missing")
        if parameters.complete:
            return [_complete(situation, parameters)]
        return _regular(situation, parameters)

    def smallest_cohort(self, minimum_cohort: int, roster_floor: int, policy: GraphPolicy | None) -> int:
        """Secrets take t answers, and a k-regular graph all but ⌊δn⌋ owners, of the smallest roster."""
        if policy is None:
            raise ValueError("the policy for threshold and neighbours is missing")
        population = policy.population
        floor = population.roster_floor
        left = floor - population.lost(floor)
        if policy.protocol == "secagg+" and policy.neighbours == "auto" and floor > COMPLETE_UP_TO:
            return max(minimum_cohort, left)
        t = complete_thresholds(population, floor)[1] if policy.threshold == "auto" else policy.threshold
        return max(minimum_cohort, min(t, left))


def holders(setting: Setting) -> int:
    """Number of holders of a share of one owner's secrets: its neighbours, and itself on the complete graph."""
    return setting.neighbours + setting.complete


def _advertise(setting: Setting) -> Flow:
    """Own keys out; in, the entries this owner needs: its neighbours', or with a lying lead everyone's."""
    entry = SIZES.index + 2 * SIZES.digest + SIZES.empty + signature(setting)
    some = not setting.complete and setting.threat == "curious"
    drawn = not setting.complete and setting.threat == "lying"
    root = SIZES.digest if some else SIZES.empty
    beacon = SIZES.digest + SIZES.signature if drawn else 2 * SIZES.empty
    listed = (setting.neighbours + 1 if some else setting.owners) * entry
    out = message(3 * SIZES.digest, signature(setting))
    return Flow(out, message(bitmap(setting), SIZES.digest, listed, root, beacon))


def _share(setting: Setting) -> Flow:
    """A box for each neighbour and a commitment out; a box of each neighbour and U2 in, signed where it has to be."""
    boxes = setting.neighbours * SIZES.box
    own = setting.complete * SIZES.share_tags
    signed = setting.threat == "lying" and not setting.complete
    signature_on_sharers = SIZES.signature if signed else SIZES.empty
    return Flow(message(boxes, own, SIZES.digest), message(boxes, bitmap(setting), signature_on_sharers))


def _unmask(setting: Setting) -> Flow:
    """U3 in, with a lying lead all survivors' signatures on it; out, a share of one secret of each owner."""
    signatures = setting.survivors * (SIZES.index + SIZES.signature) if setting.threat == "lying" else 0
    sealing = SIZES.seal if setting.reveal == "model-owner" else 0
    return Flow(message(holders(setting) * SIZES.share, sealing), message(bitmap(setting), signatures))


def _at_unmasker(setting: Setting, each_owner: int, unmasking: int) -> Work:
    if setting.reveal == "model-owner":
        return Work(each_owner, model_owner=unmasking)
    return Work(each_owner, compute_nodes=unmasking)


def _orphaned_masks(setting: Setting) -> int:
    """Pairwise masks that did not cancel: D·S on the complete graph, D·k·S/(n − 1) on average else."""
    pairs = setting.dropped * setting.neighbours * setting.survivors
    return round(Fraction(pairs, max(1, setting.owners - 1)))


def unmask_expansions(graph: Graph, survivors: Collection[int], dropped: Collection[int]) -> int:
    """The exact count for known roster positions: S + Σ over the dropped of their surviving neighbours."""
    alive = frozenset(survivors)
    return len(alive) + sum(len(alive.intersection(graph.neighbours(member))) for member in dropped)


# -- who can open an input -------------------------------------------------------------------------------------------


def _complete(situation: Situation, parameters: GraphParameters) -> str:
    t, n, all_nodes = parameters.threshold, parameters.members, nodes(situation.compute_nodes)
    corrupt = assumed(situation.corrupt_owners)
    if situation.threat == "lying":
        return (
            f"Opening an input takes {all_nodes} and {2 * t - n} of the {n} owners, even if the lead lies: two "
            f"groups of {t} would have to give up different secrets, and only corrupt owners answer twice. "
            f"{corrupt}"
        )
    opening = f"Opening an input takes {all_nodes} and {t} of the {n} owners, who pool shares of its secrets."
    return f"{opening} {corrupt}"


def _regular(situation: Situation, parameters: GraphParameters) -> list[str]:
    t, k, all_nodes = parameters.threshold, parameters.neighbours, nodes(situation.compute_nodes)
    lying = situation.threat == "lying"
    needed, how = (2 * t - k, ", even if the lead lies") if lying else (t, "")
    opening = (
        f"Opening an input takes {all_nodes} and {needed} of its owner's {k} neighbours{how}. Neighbours are "
        f"drawn at random: with {owners(situation.analysed_corrupt)} corrupt in all, {_chance(parameters)}."
    )
    if not lying:
        return [opening]
    return [
        opening,
        _cut_off(parameters.minimum_cohort_limit),
        "The graph follows from a number that the model owner gives once the roster is fixed: a model owner "
        "that colludes with a lying lead could try many graphs. Where that is feared, use protocol = "
        '"secagg".',
    ]


def _cut_off(limit: int | None) -> str:
    if limit is None:
        return (
            "A lying lead that chooses which batches drop cannot cut off some of the others from the rest, but for "
            "that chance."
        )
    return f"A lying lead that chooses who drops still cannot cut off fewer than {limit} honest inputs from the rest."


def _chance(parameters: GraphParameters) -> str:
    if parameters.privacy_bits >= COMPUTATIONAL_BITS:
        return "no owner has so many corrupt neighbours"
    return f"the chance that any input is open to them is below 2^-{parameters.privacy_bits:g}"
