"""A lead that tells each owner another set of sharers, on the complete graph: every choice it has, for few owners.

One set of survivors U3 is certified in an attempt. Honest owner u was told that U2(u) shared; it masks with the owners
of U2(u), and signs U3 only if it is in it and U3 ⊆ U2(u). Pair masks of two honest survivors stay unknown: secret keys
are given for owners outside U3 only. So of the uploads of U3's honest members H3 a combination is free of masks iff it
gives u and v the same factor where both mask with each other, and u the factor 0 where u masks with v and not v with
u. What can be opened are the connected parts of H3 without a one-sided edge; the claim is that there is none but all of
H3. (Bonawitz et al., CCS 2017, prove it for one set U2 told to all.)
"""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncagg.protocols.parameters.population import Population, exact


def opened_parts(told):
    """Parts of the honest survivors whose sum is free of masks; `told`: survivor → honest survivors in its U2."""
    rest, parts = set(told), []
    while rest:
        part, edge = set(), {min(rest)}
        while edge:
            part |= edge
            edge = {v for u in part for v in told[u] if u in told[v]} - part
        rest -= part
        if all(u in told[v] for u in part for v in told[u]):
            parts.append(part)
    return parts


def choices(owner, survivors, padding, floor):
    """Honest survivors that U2 of an owner may have: with enough others beside them it has `floor` members."""
    others = [other for other in survivors if other != owner]
    return [
        frozenset({owner, *chosen})
        for count in range(len(others) + 1)
        for chosen in combinations(others, count)
        if count + 1 + padding >= floor
    ]


def certified_choices(n, corrupt, floor, quorum):
    """Every U3 up to the names of its honest members, and every U2 told to them, for which U3 is certified.

    The corrupt owners of U1 are in U3, where they sign as well; honest owners outside U3 fill up a U2 as well as they.
    """
    for count in range(1, n - corrupt + 1):
        survivors = tuple(range(count))
        everyone = frozenset(survivors)
        options = [choices(owner, survivors, n - count, floor) for owner in survivors]
        needed = max(0, quorum - corrupt)
        for silent in range(count - needed + 1):
            for out in combinations(survivors, silent):
                kept = [
                    [each for each in options[owner] if (each == everyone) != (owner in out)] for owner in survivors
                ]
                for told in product(*kept):
                    yield dict(zip(survivors, told, strict=True))


def attack(n, most_corrupt, floor, quorum):
    """What is told to open a part of the honest survivors, or None; and how many choices were looked at."""
    looked_at = 0
    for corrupt in range(most_corrupt + 1):
        for told in certified_choices(n, corrupt, floor, quorum):
            looked_at += 1
            if any(len(part) < len(told) for part in opened_parts(told)):
                return told, looked_at
    return None, looked_at


def thresholds(n, corrupt):
    """t and q, as they are of n owners, of whom so many are corrupt."""
    who = Population(n, exact(max(0, corrupt - 0.5) / n), exact(0), "lying")
    assert who.corrupt_owners == corrupt
    t = (n + corrupt) // 2 + 1
    return t, who.quorum(t)


@given(st.integers(1, 6).flatmap(lambda n: st.lists(st.integers(0, 2**n - 1), min_size=n, max_size=n)))
def test_parts_are_all_that_is_free_of_masks(sets):
    """Against linear algebra: as many parts as there are independent combinations in which every pair mask cancels."""
    n = len(sets)
    told = {u: frozenset({u, *(v for v in range(n) if sets[u] >> v & 1)}) for u in range(n)}
    masks = np.zeros((n, n, n))
    for u, v in combinations(range(n), 2):
        masks[u, u, v], masks[v, u, v] = float(v in told[u]), -float(u in told[v])
    free = n - np.linalg.matrix_rank(masks.reshape(n, n * n))
    parts = opened_parts(told)
    assert len(parts) == free
    for part in parts:
        assert not masks[sorted(part)].sum(axis=0).any()


CASES = [(n, corrupt) for n in (4, 5, 6) for corrupt in (0, 1, 2) if (n + corrupt) // 2 + 1 <= n]


@pytest.mark.parametrize(("n", "corrupt"), CASES)
def test_no_part_is_opened_whatever_each_owner_is_told(n, corrupt):
    t, quorum = thresholds(n, corrupt)
    found, looked_at = attack(n, corrupt, floor=t, quorum=quorum)
    assert found is None
    assert looked_at > 0


@pytest.mark.parametrize("n", [4, 6])
@pytest.mark.parametrize("without", ["floor", "quorum"])
def test_with_one_owner_less_in_either_a_part_is_opened(n, without):
    """With the floor of U2, or with the quorum, at t − 1; with one corrupt owner."""
    t, quorum = thresholds(n, 1)
    found, _ = attack(n, 1, t - (without == "floor"), quorum - (without == "quorum"))
    assert found is not None


@pytest.mark.parametrize(("n", "corrupt"), [(4, 1), (5, 0), (5, 1), (6, 0), (6, 1)])
def test_without_a_floor_a_single_owner_is_opened(n, corrupt):
    """It is told that nobody else shared: its upload has no mask but its own, which the certificate opens."""
    _, quorum = thresholds(n, corrupt)
    found, _ = attack(n, corrupt, floor=1, quorum=quorum)
    assert found is not None
    part = next(part for part in opened_parts(found) if len(part) < len(found))
    assert all(found[owner] <= part for owner in part)


@pytest.mark.parametrize(("n", "corrupt"), [(4, 0), (4, 1), (5, 1), (5, 2), (6, 0), (6, 1)])
def test_a_part_is_opened_iff_the_floor_and_the_quorum_leave_room(n, corrupt):
    """n ≥ floor + quorum − c: floor − c owners outside the signers know none of them, and there are quorum − c signers.

    For all floors and quorums above c; so t + q > n + n_c is what the thresholds must have, and have.
    """
    for floor, quorum in product(range(corrupt + 1, n + 1), repeat=2):
        found = any(
            len(part) < len(told)
            for told in certified_choices(n, corrupt, floor, quorum)
            for part in opened_parts(told)
        )
        assert found == (n >= floor + quorum - corrupt), (floor, quorum)


def test_thresholds_leave_none():
    for n in range(4, 60):
        for corrupt in range(n):
            t, quorum = thresholds(n, corrupt)
            assert t + quorum > n + corrupt
