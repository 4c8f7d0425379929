"""A headless Chromium that a test drives: real mouse, real keys, screenshots, and every complaint of the page.

It is spoken to over its debugging pipe (Chrome DevTools Protocol: JSON, each message ended by a zero byte; the browser
reads descriptor 3 and writes descriptor 4), so no port is opened and no library is needed.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium")
ANSWER_SECONDS = 60
"""How long the browser may take to answer: a busy machine is slow, a browser that hangs fails the test."""
_FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--remote-debugging-pipe")
_QUIET = ("--disable-background-networking", "--disable-component-update", "--disable-sync")


class BrowserError(Exception):
    """The browser refused a command, or did not answer in time."""


class Tab:
    """One page in the browser; `complaints` has what it threw, logged as an error, or was forbidden."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands = commands
        self._answers = answers
        self._pending = b""
        self._count = 0
        self._session: str | None = None
        self._events: list[str] = []
        self.complaints: list[str] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.send(f"{domain}.enable")
        self.resize(1200, 900)

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Sends a command and returns its result; BrowserError where it is refused or not answered."""
        self._count += 1
        message: dict[str, Any] = {"id": self._count, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + ANSWER_SECONDS
        while True:
            said = self._next(deadline)
            if said.get("id") == self._count:
                if "error" in said:
                    raise BrowserError(f"{method}: {said['error']}")
                return dict(said["result"])
            self._note(said)

    def open(self, file: Path) -> None:
        """Loads a file and waits until its load event has come."""
        self._events.clear()
        self.send("Page.navigate", url=file.as_uri())
        deadline = time.monotonic() + ANSWER_SECONDS
        while "Page.loadEventFired" not in self._events:
            self._note(self._next(deadline))

    def value(self, expression: str) -> Any:
        """The value of a JavaScript expression; a promise is awaited."""
        said = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in said:
            raise BrowserError(f"{expression}: {said['exceptionDetails']}")
        return said["result"].get("value")

    def wait_for(self, expression: str) -> None:
        """Waits until an expression is true."""
        deadline = time.monotonic() + ANSWER_SECONDS
        while not self.value(expression):
            if time.monotonic() > deadline:
                raise BrowserError(f"{expression} did not become true in {ANSWER_SECONDS} s")
            self.value("new Promise((done) => setTimeout(done, 20))")

    def frame(self) -> None:
        """Waits until what was asked to be drawn has been drawn."""
        self.value("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def text(self, selector: str) -> str:
        return str(self.value(f"document.querySelector({json.dumps(selector)}).textContent"))

    def point_at(self, x: float, y: float) -> None:
        self.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def key(self, key: str) -> None:
        """Presses a key and lets it go; one letter is typed."""
        text = {"text": key} if len(key) == 1 else {}
        self.send("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        self.send("Input.dispatchKeyEvent", type="keyUp", key=key)

    def type(self, selector: str, text: str) -> None:
        """Types a text into a field, in place of what stands there."""
        self.value(f"(() => {{ const f = document.querySelector({json.dumps(selector)}); f.focus(); f.select(); }})()")
        self.send("Input.insertText", text=text)

    def resize(self, width: int, height: int) -> None:
        """Width and height of the window, in CSS pixels."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def screenshot(self, file: Path, *, whole: bool = False) -> None:
        """Writes what is seen, or the whole page, as a PNG."""
        said = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        file.write_bytes(base64.b64decode(said["data"]))

    def _next(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._pending:
            ready, _, _ = select.select([self._answers], [], [], max(0.0, deadline - time.monotonic()))
            part = os.read(self._answers, 1 << 20) if ready else b""
            if not part:
                raise BrowserError("the browser ended" if ready else f"no answer in {ANSWER_SECONDS} s")
            self._pending += part
        message, _, self._pending = self._pending.partition(b"\0")
        return dict(json.loads(message))

    def _note(self, said: dict[str, Any]) -> None:
        method, params = said.get("method", ""), said.get("params", {})
        self._events.append(method)
        if method == "Runtime.exceptionThrown":
            self.complaints.append(str(params["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.complaints.append(str(params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.complaints.append(str(params["entry"]["text"]))


@contextmanager
def browser(profile: Path) -> Iterator[Tab]:
    """A tab of a browser of its own, which ends with the block."""
    assert CHROMIUM is not None
    its_input, commands = os.pipe()
    answers, its_output = os.pipe()
    started = ("bash", "-c", f'exec "$@" 3<&{its_input} 4>&{its_output}', "browser")
    command = (*started, CHROMIUM, *_FLAGS, *_QUIET, f"--user-data-dir={profile}")
    process = subprocess.Popen(
        command, pass_fds=(its_input, its_output), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    os.close(its_input)
    os.close(its_output)
    try:
        yield Tab(commands, answers)
    finally:
        os.close(commands)
        os.close(answers)
        process.terminate()
        try:
            process.wait(ANSWER_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
