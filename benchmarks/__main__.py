"""`python -m benchmarks [name…]`: run every benchmark, or those named, and print one table."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
from collections.abc import Callable, Sequence

import benchmarks
from benchmarks.table import Row, render

Benchmark = Callable[[], list[Row]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks named on the command line (all of them when none is); the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help="a module of benchmarks/, without .py")
    names: list[str] = parser.parse_args(arguments).names
    found = _discover()
    unknown = sorted(set(names) - found.keys())
    if unknown:
        parser.error(f"no benchmark named {', '.join(unknown)} (there are: {', '.join(found)})")
    print(render({name: _run(name, found[name]) for name in names or found}))
    return 0


def _discover() -> dict[str, Benchmark]:
    """Every module of the package that has a `main`, by name, in alphabetical order."""
    modules = sorted(info.name for info in pkgutil.iter_modules(benchmarks.__path__) if info.name != "__main__")
    loaded = {name: importlib.import_module(f"benchmarks.{name}") for name in modules}
    return {name: module.main for name, module in loaded.items() if hasattr(module, "main")}


def _run(name: str, benchmark: Benchmark) -> list[Row]:
    print(f"running {name} …", file=sys.stderr, flush=True)
    return benchmark()


if __name__ == "__main__":
    sys.exit(main())
