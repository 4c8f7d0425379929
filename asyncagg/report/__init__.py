"""Sentences and the page of a run, made from what it leaves. Nothing here runs anything.

`story` reads a run directory. `page` puts its sections together in one file: `verdict`, the timeline (`columns` holds
its data, `web/` what draws it), `flow`, `longest_chart`, `seen`, `costs`, `curves`. `longest` says in one sentence what
took the time of a round; the terminal says it too. `markup` escapes whatever is shown, `figures` says how numbers and
players look.
"""
