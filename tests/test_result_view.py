"""A result where it is printed: short, and harmless in a notebook whatever it names."""

from html.parser import HTMLParser

from support.runs import run

import asyncagg


class Reader(HTMLParser):
    """The tags of a text, and what stands in the cells."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.cells: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.cells.append(data)


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    return reader


def test_a_result_is_a_line_of_text() -> None:
    result = asyncagg.run({"name": "x", "engine": "sim", "rounds": 2})
    last = result["rounds"][1]["metrics"]
    assert repr(result) == (
        f"<Result x: ok, 2 of 2 rounds with a mean, loss {last['loss']:.4g}, accuracy {last['accuracy']:.4g}>"
    )
    assert result == dict(result)


def test_a_notebook_shows_a_row_for_each_round() -> None:
    shown = read(
        run("secagg", rounds=3, faults=[{"kind": "drop", "players": ["data-owner-1"], "phase": "upload"}])._repr_html_()
    )
    assert shown.tags.count("tr") == 4
    assert shown.cells[-15:-11] == ["0", "ok", "3", "1"]


def test_of_many_rounds_the_first_and_the_last_are_shown() -> None:
    shown = read(run("plain", rounds=50)._repr_html_())
    assert shown.tags.count("tr") == 1 + 20 + 1
    assert "and 30 more" in shown.cells
    assert "49" in shown.cells


def test_what_a_scenario_names_is_escaped() -> None:
    result = run("plain", name="<script>alert(1)</script>")
    result["reason"] = "<img src=x>"
    shown = read(result._repr_html_())
    assert {"script", "img"} & set(shown.tags) == set()
    assert any("<script>alert(1)</script>" in cell for cell in shown.cells)
