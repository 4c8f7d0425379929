"""Which systems are supported, as the package says and as the code does."""

import sys
import tomllib

import pytest
from support.cli import ROOT

from asyncagg.systems import SUPPORTED, refusal

CLASSIFIERS = {"linux": "Operating System :: POSIX :: Linux", "darwin": "Operating System :: MacOS"}


@pytest.mark.parametrize("system", SUPPORTED)
def test_a_supported_system_is_let_in_and_is_named_by_the_package(system: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", system)
    assert refusal() is None
    said = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
    named = {each for each in said if each.startswith("Operating System")}
    assert named == set(CLASSIFIERS.values())
    assert CLASSIFIERS[system] in said


@pytest.mark.parametrize("system", ["win32", "emscripten", "wasi", "freebsd14"])
def test_any_other_is_named(system: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", system)
    assert f"and this is {system}" in (refusal() or "")
