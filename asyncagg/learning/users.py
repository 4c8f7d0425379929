"""Code of the user's, which may raise anything: it is told in one line, with the place that it comes from."""

from __future__ import annotations

import importlib
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from asyncagg.learning.errors import WorkloadError

RAISED: Final = (Exception, SystemExit, GeneratorExit)
"""What is the user's own: `sys.exit` too, which is to end neither a player nor the run unsaid. Ctrl-C is not."""

_OURS = Path(__file__).parents[1]
_NOT_THEIRS = (importlib.__file__, "<frozen importlib._bootstrap>", "<frozen importlib._bootstrap_external>")
_LIBRARIES = tuple(Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib"))
_MADE_UP = ("<frozen ", "<__array_function__")
"""How the file names of frames begin that have no file and are no user's; a notebook's cells begin otherwise."""


@contextmanager
def users_code(place: str) -> Iterator[None]:
    """Around code of the user's: WorkloadError at the key `place`, whatever it raises."""
    try:
        yield
    except RAISED as error:
        raise WorkloadError(_describe(error), place) from error


def place_of(error: BaseException, entry: Callable[..., Any]) -> str:
    """`mine.py:20`: file and line of the innermost frame that is the user's own, in no library and not in asyncagg.

    Where no frame is: of the innermost that asyncagg called, or of `entry`, which failed before its first line.
    """
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not _is_ours(frame.filename)]
    own = [frame for frame in frames if not _of_a_library(frame.filename)] or frames[:1]
    if own:
        return f"{Path(own[-1].filename).name}:{own[-1].lineno}"
    code = getattr(entry, "__code__", None)
    if code is None:
        return str(getattr(entry, "__qualname__", "compute_gradient"))
    return f"{Path(code.co_filename).name}:{code.co_firstlineno}"


def _of_a_library(file: str) -> bool:
    return file.startswith(_MADE_UP) or any(library in Path(file).parents for library in _LIBRARIES)


def _describe(error: BaseException) -> str:
    """What happened, and the last line of the user's code that it happened in."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}: {error.msg}"
    text = f"{type(error).__name__}: {' '.join(str(error).split())}"
    if isinstance(error, ModuleNotFoundError):
        where = "in the folder of the workload's modules or on the Python path"
        text = f"there is no module {error.name} ({where})"
    frames = traceback.extract_tb(error.__traceback__)
    lines = [f"{frame.filename}:{frame.lineno}: " for frame in frames if not _is_ours(frame.filename)]
    return (lines[-1] if lines else "") + text


def _is_ours(file: str) -> bool:
    return file in _NOT_THEIRS or _OURS in Path(file).parents
