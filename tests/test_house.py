"""Layout of the source: no folder too long, no class name twice, `net` under one name alone; and its docstrings."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cli import ROOT

MOST_MODULES = 15
CLAUSE = re.compile(r"(What|Whether|Who|Whom|Whose|Which|Where|Why|How|When)\b")
PRODUCT = ("asyncagg", "net")  # asyncagg/net is a link to the second


def modules(root: Path, tops: tuple[str, ...] = PRODUCT) -> Iterator[Path]:
    """The files of the product, each once: links are not followed."""
    for top in tops:
        yield from (
            path for path in sorted((root / top).rglob("*.py")) if not path.is_relative_to(root / "asyncagg/net")
        )


def long_folders(root: Path) -> dict[str, int]:
    """Folder → how many modules it has, where these are too many; a package's own `__init__` is none of them."""
    counts: dict[str, int] = defaultdict(int)
    for path in modules(root):
        counts[str(path.parent.relative_to(root))] += path.name != "__init__.py"
    return {folder: count for folder, count in counts.items() if count > MOST_MODULES}


def classes_twice(root: Path) -> dict[str, list[str]]:
    """Class name → where it is defined, where that is in more than one place."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in modules(root):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                found[node.name].append(f"{path.relative_to(root)}:{node.lineno}")
    return {name: places for name, places in found.items() if len(places) > 1}


def imports_net(root: Path) -> list[str]:
    """Where something imports `net` as a top-level package."""
    found = []
    for path in modules(root, (*PRODUCT, "benchmarks", "examples", "tests")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Import(names=names):
                    tops = [each.name for each in names]
                case ast.ImportFrom(module=str(module), level=0):
                    tops = [module]
                case _:
                    continue
            found += [f"{path.relative_to(root)}:{node.lineno}" for top in tops if top.partition(".")[0] == "net"]
    return found


def docstrings(tree: ast.Module) -> Iterator[ast.Constant]:
    """The docstrings of a module, its classes and functions, and the texts below attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.value


def begins_with_a_clause(root: Path) -> list[str]:
    """Docstrings that begin with "What …", "Whether …" and the like, and not with what a thing is or does."""
    found = []
    for path in modules(root):
        for text in docstrings(ast.parse(path.read_text(encoding="utf-8"))):
            if CLAUSE.match(str(text.value).strip()):
                found.append(f"{path.relative_to(root)}:{text.lineno}")
    return found


def test_no_folder_has_more_modules_than_one_can_take_in() -> None:
    assert long_folders(ROOT) == {}


def test_no_class_name_has_two_meanings() -> None:
    assert classes_twice(ROOT) == {}


def test_nothing_imports_net_as_a_package_of_its_own() -> None:
    assert imports_net(ROOT) == []


def test_a_docstring_says_what_a_thing_is_or_does() -> None:
    assert begins_with_a_clause(ROOT) == []


@pytest.fixture
def crowded(tmp_path: Path) -> Path:
    """A repository with one of each fault."""
    for number in range(16):
        (tmp_path / "net" / "links").mkdir(parents=True, exist_ok=True)
        (tmp_path / "net" / "links" / f"module_{number}.py").write_text("")
    (tmp_path / "asyncagg").mkdir()
    (tmp_path / "asyncagg" / "net").symlink_to("../net")
    (tmp_path / "asyncagg" / "one.py").write_text("import net.links\n\nclass Same: ...\n")
    (tmp_path / "net" / "two.py").write_text("def f():\n    class Same: ...\n")
    (tmp_path / "net" / "three.py").write_text("from net import links\nfrom asyncagg.net import links\n")
    (tmp_path / "net" / "four.py").write_text('"""How it is."""\n\nn = 1\n"""\nWhom it asks."""\n\ns = """What"""\n')
    return tmp_path


def test_each_fault_of_the_layout_is_found(crowded: Path) -> None:
    assert long_folders(crowded) == {"net/links": 16}
    assert classes_twice(crowded) == {"Same": ["asyncagg/one.py:3", "net/two.py:2"]}
    assert imports_net(crowded) == ["asyncagg/one.py:1", "net/three.py:1"]
    assert begins_with_a_clause(crowded) == ["net/four.py:1", "net/four.py:4"]


# -- in processes of their own, in the repository's folder, where `import net` would find the package ----------------

EVERYTHING = """
import asyncagg, importlib, pkgutil, sys
for module in pkgutil.walk_packages(asyncagg.__path__, "asyncagg."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
assert "asyncagg.net.tcp.network" in sys.modules
print(*(name for name in sys.modules if name.partition(".")[0] == "net"))
"""
OWNERS = """
import sys

import numpy as np

import asyncagg

def names():
    return [name for name in sys.modules if name.partition(".")[0] == "net"]

class Owner(asyncagg.DataOwner):
    def compute_gradient(self, parameters, round):
        assert "asyncagg.net.channel" in sys.modules
        return {"w": np.full(4, float(len(names())))}, 1

class Model(asyncagg.ModelOwner):
    def initial_parameters(self):
        return {"w": np.zeros(4)}
    def apply(self, parameters, mean):
        return {"w": mean["w"] + len(names())}
"""
RUN = """
import asyncagg, sys
workload = {"kind": "python", "owner": "owners:Owner", "model_owner": "owners:Model", "path": sys.argv[2]}
result = asyncagg.run({"name": "x", "workload": workload}, engine=sys.argv[1])
assert result["status"] == "ok", result["reason"]
assert abs(result.means[0]).max() < 0.01 and abs(result.model["w"]).max() < 0.01  # no owner counted any
print(*(name for name in sys.modules if name.partition(".")[0] == "net"))
"""


def said_in_the_repository(*arguments: str) -> str:
    ended = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


def test_no_module_is_imported_under_a_second_name() -> None:
    assert said_in_the_repository("-c", EVERYTHING) == ""


@pytest.mark.parametrize("engine", ["sim", "tcp", "processes"])
def test_no_run_imports_net_under_a_second_name(tmp_path: Path, engine: str) -> None:
    (tmp_path / "owners.py").write_text(OWNERS)
    assert said_in_the_repository("-c", RUN, engine, str(tmp_path)) == ""


def test_net_under_a_second_name_is_refused() -> None:
    said = "try:\n    import net\nexcept ImportError as error:\n    print(error)"
    assert said_in_the_repository("-c", said).startswith("this package is asyncagg.net")


@pytest.mark.parametrize(("engine", "simulates"), [("sim", True), ("tcp", False), ("processes", False)])
def test_only_a_run_that_simulates_imports_the_simulator(engine: str, simulates: bool) -> None:
    run = f"import asyncagg, sys; assert asyncagg.run({{'name': 'x'}}, engine={engine!r})['status'] == 'ok'"
    loaded = "print(any(name.startswith(('asyncagg.net.virtual', 'asyncagg.engines.sim')) for name in sys.modules))"
    assert said_in_the_repository("-c", f"{run}; {loaded}") == str(simulates)
