"""`python docs/screenshots.py`: the pictures of the page in README and docs, taken of a run of a shipped scenario.

Needs chromium on PATH. The run is in `sim`, so the pictures show the same every time, but for when it began.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support.browser import browser  # noqa: E402  (tests/ is on the path only now)

import asyncagg  # noqa: E402

OUT = ROOT / "docs" / "images"
SCENARIO = ROOT / "scenarios" / "drop-in-upload.toml"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        run = Path("run")  # the page shows it as it is named
        asyncagg.run(SCENARIO, out=run)
        with browser(Path(folder) / "profile") as tab:
            tab.resize(1100, 760)
            tab.open((run / "report.html").absolute())
            tab.wait_for("document.querySelector('#about').textContent.startsWith('round')")
            tab.frame()
            tab.screenshot(OUT / "page.png")
            tab.value("document.querySelector('#lanes').scrollIntoView({block: 'center'})")
            tab.frame()
            tab.screenshot(OUT / "timeline.png")
    for path in sorted(OUT.iterdir()):
        print(f"written: {path.relative_to(ROOT)} ({path.stat().st_size // 1000} kB)")


if __name__ == "__main__":
    main()
