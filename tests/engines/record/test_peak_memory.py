"""The peak of a process's memory, on systems that count in KiB and on those that count in bytes."""

import resource
import sys

import pytest

from asyncagg.engines.record.peak_memory import peak_rss_bytes


class Usage:
    """As getrusage(2) says it: a process of 200 MiB that has had a child of 300 MiB."""

    def __init__(self, kib: int, unit: int) -> None:
        self.ru_maxrss = kib * 1024 // unit


@pytest.mark.parametrize(("system", "unit"), [("linux", 1024), ("darwin", 1)])
def test_it_is_in_bytes_on_every_system(monkeypatch: pytest.MonkeyPatch, system: str, unit: int) -> None:
    kib = {resource.RUSAGE_SELF: 200 << 10, resource.RUSAGE_CHILDREN: 300 << 10}
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(resource, "getrusage", lambda who: Usage(kib[who], unit))
    assert peak_rss_bytes() == 200 << 20
    assert peak_rss_bytes(resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN) == 300 << 20


def test_this_process_has_had_as_much_as_it_holds() -> None:
    held = bytearray(64 << 20)
    held[::4096] = b"x" * len(held[::4096])
    assert len(held) <= peak_rss_bytes() < 1 << 40
