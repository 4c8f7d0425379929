"""Who made what a run left, in words; and what files claim of it is shown only where it is harmless."""

import pytest

from asyncagg.runs.formats import other_format, stamp
from asyncagg.runs.result import RunResult
from asyncagg.runs.trace import Record, Trace, digest
from asyncagg.version import FORMAT, __version__

NOBODY = "an asyncagg that does not say which"
THIS = f"; this is asyncagg {__version__}, format {FORMAT} (use the one that made it)"


def test_what_is_written_here_can_be_read_here() -> None:
    assert stamp() == {"version": __version__, "format": FORMAT}
    assert other_format(stamp()) is None
    assert other_format({"format": FORMAT, "version": "any other"}) is None


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ({"version": "0.3.1", "format": FORMAT + 1}, f"asyncagg 0.3.1 and has format {FORMAT + 1}"),
        ({"version": "0.3.1.dev2+local", "format": 0}, "asyncagg 0.3.1.dev2+local and has format 0"),
        ({}, f"{NOBODY} and has no format that it says"),
        (
            {"version": "1\x1b[2J", "format": FORMAT + 1},
            f"{NOBODY} and has format {FORMAT + 1}",
        ),
        (
            {"version": ["1"], "format": str(FORMAT)},
            f"{NOBODY} and has no format that it says",
        ),
        ({"version": "1.0", "format": True}, "asyncagg 1.0 and has no format that it says"),
        ({"version": "1.0", "format": 10**4000}, "asyncagg 1.0 and has no format that it says"),
    ],
)
def test_who_made_it_is_said(said: dict[str, object], sentence: str) -> None:
    assert other_format(said) == f"was made by {sentence}{THIS}"


def test_a_result_says_it_from_the_first_moment() -> None:
    said = RunResult("x", 0, "sim", "plain", 3, 3).to_json()
    assert (said["schema"], said["version"], said["format"]) == (2, __version__, FORMAT)


def test_no_record_says_it_so_that_a_digest_is_of_what_happened() -> None:
    trace = Trace()
    trace.add(Record(5, 0, 1, "upload", "drop", "data-owner-1", "", "", 0, "", "too late"))
    line = '{"t":5,"arrived":null,"round":0,"attempt":1,"phase":"upload","event":"drop","from":"data-owner-1","to":""'
    assert trace.digest() == digest([line + ',"kind":"","bytes":0,"class":"","detail":"too late"}'])
