"""The page of a run: its figures are those of the result, hostile names run nothing, and one run has one page."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import html
import json
import re
import zlib
from html.parser import HTMLParser
from pathlib import Path

import pytest
from support.cli import ROOT, invoke

from asyncagg.report.columns import columns, packed
from asyncagg.report.flow import graph_file
from asyncagg.report.page import FILE, MODULES, page
from asyncagg.report.story import Story
from asyncagg.report.words import size
from asyncagg.runs.directory import DirectoryError
from asyncagg.runs.trace import Record

HOSTILE = '</script><script>document.title="owned"</script><img src=x onerror=document.title="owned">'


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of a run in which two owners drop."""
    out = tmp_path_factory.mktemp("page") / "run"
    invoke("run", str(ROOT / "scenarios" / "drop-in-upload.toml"), "--quiet", "--out", str(out))
    return out


@pytest.fixture
def story(run: Path) -> Story:
    return Story.read(run)


class Elements(HTMLParser):
    """Which elements and attributes a page has, and its texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attributes

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def text_of(made: str) -> str:
    return " ".join(Elements(made).texts)


def test_every_run_has_its_page_and_report_makes_the_same(run: Path, tmp_path: Path) -> None:
    written = (run / FILE).read_text(encoding="utf-8")
    assert page(Story.read(run)) == written
    out = tmp_path / "again.html"
    assert invoke("report", str(run), "-o", str(out)).stdout == f"written: {out}\n"
    assert out.read_text(encoding="utf-8") == written


def test_the_figures_are_those_of_the_result(story: Story) -> None:
    shown, result = text_of(page(story)), story.result
    for said in (result["name"], result["trace_digest"], "protocol secagg+", "✓ right", "2 of 2 rounds"):
        assert said in shown
    for each in result["rounds"]:
        assert "data-owner-0: upload" in shown
        assert f"{each['counts']['survivors']} in the sum" in shown
    for role in ("data-owner", "compute-node", "model-owner"):
        for way in ("sent", "received"):
            assert size(sum(each["bytes"][role][way] for each in result["rounds"])) in shown
    for sentence in result["privacy"]["opens_an_input"]:
        assert sentence in shown
    assert "waiting for the upload deadline, 2 owners late" in shown
    assert size(result["plan"]["owner_bytes"]["sent"]) in shown


def test_the_timeline_has_every_record(story: Story) -> None:
    (data,) = re.findall(r'id="trace">([^<]*)<', page(story))
    value = json.loads(zlib.decompress(base64.b64decode(data)))
    ordered = sorted(story.records, key=lambda record: record.t)
    now = 0
    assert len(value["t"]) == len(ordered) > 600
    for place, record in enumerate(ordered):
        now += value["t"][place]
        assert now == record.t
        names = {
            field: value["names"][field][value[field][place]] for field in ("event", "from", "to", "kind", "class")
        }
        assert names == {
            "event": record.event,
            "from": record.sender,
            "to": record.receiver,
            "kind": record.kind,
            "class": record.exposure,
        }
        took = value["took"][place]
        end = record.arrived if record.event == "message" else record.until
        assert (None if took < 0 else now + took) == end


def test_a_planted_change_in_the_trace_shows(story: Story) -> None:
    at = next(place for place, record in enumerate(story.records) if record.kind == "masked-slice")
    planted = [*story.records]
    planted[at] = dataclasses.replace(planted[at], exposure="clear", bytes=planted[at].bytes + 7_000_000)
    changed = dataclasses.replace(story, records=planted)
    assert page(changed) != page(story)
    assert "clear" in text_of(page(changed))
    assert "an owner's vector without any protection" not in text_of(page(story))
    assert "an owner's vector without any protection" in text_of(page(changed))


def hostile(story: Story) -> Story:
    """The same run, with a hostile text wherever a page shows one."""
    result = {**story.result, "name": HOSTILE, "reason": HOSTILE, "trace_digest": HOSTILE, "dimension": HOSTILE}
    result["scenario"] = {"aggregation": {"threat": HOSTILE}, "expect": {HOSTILE: HOSTILE}}
    result["privacy"] = {"opens_an_input": [HOSTILE], "ledger": [HOSTILE]}
    rounds = [
        dataclasses.replace(each, reason=HOSTILE, warnings=[HOSTILE], dropped={HOSTILE: HOSTILE})
        for each in story.rounds
    ]
    records = [dataclasses.replace(each, sender=HOSTILE, kind=HOSTILE, detail=HOSTILE) for each in story.records[:5]]
    return Story(HOSTILE, result, rounds, [*records, *story.records])


def test_a_hostile_text_is_text(story: Story) -> None:
    plain, bad = Elements(page(story)), Elements(page(hostile(story)))
    assert bad.tags.count("script") == plain.tags.count("script") == 2
    assert "img" not in bad.tags
    assert not [name for name, _ in bad.attributes if name.startswith("on")]
    assert html.unescape(HOSTILE) in " ".join(bad.texts)
    assert "<img" not in graph_file(hostile(story))


def test_nothing_but_our_own_script_and_style_may_run_and_nothing_is_fetched(story: Story) -> None:
    made = page(story)
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', made)
    policy = html.unescape(policy)
    (script,) = re.findall(r"<script>(.*?)</script>", made, re.DOTALL)
    (style,) = re.findall(r"<style>(.*?)</style>", made, re.DOTALL)
    for kind, text in (("script", script), ("style", style)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    links = [value for name, value in Elements(made).attributes if name in ("src", "href") and value]
    assert all(value.startswith("#") for value in links)
    assert not re.search(r"^(import|export) ", script, re.MULTILINE)
    assert 'style="' not in made


def test_the_modules_are_joined_behind_what_they_import() -> None:
    folder = ROOT / "asyncagg" / "report" / "web"
    assert sorted(path.name for path in folder.glob("*.mjs")) == sorted(MODULES)
    for place, name in enumerate(MODULES):
        for needed in re.findall(r'from "\./([\w.]+)"', (folder / name).read_text(encoding="utf-8")):
            assert needed in MODULES[:place], f"{name} imports {needed}"


def test_the_graph_is_a_file_of_its_own(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "flow.svg"
    invoke("report", str(run), "--graph", str(out))
    drawn = out.read_text(encoding="utf-8")
    assert drawn.startswith('<svg xmlns="http://www.w3.org/2000/svg"')
    for text in (
        "model owner",
        "data-owner-2",
        "dropped in upload",
        "compute-node-0",
        "masked-slice: 24 messages",
        "8 in the sum",
    ):
        assert text in drawn


@pytest.mark.parametrize(
    ("protocol", "kind", "shape"),
    [
        ("plain", "clear-slice: 24 messages", "slices of 334 values"),
        ("secagg", "masked-slice: 24 messages", "slices of 334 values"),
        ("additive", "share-slice: 24 messages", "shares of 1,000 values"),
    ],
)
def test_the_graph_has_the_uploads_of_every_protocol(protocol: str, kind: str, shape: str, tmp_path: Path) -> None:
    out, scenario = tmp_path / "run", str(ROOT / "scenarios" / "drop-in-upload.toml")
    invoke("run", scenario, "--quiet", "--set", f"aggregation.protocol={protocol}", "--out", str(out))
    drawn = graph_file(Story.read(out))
    assert kind in drawn
    assert shape in drawn


def test_owners_that_went_with_their_batch_are_shown_as_out(tmp_path: Path) -> None:
    out, scenario = tmp_path / "run", str(ROOT / "scenarios" / "drop-in-upload.toml")
    batched = (
        "--set",
        "aggregation.batch=3",
        "--set",
        "aggregation.corrupt=0",
        "--set",
        "aggregation.protocol=additive",
    )
    invoke("run", scenario, "--quiet", "--no-expect", *batched, "--out", str(out))
    each = Story.read(out).rounds[0]
    assert each.with_their_batch
    count = len(each.dropped) + len(each.with_their_batch)
    texts = text_of(page(Story.read(out)))
    assert f"{count} owners" in texts
    drawn = graph_file(Story.read(out))
    shown = drawn.count("dropped in upload") + drawn.count("left out with its batch")
    rest = re.search(r"(\d+) of them not in the sum", drawn)
    assert rest is not None
    assert shown + int(rest[1]) == count


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"rounds": [1]}', '{"rounds": [{"survivors": 3}]}', "[" * 100_000])
def test_what_is_no_run_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "result.json").write_text(text)
    with pytest.raises(DirectoryError, match=r"result.json: is no result of a run: .* \(the directory of a run\)"):
        Story.read(tmp_path)
    told = invoke("report", str(tmp_path))
    assert (told.exit_code, told.stderr.count("\n")) == (2, 1)


def test_a_run_of_schema_1_is_shown(run: Path, tmp_path: Path) -> None:
    old = json.loads((run / "result.json").read_text())
    new = ("started", "trace", "plan", "scenario")
    old = {key: value for key, value in old.items() if key not in new} | {"schema": 1, "format": 2}
    gone = ("counts", "reasons", "critical_path", "phases", "owners")
    old["rounds"] = [{key: value for key, value in each.items() if key not in gone} for each in old["rounds"]]
    (tmp_path / "result.json").write_text(json.dumps(old))
    lines = []
    for record in map(json.loads, (run / "trace.jsonl").read_text().splitlines()):
        if record["event"] in ("message", "phase", "drop", "fault"):
            lines.append(json.dumps({key: value for key, value in record.items() if key not in ("arrived", "until")}))
    (tmp_path / "trace.jsonl").write_text("\n".join(lines) + "\n")
    shown = text_of(page(Story.read(tmp_path)))
    assert "drop-in-upload" in shown
    assert old["trace_digest"] in shown


def test_a_run_without_a_trace_says_so(story: Story) -> None:
    shown = text_of(page(dataclasses.replace(story, records=[])))
    assert "The trace of this run was not kept." in shown
    assert "drop-in-upload" in shown


def test_the_page_of_digits_is_small(tmp_path: Path) -> None:
    out = tmp_path / "digits"
    invoke("run", str(ROOT / "scenarios" / "digits.toml"), "--quiet", "--out", str(out))
    assert (out / FILE).stat().st_size < 250_000


def test_columns_of_many_records_are_small() -> None:
    records = [
        Record(
            t * 1000,
            t // 16_000,
            1,
            "upload",
            "message",
            f"data-owner-{t % 1000}",
            "compute-node-0",
            "joined",
            80 + t % 7,
            "public",
            "",
            t * 1000 + 40_000_000 + t % 11,
        )
        for t in range(47_000)
    ]
    assert len(packed(columns(records))) < 2_000_000
