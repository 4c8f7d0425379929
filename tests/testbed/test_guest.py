"""Another kernel, with netem: it runs what it is told, harms nothing here, and what is tested of hosts holds there."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.testbed import BedError, guest

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


@pytest.fixture(autouse=True)
def _possible() -> None:
    if reason := guest.obstacle():
        pytest.skip(f"no other kernel here: {reason}")


def test_a_command_runs_in_this_folder_and_its_end_is_told() -> None:
    ended = guest.run(["sh", "-c", "pwd; echo 'it is' \"$1\" >&2; exit 3", "sh", "a 'word'"])
    assert ended.status == 3
    assert ended.output == f"{Path.cwd()}\nit is a 'word'\n"


def test_nothing_is_written_here(tmp_path: Path) -> None:
    ended = guest.run(["sh", "-c", f"touch {tmp_path}/file; touch $TMPDIR/file && ls $TMPDIR"])
    assert ended.status == 0
    assert "Read-only file system" in ended.output
    assert ended.output.endswith("\nfile\n")
    assert list(tmp_path.iterdir()) == []


def test_a_command_that_does_not_end_is_named() -> None:
    with pytest.raises(BedError, match=r"^sh did not end on another kernel within 8 s: begun"):
        guest.run(["sh", "-c", "echo begun; sleep 1000"], seconds=8)


def test_a_testbed_of_its_netem_does_what_links_say() -> None:
    netem = "from benchmarks.testbed import Testbed\nwith Testbed(['a']) as bed: print(bed.kind)"
    assert guest.run(["python", "-c", netem]).output.endswith("netem\n")
    ended = guest.run(["pytest", "-p", "no:cacheprovider", "tests/testbed/test_testbed.py"])
    assert ended.status == 0, ended.output


def test_hosts_far_apart_by_its_netem_hold_what_is_tested_of_them() -> None:
    """The same means as on tcp, among others."""
    ended = guest.run(
        ["pytest", "-p", "no:cacheprovider", "-m", "long", "-rs", "tests/engines/hosts/test_namespaces.py"]
    )
    assert ended.status == 0, ended.output
    assert "SKIPPED" not in ended.output, ended.output
