"""Signs of life, decided from counts and times alone."""

from __future__ import annotations

from collections.abc import Callable

from asyncagg.net.keepalive import Counts, Keepalive, Sign


def first(life: Keepalive, start_ns: int, counts: Callable[[int], Counts]) -> tuple[int, Sign]:
    """When, looking as often as it asks for, something is not fine, and what."""
    for now_ns in range(start_ns, start_ns + 100_000, life.interval_ns):
        sign = life.look(now_ns, counts(now_ns))
        if sign is not Sign.FINE:
            return now_ns, sign
    return start_ns, Sign.FINE


def test_a_quiet_connection_pings_after_the_interval() -> None:
    life = Keepalive(1000, keepalive_ns=100, stall_ns=500)
    assert first(life, 1000, lambda now: Counts(received=now)) == (1100, Sign.PING)
    assert first(life, 1125, lambda now: Counts(received=now, given=20)) == (1225, Sign.PING)


def test_a_silent_peer_is_cut_after_three_intervals() -> None:
    life = Keepalive(0, keepalive_ns=100, stall_ns=5000)
    assert first(life, 25, lambda now: Counts(received=7, given=now)) == (325, Sign.SILENT)
    assert life.describe(Sign.SILENT) == "silent for 3e-07 s"


def test_a_peer_that_takes_nothing_is_cut_after_the_limit() -> None:
    life = Keepalive(0, keepalive_ns=400, stall_ns=1200)
    until_500 = first(life, 100, lambda now: Counts(received=now, given=now, taken=min(now, 500), waiting=1))
    assert until_500 == (1700, Sign.STALLED)
    assert Keepalive(0, 10**10, 30 * 10**9).describe(Sign.STALLED) == "stalled: took nothing for 30 s"


def test_a_peer_that_takes_little_is_left_alone() -> None:
    life = Keepalive(0, keepalive_ns=100, stall_ns=40)
    little = first(life, 0, lambda now: Counts(received=now, given=now, taken=now // 20, waiting=9))
    assert little == (0, Sign.FINE)


def test_only_waiting_counts_as_a_stall() -> None:
    life = Keepalive(0, keepalive_ns=400, stall_ns=400)
    idle = first(life, 0, lambda now: Counts(received=now, given=now, taken=5))
    assert idle == (0, Sign.FINE)
    waiting = first(life, 100_000, lambda now: Counts(received=now, given=now, taken=5, waiting=4))
    assert waiting == (100_400, Sign.STALLED)


def test_what_tls_adds_to_what_waits_is_not_taken() -> None:
    """A peer that takes nothing, and has TLS answer it all the time: less and less seems to be taken."""
    life = Keepalive(0, keepalive_ns=400, stall_ns=1200)
    growing = first(life, 0, lambda now: Counts(received=now, given=now, taken=-now, waiting=2 * now + 1))
    assert growing == (1200, Sign.STALLED)


def test_a_peer_is_doubtful_before_it_is_cut() -> None:
    life = Keepalive(0, keepalive_ns=100, stall_ns=400)
    for now in range(25, 225, 25):
        life.look(now, Counts(received=1, given=now))
        assert not life.doubtful(now)
    assert life.doubtful(225)


def test_a_pause_of_our_own_is_not_held_against_the_peer() -> None:
    life = Keepalive(0, keepalive_ns=400, stall_ns=1000)
    waiting = Counts(received=1, given=9, taken=1, waiting=8)
    assert life.look(100, waiting) is Sign.FINE
    assert life.look(1_000_000, waiting) is Sign.PING  # stopped, and going on
    assert not life.doubtful(1_000_100)
    going_on = first(life, 1_000_100, lambda now: Counts(received=1, given=now, taken=1, waiting=8))
    assert going_on == (1_000_800, Sign.STALLED)


def test_looks_are_often_enough_for_both_limits() -> None:
    assert Keepalive(0, keepalive_ns=400, stall_ns=4000).interval_ns == 100
    assert Keepalive(0, keepalive_ns=4000, stall_ns=400).interval_ns == 100
    assert Keepalive(0, keepalive_ns=1, stall_ns=1).interval_ns == 1
