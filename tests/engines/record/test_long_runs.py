"""A round late in a run costs what an early one did."""

from benchmarks.long_runs import marks, written


def test_a_late_round_writes_as_many_bytes_as_an_early_one() -> None:
    found = marks("tcp", 3, 130, protocol="plain")
    early, late = written(found, 10, 30), written(found, 109, 129)
    assert early > 1000  # a checkpoint before and after each round, a line for the round, a mean
    assert late < 1.1 * early
