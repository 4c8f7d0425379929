"""What is installed: one top-level name, whole, that a user's own `net` neither harms nor hides behind.

The source distribution is built from the repository and the wheel from that, without any network. The wheel is
installed into an environment of its own, which borrows nothing but what asyncagg depends on.
"""

from __future__ import annotations

import hashlib
import site
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.cli import ROOT

import asyncagg

pytestmark = pytest.mark.timeout(300)

NET = """
class Net:
    def forward(self):
        return 0.5
"""
OWNERS = """
import numpy as np
from net import Net

import asyncagg

class Owner(asyncagg.DataOwner):
    def __init__(self):
        self.net = Net()

    def compute_gradient(self, parameters, round):
        import asyncagg.net.frames
        import net
        assert net is not asyncagg.net and not hasattr(net, "frames"), net
        return {"w": np.full(4, self.net.forward())}, 1

class Model(asyncagg.ModelOwner):
    def initial_parameters(self):
        return {"w": np.zeros(4)}

    def apply(self, parameters, mean):
        return {"w": mean["w"]}
"""
WORKLOAD = 'name = "mine"\n[workload]\nkind = "python"\nowner = "owners:Owner"\nmodel_owner = "owners:Model"\n'
SCRIPT = """
import sys
from net import Net

import asyncagg

if __name__ == "__main__":
    result = asyncagg.run("scenario.toml", engine=sys.argv[1])
    print(result["status"], result["reason"], result.means[0].round(3).tolist())
    print(*(name for name in sorted(sys.modules) if name.partition(".")[0] == "net"))
    print(asyncagg.__file__)
"""
UNWANTED = 'raise RuntimeError("nobody has asked for this module")\n'


@dataclass(frozen=True)
class Built:
    """Both distributions, and the environment that has the wheel installed."""

    sdist: Path
    wheel: Path
    environment: Path

    def python(self, folder: Path, *arguments: str) -> list[str]:
        """The lines that its Python says in this folder."""
        return run([str(self.environment / "bin" / "python"), *arguments], folder)

    @property
    def installed(self) -> Path:
        (packages,) = self.environment.glob("lib/python*/site-packages")
        return packages


def run(command: Sequence[str], folder: Path) -> list[str]:
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout.splitlines()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("built")
    run([sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(folder)], ROOT)
    (sdist,) = folder.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (source,) = (each for each in folder.iterdir() if each.is_dir())
    run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)], source)
    (wheel,) = folder.glob("*.whl")
    environment = folder / "environment"
    venv.create(environment, symlinks=True)
    whole = Built(sdist, wheel, environment)
    pip = [sys.executable, "-m", "pip", "--python", str(environment / "bin" / "python")]
    run([*pip, "install", "--quiet", "--no-index", "--no-deps", "--disable-pip-version-check", str(wheel)], folder)
    # Folders that a .pth names are searched, and theirs are not read: the editable asyncagg is not among them.
    (whole.installed / "dependencies.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    return whole


def sources() -> dict[str, bytes]:
    """What has to be installed: module or data file, by its path → SHA-256 of it."""
    found = {}
    for top, installed in {"asyncagg": "asyncagg", "net": "asyncagg/net", "scenarios": "asyncagg/shipped"}.items():
        for path in (ROOT / top).rglob("*"):
            if path.is_file() and path.suffix != ".pyc":
                inside = path.relative_to(ROOT / top).as_posix()
                found[f"{installed}/{inside}"] = hashlib.sha256(path.read_bytes()).digest()
    return found


def test_both_distributions_hold_every_module_as_a_file_and_no_other_package(built: Built) -> None:
    expected = sources()
    assert {"asyncagg/net/tcp/network.py", "asyncagg/shipped/digits.toml"} <= expected.keys()
    with zipfile.ZipFile(built.wheel) as archive:
        names = [name for name in archive.namelist() if ".dist-info/" not in name]
        assert {name: hashlib.sha256(archive.read(name)).digest() for name in names} == expected
        tops = {name.partition("/")[0] for name in archive.namelist()}
    assert tops == {"asyncagg", f"asyncagg-{asyncagg.__version__}.dist-info"}
    stem = f"asyncagg-{asyncagg.__version__}/"
    with tarfile.open(built.sdist) as archive:
        members = {member.name.removeprefix(stem): member for member in archive.getmembers()}
        kept = {name: member for name, member in members.items() if name.startswith("asyncagg/")}
        assert all(member.isfile() for member in kept.values())
        packed = {name: archive.extractfile(member) for name, member in kept.items()}
        assert {name: hashlib.sha256(file.read()).digest() for name, file in packed.items() if file} == expected


def test_one_top_level_name_is_installed(built: Built) -> None:
    there = {path.name for path in built.installed.iterdir()} - {"dependencies.pth"}
    assert there == {"asyncagg", f"asyncagg-{asyncagg.__version__}.dist-info"}
    (said,) = built.python(built.environment, "-c", "import asyncagg, importlib.util; print(asyncagg.__file__)")
    assert Path(said) == built.installed / "asyncagg" / "__init__.py"
    (said,) = built.python(built.environment, "-c", "import asyncagg; print(dir(asyncagg))")
    assert said == str(sorted(asyncagg.__all__))


def own_net(folder: Path, form: str, text: str = NET) -> None:
    path = folder / form
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize("form", ["net.py", "net/__init__.py"])
@pytest.mark.parametrize("engine", ["sim", "processes"])
def test_owners_import_the_net_that_is_theirs(built: Built, tmp_path: Path, engine: str, form: str) -> None:
    own_net(tmp_path, form)
    for name, text in (("owners.py", OWNERS), ("scenario.toml", WORKLOAD), ("script.py", SCRIPT)):
        (tmp_path / name).write_text(text)
    outcome, nets, file = built.python(tmp_path, "script.py", engine)
    assert outcome == "ok None [0.5, 0.5, 0.5, 0.5]"
    assert nets == "net"
    assert built.installed in Path(file).parents


@pytest.mark.parametrize("form", ["net.py", "net/__init__.py"])
@pytest.mark.parametrize("engine", ["sim", "processes"])
def test_the_command_finds_the_owners_net_too(built: Built, tmp_path: Path, engine: str, form: str) -> None:
    own_net(tmp_path, form)
    (tmp_path / "owners.py").write_text(OWNERS)
    (tmp_path / "scenario.toml").write_text(WORKLOAD)
    command = str(built.environment / "bin" / "asyncagg")
    run([command, "run", "scenario.toml", "--engine", engine, "--quiet", "--out", "left"], tmp_path)
    asked = "import numpy; print(numpy.load('left/means.npz')['round-0'].round(3).tolist())"
    assert built.python(tmp_path, "-P", "-c", asked) == ["[0.5, 0.5, 0.5, 0.5]"]


@pytest.mark.parametrize("form", ["net.py", "net/__init__.py"])
@pytest.mark.parametrize("engine", ["sim", "processes"])
def test_a_net_that_nobody_asks_for_is_never_imported(built: Built, tmp_path: Path, engine: str, form: str) -> None:
    own_net(tmp_path, form, UNWANTED)
    said = "import asyncagg; print(asyncagg.run({'name': 'x'}, engine=%r)['status'])"
    assert built.python(tmp_path, "-c", said % engine) == ["ok"]


def test_a_shipped_scenario_runs_by_its_name_from_any_folder(built: Built, tmp_path: Path) -> None:
    command = str(built.environment / "bin" / "asyncagg")
    listed = run([command, "scenarios"], tmp_path)
    names = sorted(path.stem for path in (ROOT / "scenarios").glob("*.toml"))
    assert [line.partition(" ")[0] for line in listed] == names
    summary = run([command, "run", "digits", "--quiet", "--out", "left"], tmp_path)
    assert summary[0] == "digits: ok (engine tcp, protocol secagg+, seed 0)"
    run([command, "scenarios", "diurnal", "-o", "mine.toml"], tmp_path)
    assert run([command, "run", "mine.toml", "--quiet", "--set", "rounds=2"], tmp_path)[0].startswith("diurnal: ok ")


@pytest.mark.parametrize("engine", ["sim", "tcp", "processes"])
def test_a_new_folder_runs_and_its_test_passes(built: Built, tmp_path: Path, engine: str) -> None:
    command = str(built.environment / "bin" / "asyncagg")
    run([command, "new", "mine"], tmp_path)
    folder = tmp_path / "mine"
    assert [path.name for path in folder.glob("*.toml")] == ["mine.toml"]
    summary = run([command, "run", "mine.toml", "--engine", engine, "--quiet"], folder)
    assert summary[0] == f"mine: ok (engine {engine}, protocol secagg+, seed 0)"
    built.python(folder, "-W", "error", "-m", "unittest")
