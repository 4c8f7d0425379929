"""Numbers as options take them: within bounds, and refused in words that name both."""

from __future__ import annotations

import re
from collections.abc import Callable

import typer


def whole(least: int, most: int) -> Callable[[str | int], int]:
    """Reads whole numbers in this range, both ends in it."""

    def read(text: str | int) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if not least <= number <= most:
            raise typer.BadParameter(f"{text} is not a whole number from {least} to {most}")
        return number

    return read


def more(text: str | int) -> int:
    """Reads `+N`, so many more of what there is."""
    number = str(text)
    if not re.fullmatch(r"\+[1-9][0-9]{0,8}", number):
        raise typer.BadParameter(f"{text} is not so many more (+50)")
    return int(number)


def decimal(least: float, most: float) -> Callable[[str | float], float]:
    """Reads numbers in this range, both ends in it."""

    def read(text: str | float) -> float:
        try:
            number = float(text)
        except ValueError:
            number = least - 1
        if not least <= number <= most:  # nan is nowhere
            raise typer.BadParameter(f"{text} is not a number from {least} to {most}")
        return number

    return read
