"""Secure aggregation for federated learning that people can run, break and measure.

    result = asyncagg.run("scenarios/digits.toml", engine="sim", seed=3)
    mean, report = asyncagg.secure_mean(vectors)

Names are imported when they are first used, so that `import asyncagg` and the command line start at once.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from asyncagg.systems import refusal
from asyncagg.version import __version__

if TYPE_CHECKING:
    from asyncagg.api import AggregationFailed, Result, run, run_async, secure_mean
    from asyncagg.learning.owners import DataOwner, ModelOwner
    from asyncagg.owner_failures import OwnerFailed, OwnerWarning
    from asyncagg.protocols.registry import ProtocolError, register_protocol
    from asyncagg.scenario.errors import ScenarioError

_WHERE = {
    "AggregationFailed": "asyncagg.api",
    "DataOwner": "asyncagg.learning.owners",
    "ModelOwner": "asyncagg.learning.owners",
    "OwnerFailed": "asyncagg.owner_failures",
    "OwnerWarning": "asyncagg.owner_failures",
    "ProtocolError": "asyncagg.protocols.registry",
    "Result": "asyncagg.api",
    "ScenarioError": "asyncagg.scenario.errors",
    "register_protocol": "asyncagg.protocols.registry",
    "run": "asyncagg.api",
    "run_async": "asyncagg.api",
    "secure_mean": "asyncagg.api",
}

__all__ = [
    "AggregationFailed",
    "DataOwner",
    "ModelOwner",
    "OwnerFailed",
    "OwnerWarning",
    "ProtocolError",
    "Result",
    "ScenarioError",
    "__version__",
    "register_protocol",
    "run",
    "run_async",
    "secure_mean",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'asyncagg' has no attribute {name!r}")
    if (reason := refusal()) is not None:
        raise ImportError(reason)
    return getattr(importlib.import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
