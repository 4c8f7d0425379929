"""The model owner's account: which attempts count, what is said of them, and how much of it."""

from __future__ import annotations

import time

import numpy as np
import pytest

from asyncagg.protocols.batches import Batches, set_of
from asyncagg.protocols.ledger.comparison import Rules
from asyncagg.protocols.ledger.entries import read_line
from asyncagg.protocols.ledger.sums import EACH, SENTENCES, SumAccount
from asyncagg.protocols.messages import to_bitmap
from asyncagg.protocols.names import Label

A, B = bytes(32), bytes([1]) * 32
N = 12


def account(minimum_cohort=2, weights=False, owners=N, batches=None, **more):
    return SumAccount(Rules(owners, minimum_cohort, weights, batches), **more)


def bitmap(*members, owners=N):
    return to_bitmap(members, owners)


def with_sums(book, *sums, parameters=A):
    """One attempt each, in one round."""
    for attempt, members in enumerate(sums, 1):
        book.published(Label(0, attempt), parameters, bitmap(*range(N)), 2)
        book.settled(Label(0, attempt), parameters, bitmap(*members))
    return book


# -- inputs on the same parameters -------------------------------------------------------------------------------------


def test_a_retry_without_one_owner_gives_that_owner_away():
    book = with_sums(account(), (0, 1, 2, 3), (0, 1, 2))
    assert book.sentences() == [
        "round 0, attempt 2 gives away the input of data-owner-3: that is all it differs by from "
        "round 0, attempt 1 on the same parameters"
    ]


@pytest.mark.parametrize(("minimum_cohort", "told"), [(2, False), (3, True), (4, True)])
def test_two_owners_are_too_few_below_the_minimum_cohort(minimum_cohort, told):
    sentences = with_sums(account(minimum_cohort), (0, 1, 2, 3, 4), (0, 1, 2)).sentences()
    assert [("a combination of the inputs of data-owner-3 and data-owner-4" in each) for each in sentences] == (
        [True] if told else []
    )


def test_the_same_set_again_and_other_parameters_give_nothing_away():
    book = with_sums(account(5), (0, 1, 2), (0, 1, 2))
    book.settled(Label(1, 1), B, bitmap(0, 1))
    assert book.sentences() == []


def test_names_of_many_owners_are_cut():
    (sentence,) = with_sums(account(20), range(12), (0, 1)).sentences()
    assert "data-owner-2, data-owner-3, data-owner-4, data-owner-5, data-owner-6 and 5 more" in sentence


# -- weights over all rounds -------------------------------------------------------------------------------------------


def test_weights_are_compared_over_all_rounds():
    book = account(weights=True)
    book.settled(Label(0, 1), A, bitmap(0, 1, 2))
    book.settled(Label(7, 1), B, bitmap(0, 1))
    assert book.sentences() == [
        "round 7, attempt 1 gives away the weight of data-owner-2: that is all it differs by from round 0, attempt 1"
    ]


def test_uniform_weights_are_no_secret():
    book = account()
    book.settled(Label(0, 1), A, bitmap(0, 1, 2))
    book.settled(Label(7, 1), B, bitmap(0, 1))
    assert book.sentences() == []


# -- batches -----------------------------------------------------------------------------------------------------------

CUT = Batches(N, 4, bytes(32))


def whole(*numbers):
    members = 0
    for number in numbers:
        members |= CUT.batch(number)
    return members.to_bytes(2, "little")


def test_with_batches_it_is_one_batch_that_is_given_away_and_no_owner():
    book = account(6, weights=True, batches=CUT)
    book.settled(Label(0, 1), A, whole(0, 1, 2))
    book.settled(Label(1, 1), A, whole(0, 2))
    book.settled(Label(2, 1), B, whole(2))
    assert book.sentences() == [
        "round 1, attempt 1 gives away the sum of batch 1 (4 owners), and no single owner's input: that is all it "
        "differs by from round 0, attempt 1 on the same parameters",
        "round 1, attempt 1 gives away the total weight of batch 1 (4 owners), and no single owner's weight: that is "
        "all it differs by from round 0, attempt 1",
        "round 2, attempt 1 gives away the total weight of batch 0 (4 owners), and no single owner's weight: that is "
        "all it differs by from round 1, attempt 1",
    ]


def test_with_batches_an_attempt_of_unknown_end_may_give_away_one():
    book = account(6, batches=CUT)
    book.published(Label(0, 1), A, whole(0, 1, 2), 6)
    book.settled(Label(0, 2), A, whole(0, 1, 2))
    assert book.sentences() == [
        "round 0, attempt 2 may give away the sum of one batch, and no single owner's input: that may be all it "
        "differs by from round 0, attempt 1 on the same parameters"
    ]


# -- attempts that end, or do not --------------------------------------------------------------------------------------


def test_an_attempt_counts_by_its_survivors_once_they_are_known():
    book = with_sums(account(), (0, 1, 2))
    book.published(Label(1, 1), A, bitmap(0, 1, 2), 3)
    assert book.sentences() == []


def test_an_attempt_that_failed_before_any_upload_does_not_count():
    book = account()
    book.published(Label(0, 1), A, bitmap(0, 1, 2, 3), 2)
    book.withdrawn(Label(0, 1))
    assert not book.has_sum(Label(0, 1))
    book.settled(Label(0, 2), A, bitmap(0, 1, 2))
    assert book.sentences() == []


@pytest.mark.parametrize("then", ["another attempt", "the end of the run"])
def test_an_attempt_that_never_ended_may_have_had_any_sum(then):
    book = with_sums(account(), (0, 1, 2, 3))
    book.published(Label(1, 1), A, bitmap(0, 1, 2, 3), 2)
    if then == "another attempt":
        book.published(Label(1, 2), B, bitmap(0, 1, 2, 3), 2)
    assert book.sentences() == [
        "round 1, attempt 1 may give away the input of one owner: that may be all it differs by from "
        "round 0, attempt 1 on the same parameters"
    ]


def test_pairwise_sums_a_whole_roster_or_nothing():
    """A roster that was opened is one exact set: the same one again is harmless, one owner less is not."""
    book = account()
    book.published(Label(0, 1), A, bitmap(0, 1, 2, 3), least=4)
    book.settled(Label(0, 2), A, bitmap(0, 1, 2, 3))
    assert book.sentences() == []
    book.settled(Label(0, 3), A, bitmap(0, 1, 2))
    assert [each[:65] for each in book.sentences()] == [
        "round 0, attempt 3 may give away the input of data-owner-3: that ",
        "round 0, attempt 3 gives away the input of data-owner-3: that is ",
    ]


def test_of_the_last_attempt_it_is_known_whether_it_may_have_a_sum():
    book = account()
    assert not book.has_sum(Label(0, 0))
    book.published(Label(0, 1), A, bitmap(0, 1), 2)
    assert book.has_sum(Label(0, 1))
    assert not book.has_sum(Label(0, 2))
    book.settled(Label(0, 1), A, bitmap(0, 1))
    assert book.has_sum(Label(0, 1))


# -- how much is said --------------------------------------------------------------------------------------------------


def test_what_one_unknown_attempt_may_do_to_all_later_ones_is_said_once():
    book = account(2, weights=True)
    book.published(Label(0, 1), A, bitmap(0, 1, 2, 3), least=2)
    for index in range(5):
        book.settled(Label(index, 2), bytes([99 + index]) * 32, bitmap(0, 1, 2, 3))
    assert book.sentences() == [
        "round 0, attempt 2 may give away the weight of one owner: that may be all it differs by from "
        "round 0, attempt 1",
        "round 0, attempt 1 ended unknown: 4 later attempts may differ as little from it (weights)",
    ]


def test_of_one_attempt_three_things_are_said_and_the_others_counted():
    assert EACH == 3
    sums = [tuple(owner for owner in range(6) if owner != gone) for gone in range(5)]
    told = with_sums(account(2), *sums, range(6)).sentences()
    assert [each[:32] for each in told[:3]] == ["round 0, attempt 6 gives away th"] * 3
    assert told[3:] == ["2 more of the same kind are not listed"]


def test_of_a_long_run_the_first_things_are_said_and_the_others_counted():
    book = account(2, weights=True)
    for index in range(1000):
        members = [owner for owner in range(N) if owner != index % 2]
        book.settled(Label(index, 1), index.to_bytes(32, "big"), bitmap(*members))
        book.settled(Label(index, 2), index.to_bytes(32, "big"), bitmap(*range(N)))
        book.take()
    told = book.sentences()
    assert len(told) == SENTENCES + 1
    assert told[-1].endswith(" more of the same kind are not listed")


def test_what_was_not_compared_is_said():
    book = account(2, weights=True, owners=20, compared=3)
    for index in range(5):
        everyone_but = [owner for owner in range(20) if owner not in (index, 10 + index)]
        book.settled(Label(index, 1), bytes([index]) * 32, bitmap(*everyone_but, owners=20))
    assert book.sentences() == ["each sum was compared with the last 3 different ones only"]


# -- written down and taken up -----------------------------------------------------------------------------------------


def filled():
    book = account(3, weights=True)
    book.settled(Label(0, 1), A, bitmap(0, 1, 2, 3))
    book.published(Label(0, 2), A, bitmap(0, 1, 2), least=2)
    book.published(Label(1, 1), B, bitmap(4, 5, 6, 7), least=4)
    book.settled(Label(1, 1), B, bitmap(4, 5, 6))
    book.published(Label(2, 1), B, bitmap(4, 5, 6, 7), least=3)
    book.withdrawn(Label(2, 1))
    book.settled(Label(2, 2), B, bitmap(4, 5))
    book.published(Label(3, 1), B, bitmap(4, 5, 6, 7), least=3)
    return book


def test_an_account_that_is_taken_up_again_says_the_same():
    book = filled()
    lines = [entry.line() for entry in book.take()]
    assert book.take() == ()
    again = SumAccount.again(book.rules, [read_line(line, N) for line in lines])
    assert again.take() == (), "what is read is not written again"
    assert again.has_sum(Label(3, 1))
    for each in (book, again):
        each.settled(Label(3, 2), B, bitmap(4, 5, 6))
    assert again.take() == book.take()
    assert again.sentences() == book.sentences() != []


def test_an_account_of_another_cut_is_none():
    entries = with_sums(account(), (0, 1, 2)).take()
    with pytest.raises(ValueError, match="only whole batches"):
        SumAccount.again(Rules(N, 2, False, CUT), entries)


@pytest.mark.parametrize("members", [b"", bytes(2), b"\xff\xff", bytes(3)])
def test_what_is_no_set_of_the_population_is_a_mistake(members):
    with pytest.raises(ValueError, match="some of the 12 owners"):
        account().settled(Label(0, 1), A, members)


@pytest.mark.parametrize("least", [0, 4])
def test_the_fewest_must_be_possible(least):
    with pytest.raises(ValueError, match=f"{least} of 3 owners"):
        account().published(Label(0, 1), A, bitmap(0, 1, 2), least)


def test_rounds_of_a_large_population_are_cheap():
    owners = 2000
    book = account(5, weights=True, owners=owners, compared=300)
    draw = np.random.default_rng(2)
    everyone = to_bitmap(range(owners), owners)
    started = time.process_time()
    for index in range(400):
        alive = set_of(np.flatnonzero(draw.random(owners) > 0.1).tolist()).to_bytes(owners // 8, "little")
        book.published(Label(index, 1), index.to_bytes(32, "big"), everyone, least=1000)
        book.settled(Label(index, 1), index.to_bytes(32, "big"), alive)
        book.take()
    assert book.sentences() == ["each sum was compared with the last 300 different ones only"]
    assert time.process_time() - started < 10
