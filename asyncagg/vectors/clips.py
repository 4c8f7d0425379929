"""The clip of every array: one for all, or by name, where the arrays of a model differ by orders of magnitude."""

import difflib
from collections.abc import Mapping
from fnmatch import fnmatchcase

from asyncagg.vectors.flatten import Layout


class ClipError(ValueError):
    """A name or pattern, `key`, that gives no clip; the text says why, and what would be right."""

    def __init__(self, key: str, text: str) -> None:
        super().__init__(text)
        self.key = key


def clips_of(layout: Layout, clip: float, clip_by: Mapping[str, float]) -> tuple[float, ...]:
    """The clip of each array in the layout; of whole numbers, which are never clipped, `clip` too.

    Args:
        clip: of every array that `clip_by` does not name.
        clip_by: names, or patterns of them as in a shell (`*`, `?`, `[…]`). A name goes before a pattern.

    Raises:
        ClipError: a name that is of no array or of whole numbers, a pattern that fits no array of floats, or two
            patterns with different clips that fit one array.
    """
    floats = [name for name, whole in zip(layout.names, layout.whole, strict=True) if not whole]
    for key in clip_by:
        if key not in floats and not any(fnmatchcase(name, key) for name in floats):
            raise ClipError(key, _unfit(layout, key))
    return tuple(_clip_of(name, clip, clip_by) if name in floats else clip for name in layout.names)


def _clip_of(name: str, clip: float, clip_by: Mapping[str, float]) -> float:
    if name in clip_by:
        return clip_by[name]
    fitting = {key: value for key, value in clip_by.items() if fnmatchcase(name, key)}
    if len(set(fitting.values())) > 1:
        one, other = list(fitting)[:2]
        raise ClipError(other, f"fits {name!r}, and so does {one!r} (one pattern, or its name)")
    return next(iter(fitting.values()), clip)


def _unfit(layout: Layout, key: str) -> str:
    if key in layout.names:
        return "is an array of whole numbers, which are never clipped (an array of floats)"
    near = difflib.get_close_matches(key, layout.names, n=1)
    right = f"did you mean {near[0]!r}?" if near else f"a name such as {layout.names[0]!r}, or a pattern of names"
    return f"is no array of floats ({right})"
