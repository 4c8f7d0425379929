"""Sentences on who can open an input: their numbers against brute force, their words by protocol."""

from __future__ import annotations

import re

import pytest

from asyncagg.protocols.context import GraphPolicy
from asyncagg.protocols.forecast.coalitions import honest_inputs, opens_an_input
from asyncagg.protocols.forecaster import Situation
from asyncagg.protocols.parameters.choose import choose
from asyncagg.protocols.parameters.population import Population, exact
from asyncagg.protocols.registry import find


def sentences(protocol, owners=10, corrupt="0.1", dropout="0.3", threat="curious", minimum_cohort=2, batch=1, **given):
    who = Population(owners, exact(corrupt), exact(dropout), threat, batch=batch)
    policy = GraphPolicy(protocol, who) if protocol.startswith("secagg") else None
    parameters = None if policy is None else choose(protocol, who)
    defaults = {"reveal": "compute-nodes", "compute_nodes": 3, "parameters": parameters}
    situation = Situation(
        protocol,
        threat,
        corrupt_owners=who.corrupt_owners,
        analysed_corrupt=who.instance(owners).corrupt,
        smallest_cohort=find(protocol).forecaster.smallest_cohort(minimum_cohort, who.roster_floor, policy),
        **defaults | given,
    )
    return " ".join(opens_an_input(situation))


def least_coalition(n, t):
    """Fewest owners that help a lying lead to t answers for each of two secrets of one owner."""
    for corrupt in range(n + 1):
        honest = n - corrupt
        if any(min(first, honest - first) + corrupt >= t for first in range(honest + 1)):
            return corrupt
    return n


@pytest.mark.parametrize("owners", range(3, 20))
@pytest.mark.parametrize("corrupt", ["0", "0.1", "0.2"])
def test_a_lying_lead_needs_what_the_sentence_says(owners, corrupt):
    said = sentences("secagg", owners, corrupt, "0.1", "lying")
    needed, total = map(int, re.search(r"and (\d+) of the (\d+) owners, even if the lead lies", said).groups())
    t = choose("secagg", Population(owners, exact(corrupt), exact("0.1"), "lying")).threshold
    assert (needed, total) == (least_coalition(owners, t), owners)


def test_secagg_with_a_curious_lead():
    said = sentences("secagg")
    assert "compute nodes (each for its slice, all 3 for the whole) and 6 of the 10 owners" in said
    assert "At most 1 owner is assumed corrupt." in said
    assert "has 4 survivors; with 1 owner corrupt it still mixes 3 honest inputs" in said
    assert 'held off by threat = "lying" only' in said
    assert "lying" not in sentences("secagg", threat="lying").replace("lead lies", "")


def test_secagg_plus_says_the_chance():
    said = sentences("secagg+", 1000)
    assert "36 of its owner's 88 neighbours. " in said
    assert "with 100 owners corrupt in all, the chance that any input is open to them is below 2^-41.89" in said
    lying = sentences("secagg+", 1000, threat="lying", compute_nodes=1)
    assert "takes compute-node-0 and 80 of its owner's 414 neighbours, even if the lead lies" in lying
    assert "cannot cut off fewer than 168 honest inputs" in lying
    assert 'Where that is feared, use protocol = "secagg".' in lying
    batches = sentences("secagg+", 1000, threat="lying", batch=16)
    assert "cannot cut off some of the others from the rest, but for that chance. The graph" in batches
    certain = sentences("secagg+", 100, "0.05", "0.05")
    assert "no owner has so many corrupt neighbours" in certain


def test_secagg_plus_of_few_owners_is_a_complete_graph():
    assert sentences("secagg+") == sentences("secagg")


def test_plain_protects_nothing():
    said = sentences("plain")
    assert said.startswith("plain protects nothing: each of the 3 compute nodes reads its slice of every input")
    assert "honest inputs" not in said
    assert sentences("plain", compute_nodes=1).startswith("plain protects nothing: compute-node-0 reads every")


def test_pairwise_takes_everyone_else():
    said = sentences("pairwise")
    assert "every other owner of its roster, 6 or more" in said
    assert "the two sums differ by its input" in said
    assert "retried" not in sentences("pairwise", threat="lying")


def test_additive_is_one_honest_node():
    said = sentences("additive")
    assert "takes all 3 compute nodes, lead included; any 2 of them see random numbers only." in said
    assert "1 of them may collude" in said
    assert "Only the model owner sees the sum" in said
    assert "so nothing is protected" in sentences("additive", corrupt_nodes=3)
    assert "one alone sees random numbers" in sentences("additive", compute_nodes=2)
    assert "opens every input by itself" in sentences("additive", compute_nodes=1)


def test_who_sees_the_sum():
    assert "The compute nodes together see the sum" in sentences("secagg")
    said = sentences("secagg", reveal="model-owner")
    assert "Only the model owner sees the sum. A compute node learns the mean as well if it colludes" in said


def test_a_sum_too_small_for_the_corrupt_is_named():
    said = sentences("additive")
    assert "2 survivors, and with 1 owner corrupt all but one may be" in said
    assert "minimum_cohort = 3 or more rules it out" in said
    assert "rules it out" not in sentences("additive", minimum_cohort=3)
    assert "With no owner" not in sentences("secagg", corrupt="0")
    assert "No owner is assumed corrupt." in sentences("secagg", corrupt="0")


def test_owners_of_one_process_are_one_party():
    assert "(up to 50) are one party" in sentences("secagg", owners_per_process=50)


@pytest.mark.parametrize(("cohort", "corrupt", "honest"), [(7, 2, 5), (3, 3, 0), (2, 5, 0)])
def test_honest_inputs(cohort, corrupt, honest):
    assert honest_inputs(cohort, corrupt) == honest


@pytest.mark.parametrize("protocol", ["plain", "secagg"])
def test_graph_parameters_belong_to_graphs(protocol):
    given = choose("secagg", Population(10, exact(0), exact(0), "curious")) if protocol == "plain" else None
    with pytest.raises(ValueError, match="graph parameters go with"):
        opens_an_input(Situation(protocol, "curious", "compute-nodes", 1, 1, 2, 3, parameters=given))
