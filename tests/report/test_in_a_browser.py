"""The page in headless Chromium: pointed at, typed into, replayed; what it says there is what the trace and result say.

Screenshots are left in the folder of the test.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.browser import Tab, browser, needs_chromium
from support.cli import ROOT, invoke

from asyncagg.report.page import FILE, page
from asyncagg.report.story import Story
from asyncagg.report.words import size
from asyncagg.runs.trace import Record

HOSTILE = '</script><script>document.title="owned"</script><img src=x onerror=document.title="owned">'
OWNER_0, OWNER_2, PLAYERS = 4, 6, 14
"""Lanes of drop-in-upload: the model owner, three nodes, ten owners."""
ALIVE = "document.querySelector('#about').textContent.startsWith('round')"
DRAWN = "document.querySelector('#lanes').toDataURL()"
"""The picture of the timeline, as text."""
# How long forty frames take, each after a key, or after the mouse has moved.
_FORTY = """(async () => {
  const lanes = document.querySelector('#lanes');
  const box = lanes.getBoundingClientRect();
  const keys = ['+', '+', 'ArrowRight', 'ArrowRight', 'ArrowLeft', '-', 'ArrowLeft', '-'];
  const drawn = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  await drawn();
  const began = performance.now();
  for (let at = 0; at < 40; at++) {
    WHAT;
    await new Promise(requestAnimationFrame);
  }
  await drawn();
  return performance.now() - began;
})()"""
MOVED = _FORTY.replace("WHAT", "lanes.dispatchEvent(new KeyboardEvent('keydown', {key: keys[at % keys.length]}))")
POINTED = _FORTY.replace(
    "WHAT",
    "lanes.dispatchEvent(new PointerEvent('pointermove', {clientX: box.x + 200 + 17 * at, clientY: box.y + 90}))",
)

pytestmark = [needs_chromium, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of a run in which two owners drop."""
    return ran("drop-in-upload", tmp_path_factory.mktemp("dropped") / "run")


def ran(scenario: str, out: Path, *options: str) -> Path:
    invoke("run", str(ROOT / "scenarios" / f"{scenario}.toml"), "--quiet", "--out", str(out), *options)
    return out


def open_page(tab: Tab, file: Path) -> None:
    """Opens a page and waits until its timeline is there, in view and drawn."""
    tab.complaints.clear()
    tab.open(file)
    tab.wait_for(ALIVE)
    tab.value("document.querySelector('#lanes').scrollIntoView({block: 'center'})")
    tab.frame()


def pointed_at(tab: Tab, wanted: str, lane: int, lanes: int) -> str:
    """What the page says when the mouse, moved along a lane, comes to something told with a text."""
    box = tab.value("document.querySelector('#lanes').getBoundingClientRect().toJSON()")
    y = box["y"] + 34 + (lane + 0.5) * (box["height"] - 38) / lanes
    said = []
    for x in range(152, int(box["width"]), 5):
        tab.point_at(box["x"] + x, y)
        said.append(tab.text("#about"))
        if wanted in said[-1]:
            return said[-1]
    raise AssertionError(f"nothing in lane {lane} says {wanted!r}, but {sorted(set(said))}")


def test_the_page_is_pointed_at_searched_replayed_and_used_from_the_keyboard(
    tab: Tab, run: Path, tmp_path: Path
) -> None:
    story = Story.read(run)
    open_page(tab, run / FILE)
    body = tab.text("body")
    for text in (story.said("trace_digest"), "data-owner-0: upload", "dropped in upload"):
        assert text in body
    round_0 = [record for record in story.records if record.round == 0]
    messages = [record for record in round_0 if record.event == "message"]
    assert tab.text("#about").startswith(f"round 0: {len(messages)} messages, ")
    tab.screenshot(tmp_path / "whole.png")

    told = pointed_at(tab, "masked-slice, ", OWNER_2, PLAYERS)
    match = re.fullmatch(
        r"masked-slice, (\S+) → (\S+), ([\d,]+) bytes, masked, in upload: left at .+, arrived (.+) later; before that "
        r"it waited for its own pack",
        told,
    )
    assert match is not None, told
    (sent,) = [m for m in messages if (m.sender, m.receiver, m.kind) == (match[1], match[2], "masked-slice")]
    assert f"{sent.bytes:,}" == match[3]
    assert sent.arrived is not None
    assert float(match[4].removesuffix(" ms")) == pytest.approx((sent.arrived - sent.t) / 1e6, rel=0.01)
    assert "drop: " in pointed_at(tab, "drop: ", OWNER_0, PLAYERS)

    for text, wanted in (("masked-slice", "masked-slice"), ("DATA-OWNER-3", "data-owner-3"), ("no such thing", None)):
        tab.type("#find", text)
        count = sum(
            record.event in ("message", "span")
            and wanted is not None
            and any(wanted in name for name in (record.kind, record.sender, record.receiver))
            for record in round_0
        )
        assert tab.text("#about") == f"{count} messages and computations of round 0 match"
        tab.frame()
    tab.screenshot(tmp_path / "searched.png")
    tab.type("#find", "masked-slice")
    tab.value("document.querySelector('#lanes').focus()")
    tab.key("n")
    first = tab.text("#about")
    tab.key("n")
    second = tab.text("#about")
    tab.key("p")
    assert first.startswith("masked-slice, ")
    assert second.startswith("masked-slice, ")
    assert first != second
    assert tab.text("#about") == first

    tab.value("document.querySelector('#replay').focus()")
    tab.frame()
    at_the_end = tab.value(DRAWN)
    tab.key("Home")
    tab.frame()
    at_the_start = tab.value(DRAWN)
    tab.screenshot(tmp_path / "replayed.png")
    assert tab.value("document.querySelector('#replay').value") == "0"
    tab.key("End")
    tab.frame()
    assert tab.value(DRAWN) == at_the_end != at_the_start

    tab.value("document.querySelector('#lanes').focus()")
    pictures = []
    for key in ("+", "ArrowLeft", "ArrowRight", "-", "0"):
        tab.key(key)
        tab.frame()
        pictures.append(tab.value(DRAWN))
    zoomed, left, right, _, whole_again = pictures
    assert len({at_the_end, zoomed, left}) == 3
    assert right != left
    assert whole_again == at_the_end
    assert tab.complaints == []


def test_a_complaint_of_a_page_is_heard(tab: Tab, tmp_path: Path) -> None:
    file = tmp_path / "bad.html"
    file.write_text("<p id=about>round</p><canvas id=lanes></canvas><script>console.error('one'); throw 2</script>")
    open_page(tab, file)
    assert len(tab.complaints) == 2
    tab.complaints.clear()


def test_a_hostile_name_runs_nothing(tab: Tab, run: Path, tmp_path: Path) -> None:
    story = Story.read(run)
    records = [dataclasses.replace(each, sender=HOSTILE, kind=HOSTILE, detail=HOSTILE) for each in story.records[:5]]
    bad = dataclasses.replace(story, result={**story.result, "name": HOSTILE}, records=[*records, *story.records])
    file = tmp_path / "hostile.html"
    file.write_text(page(bad), encoding="utf-8")
    open_page(tab, file)
    tab.type("#find", HOSTILE)
    tab.value("document.querySelector('#lanes').focus()")
    tab.key("n")
    assert HOSTILE in tab.text("#about")
    assert tab.value("document.title").startswith(HOSTILE)
    assert tab.value("document.images.length") == 0
    assert tab.complaints == []


def test_a_planted_change_in_the_trace_shows(tab: Tab, run: Path, tmp_path: Path) -> None:
    story = Story.read(run)
    planted = Record(
        story.records[5].t, 0, 1, "upload", "message", "data-owner-4", "data-owner-5", "planted", 12_345, "public"
    )
    file = tmp_path / "planted.html"
    file.write_text(page(dataclasses.replace(story, records=[*story.records, planted])), encoding="utf-8")
    open_page(tab, file)
    tab.type("#find", "planted")
    assert tab.text("#about") == "1 messages and computations of round 0 match"
    tab.value("document.querySelector('#lanes').focus()")
    tab.key("n")
    assert tab.text("#about").startswith("planted, data-owner-4 → data-owner-5, 12,345 bytes")
    assert "never arrived" in tab.text("#about")
    assert tab.complaints == []


@pytest.mark.long
def test_a_crashed_owner_appears(tab: Tab, tmp_path: Path) -> None:
    faults = 'faults=[{kind="crash", players=["data-owner-3"], phase="upload", rounds=[0]}]'
    out = ran("drop-in-upload", tmp_path / "run", "--set", faults, "--no-expect")
    open_page(tab, out / FILE)
    tab.screenshot(tmp_path / "crashed.png")
    assert "data-owner-3: upload" in tab.text("#rounds")
    assert "data-owner-3" in pointed_at(tab, "fault: ", OWNER_0 + 3, PLAYERS)
    assert tab.complaints == []


@pytest.mark.long
def test_the_figures_are_those_of_the_result(tab: Tab, tmp_path: Path) -> None:
    for scenario in ("digits-with-dropouts", "lead-crash", "additive"):
        out = ran(scenario, tmp_path / scenario, "--no-expect")
        open_page(tab, out / FILE)
        result = json.loads((out / "result.json").read_text())
        body = tab.text("body")
        assert result["trace_digest"] in body
        for each in result["rounds"]:
            assert f"{each['counts']['survivors']} in the sum" in body
        for role in result["rounds"][0]["bytes"]:
            for way in ("sent", "received"):
                assert size(sum(each["bytes"][role][way] for each in result["rounds"])) in body
        assert tab.complaints == []
        tab.screenshot(tmp_path / f"{scenario}.png", whole=True)


@pytest.mark.long
def test_the_page_of_digits_paints_within_a_second(tab: Tab, tmp_path: Path) -> None:
    out = ran("digits", tmp_path / "run")
    assert (out / FILE).stat().st_size < 250 * 1024
    open_page(tab, out / FILE)
    painted = tab.value("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    print(f"digits: {(out / FILE).stat().st_size / 1024:.0f} KiB, first paint after {painted:.0f} ms")
    assert painted < 1000


def thrice(story: Story) -> Story:
    """A run of one round as one of three that are alike: to run a thousand owners takes long, to show them does not."""
    (only,) = story.rounds
    begin = max(max(record.t, record.arrived or 0, record.until or 0) for record in story.records)
    records = [
        dataclasses.replace(
            record,
            round=number,
            t=record.t + number * begin,
            arrived=None if record.arrived is None else record.arrived + number * begin,
            until=None if record.until is None else record.until + number * begin,
        )
        for number in range(3)
        for record in story.records
    ]
    rounds = [dataclasses.replace(only, round=number) for number in range(3)]
    return dataclasses.replace(story, rounds=rounds, records=records)


@pytest.mark.long
def test_a_thousand_owners_are_moved_at_more_than_twenty_frames_a_second(tab: Tab, tmp_path: Path) -> None:
    story = thrice(Story.read(ran("thousand-owners", tmp_path / "run", "--no-expect")))
    file = tmp_path / "thousand.html"
    file.write_text(page(story), encoding="utf-8")
    kib = file.stat().st_size / 1024
    assert kib < 2.5 * 1024
    open_page(tab, file)
    tab.screenshot(tmp_path / "thousand.png")
    milliseconds = tab.value(MOVED)
    pointing = tab.value(POINTED)
    messages = sum(record.event == "message" for record in story.records)
    rate, hovers = 40 * 1000 / milliseconds, 40 * 1000 / pointing
    print(f"{messages:,} messages: {kib:.0f} KiB, {rate:.0f} frames/s zooming and panning, {hovers:.0f} pointing")
    assert min(rate, hovers) > 20
    assert tab.complaints == []
