"""Where there can be no testbed its tests are skipped, with the reason; elsewhere each must leave nothing behind."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from benchmarks.testbed import iproute, obstacle


@pytest.fixture(autouse=True)
def _testbed() -> Iterator[None]:
    if reason := obstacle():
        pytest.skip(f"no network namespaces here: {reason}")
    yield
    ours = f"-{os.getpid()}-"
    assert [name for name in iproute.names() if ours in name] == []
