"""Tells a Python caller that owners' own computations failed: by a warning, or by an exception where asked."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, get_args

from asyncagg.engines.record.recorder import some
from asyncagg.protocols.names import Player

OnOwnerFailure = Literal["warn", "raise"]
_CHOICES: Final = get_args(OnOwnerFailure)


class OwnerWarning(UserWarning):
    """The computation of some data owners failed: they are not in the mean of some rounds."""


class OwnerFailed(Exception):
    """The computation of some data owners failed; `result` says how the run went without them."""

    def __init__(self, text: str, result: Mapping[str, Any]) -> None:
        super().__init__(text)
        self.result = result


def check_choice(on_owner_failure: object) -> None:
    """ValueError unless it is one of the choices."""
    if on_owner_failure not in _CHOICES:
        right = ", ".join(map(repr, _CHOICES))
        raise ValueError(f"on_owner_failure is {on_owner_failure!r} (one of {right})")


def tell(failures: Mapping[str, Mapping[Player, int]], result: Mapping[str, Any], how: OnOwnerFailure) -> None:
    """Warn once for each reason, or raise OwnerFailed with all of them; nothing where nobody failed.

    `failures`: reason → owner → in how many rounds.
    """
    texts = list(_sentences(failures, len(result["rounds"])))
    if texts and how == "raise":
        raise OwnerFailed("; ".join(texts), result)
    for text in texts:
        warnings.warn(text, OwnerWarning, stacklevel=3)


def _sentences(failures: Mapping[str, Mapping[Player, int]], rounds: int) -> Iterator[str]:
    for reason, owners in failures.items():
        yield f"{some(list(owners))} failed in {max(owners.values())} of {rounds} rounds: {reason}"
