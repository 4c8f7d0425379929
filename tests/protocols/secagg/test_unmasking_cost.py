"""Wrong shares burn no time: an unmasking with liars in it, in CPU time of an honest one; and who is named."""

import pytest

from asyncagg.protocols.names import owner_name
from benchmarks.unmasking import MOST, Answered


def check(owners: int, *lying: int) -> None:
    answered = Answered(owners)
    honest, named = answered.seconds()
    assert named == []
    for count in lying:
        liars = [owner_name(place * owners // count) for place in range(count)]
        spoilt, named = answered.seconds(liars)
        assert named == liars
        assert spoilt <= MOST * honest


def test_one_liar_of_200_and_40() -> None:
    check(200, 1, 40)


@pytest.mark.long
def test_one_liar_of_1000() -> None:
    check(1000, 1)
