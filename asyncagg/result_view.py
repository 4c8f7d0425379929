"""Printed forms of a result: a few lines of text, or a table in a notebook."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from asyncagg.report.words import figures

MOST_ROWS = 20
"""Rounds in the table: the first and the last of them."""
_STYLE = 'style="text-align:right;padding:0 .6em"'


def text_of(result: Mapping[str, Any]) -> str:
    """One line: what it is and how it went."""
    rounds: Sequence[Mapping[str, Any]] = result["rounds"]
    done = sum(each["status"] == "ok" for each in rounds)
    line = f"{result['name']}: {result['status']}"
    line += f" ({result['reason']})" if result["reason"] else ""
    line += f", {done} of {len(rounds)} rounds with a mean"
    last: Mapping[str, float] = next((each["metrics"] for each in reversed(rounds) if each["metrics"]), {})
    return ", ".join(filter(None, [line, figures(last)]))


def html_of(result: Mapping[str, Any]) -> str:
    """The line, and a row for each round. Whatever a scenario or a user's code names is escaped."""
    rounds: Sequence[Mapping[str, Any]] = result["rounds"]
    names = list(dict.fromkeys(name for each in rounds for name in each["metrics"]))
    head = ["round", "status", "in the sum", "dropped", "seconds", *names]
    rows = "".join(_rows(rounds, names, len(head)))
    about = f"engine {result['engine']}, protocol {result['protocol']}, seed {result['seed']}"
    titles = "".join(_cell("th", each) for each in head)
    table = f"<table><thead><tr>{titles}</tr></thead><tbody>{rows}</tbody></table>"
    return f"<div><strong>{escape(text_of(result))}</strong><br>{escape(about)}{table}</div>"


def _rows(rounds: Sequence[Mapping[str, Any]], names: Sequence[str], columns: int) -> Iterator[str]:
    left_out = len(rounds) - MOST_ROWS
    for index, each in enumerate(rounds):
        if left_out > 0 and MOST_ROWS // 2 <= index < MOST_ROWS // 2 + left_out:
            if index == MOST_ROWS // 2:
                yield f'<tr><td colspan="{columns}" style="text-align:center">and {left_out} more</td></tr>'
            continue
        measured = [f"{each['metrics'][name]:.4g}" if name in each["metrics"] else "" for name in names]
        counts = [len(each["survivors"]), len(each["dropped"])]
        cells = [each["round"], each["status"], *counts, format(each["seconds"]["total"], ".3g"), *measured]
        yield f"<tr>{''.join(_cell('td', cell) for cell in cells)}</tr>"


def _cell(tag: str, text: object) -> str:
    return f"<{tag} {_STYLE}>{escape(str(text))}</{tag}>"
