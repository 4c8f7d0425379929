"""The worked round as a page: one file without a script, which fetches nothing."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable

from asyncagg.report.markup import Markup, tag
from asyncagg.studies.explain.sections import NOTE, Section

_STYLE = (
    ":root{color-scheme:light dark}"
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2rem}li{margin:.2rem 0;font-variant-numeric:tabular-nums}"
)


def page(title: str, sections: Iterable[Section]) -> str:
    """The page as text; everything in it is escaped."""
    said = [
        tag("section", tag("h2", each.title), tag("ul", *(tag("li", line) for line in each.lines))) for each in sections
    ]
    digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    head = (
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        tag("style", Markup(_STYLE)),
    )
    body = (tag("h1", title), tag("p", NOTE), *said)
    return f"<!doctype html>\n{tag('html', tag('head', *head), tag('body', *body), lang='en')}\n"
