"""What batches cost in survivors: a picture for docs/choosing.md, and many rounds that were played.

    python docs/batches.py              the picture docs/batches.svg (needs matplotlib, extra `figures`)
    python docs/batches.py --measure    200 rounds of 50 owners, eight times: the table of docs/limits-and-threats.md

`python docs/tables.py` writes the tables of formulas.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncagg
from asyncagg.protocols.parameters.batch_size import expected_share

DOCS = Path(__file__).parent
SIZES = (3, 8, 13, 17)
ROUNDS, OWNERS = 200, 50


def draw(path: Path) -> None:
    """The share of owners in a sum over an owner's own loss rate, a line for each size of batches."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "asyncagg"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4))
    losses = [step / 1000 for step in range(101)]
    for size in (1, *SIZES):
        axes.plot([100 * loss for loss in losses], [expected_share(size, loss) for loss in losses], label=f"T = {size}")
    axes.set_xlabel("an owner's own loss rate (% of rounds)")
    axes.set_ylabel("expected share of owners in a sum")
    axes.set_ylim(0, 1)
    axes.legend(title="batch")
    axes.grid(visible=True, alpha=0.3)
    figure.savefig(path, metadata={"Date": None})


def measured() -> Iterator[str]:
    """Plays each combination; a line of a table for each."""
    yield "| threat | weights | batch | rounds with a mean | at once | owners in a sum | the account says |"
    yield "|---|---|---|---|---|---|---|"
    for threat in ("curious", "lying"):
        for weighting in ("uniform", "examples"):
            for batch in (1, "auto"):
                yield _row(threat, weighting, batch, asyncagg.run(_scenario(threat, weighting, batch)))


def _scenario(threat: str, weighting: str, batch: object) -> dict[str, Any]:
    return {
        "name": "many-rounds",
        "engine": "sim",
        "rounds": ROUNDS,
        "owners": {"count": OWNERS},
        "aggregation": {
            "protocol": "secagg",
            "compute_nodes": 1,
            "threat": threat,
            "weighting": weighting,
            "batch": batch,
            "corrupt": 0.02,
            "dropout": 0.45,
            "on_failure": "skip",
        },
        "workload": {"kind": "digits", "model": "logistic"},
        "faults": [{"kind": "drop", "players": {"probability": 0.1}, "phase": "upload"}],
    }


def _row(threat: str, weighting: str, batch: object, result: asyncagg.Result) -> str:
    done = [each for each in result["rounds"] if each["status"] == "ok"]
    first = sum(each["attempts"] == 1 for each in done)
    share = sum(len(each["survivors"]) for each in done) / max(1, len(done)) / OWNERS
    said = len(result["privacy"]["ledger"])
    return f"| {threat} | {weighting} | {batch} | {len(done)} of {ROUNDS} | {first} | {share:.2f} | {said} sentences |"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", action="store_true")
    if parser.parse_args().measure:
        for line in measured():
            print(line, flush=True)
    else:
        draw(DOCS / "batches.svg")
