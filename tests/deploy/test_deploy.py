"""Units and image do what docs/deployment.md says, as far as that can be seen without installing them."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import stat
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
import yaml

from asyncagg.engines.watch.http_pages import Page, PageServer
from asyncagg.engines.watch.interface import View
from asyncagg.engines.watch.metrics import Metrics
from asyncagg.runs.result import RoundResult
from asyncagg.scenario.hosts_config import load_config

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
UNIT = DEPLOY / "asyncagg@.service"
DROP_IN = DEPLOY / "asyncagg@model-owner.service.d" / "resume.conf"
PAGE = ROOT / "docs" / "deployment.md"


def unit(path: Path) -> dict[str, dict[str, list[str]]]:
    """Section → key → its values, in the order of the file."""
    sections: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    section = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            key, equals, value = line.partition("=")
            assert equals, line
            sections[section][key].append(value)
    return sections


def containerfile() -> list[tuple[str, str]]:
    """Instructions and what they are given, continued lines joined."""
    text = (DEPLOY / "Containerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(word, " ".join(rest.split())) for word, _, rest in (line.strip().partition(" ") for line in lines)]


def last(instruction: str) -> str:
    return [given for word, given in containerfile() if word == instruction][-1]


def test_the_unit_serves_the_player_it_is_named_after():
    (command,) = unit(UNIT)["Service"]["ExecStart"]
    program, serve, player, *rest = command.split()
    assert (program, serve, player) == ("/opt/asyncagg/bin/asyncagg", "serve", "%i")
    assert rest == ["--config", "/etc/asyncagg/config.json", "$OPTIONS", "/etc/asyncagg/scenario.toml"]
    assert unit(UNIT)["Service"]["EnvironmentFile"] == ["-/etc/asyncagg/%i.env"]


def test_the_unit_may_do_little():
    service = unit(UNIT)["Service"]
    for key, value in {
        "NoNewPrivileges": "yes",
        "ProtectSystem": "strict",
        "ProtectHome": "yes",
        "PrivateTmp": "yes",
        "CapabilityBoundingSet": "",
        "UMask": "0077",
        "LimitCORE": "0",
        "StateDirectoryMode": "0700",
    }.items():
        assert service[key] == [value], key
    assert service["User"][0] != "root"
    assert f"\nu {service['User'][0]} " in (DEPLOY / "asyncagg.sysusers").read_text(encoding="utf-8")
    assert "LoadCredential" not in service  # its files look group-readable, and would be refused


def test_nodes_and_owners_are_started_again_and_the_model_owner_is_not():
    assert unit(UNIT)["Service"]["Restart"] == ["on-failure"]
    assert unit(UNIT)["Service"]["RestartPreventExitStatus"] == ["2"]
    assert unit(DROP_IN)["Service"] == {"Restart": ["no"]}
    assert DROP_IN.parent.name == UNIT.name.replace("@", "@model-owner") + ".d"


@pytest.mark.parametrize("name", ["model-owner", "compute-node-0", "data-owner-0..49"])
def test_systemd_finds_no_fault_with_the_unit(name, tmp_path):
    tool = shutil.which("systemd-analyze")
    if tool is None:
        return
    there = UNIT.read_text(encoding="utf-8").replace("/opt/asyncagg/bin/asyncagg", "/bin/true")
    (tmp_path / UNIT.name).write_text(there, encoding="utf-8")
    shutil.copytree(DROP_IN.parent, tmp_path / DROP_IN.parent.name)
    instance = tmp_path / f"asyncagg@{name}.service"
    done = subprocess.run([tool, "verify", "--man=no", str(instance)], text=True, capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_image_runs_as_nobody_in_particular_and_has_no_keys_in_it():
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", last("USER"))
    copied = [given.split()[:-1] for word, given in containerfile() if word == "COPY" and "--from" not in given]
    assert all((ROOT / path).exists() for paths in copied for path in paths)
    assert {path for paths in copied for path in paths} == {
        *("pyproject.toml", "constraints.txt", "README.md", "LICENSE", "asyncagg", "net"),
    }
    entry = json.loads(last("ENTRYPOINT"))
    assert entry[:4] == ["asyncagg", "serve", "--config", "/etc/asyncagg/config.json"]


def health_check() -> list[str]:
    command = json.loads(last("HEALTHCHECK").partition("CMD ")[2])
    assert command[0] == "python"
    return [sys.executable, *command[1:]]


@pytest.mark.asyncio(loop_factories=["real"])
@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False)])
async def test_the_health_check_asks_where_the_image_answers(status, healthy):
    entry = json.loads(last("ENTRYPOINT"))
    port = entry[entry.index("--metrics") + 1]
    *program, code = health_check()
    assert f"http://127.0.0.1:{port}/health" in code
    exposition = PageServer("127.0.0.1", 0, {"/health": lambda: Page("application/json", b"{}\n", status)})
    exposition.start()
    here = code.replace(f"127.0.0.1:{port}", exposition.where)
    done = await asyncio.to_thread(subprocess.run, [*program, here], capture_output=True, timeout=60)
    await exposition.close()
    assert (done.returncode == 0) is healthy


def test_nothing_in_the_folder_is_executable_or_a_key():
    files = [path for path in DEPLOY.rglob("*") if path.is_file()]
    assert files
    for path in files:
        assert not path.stat().st_mode & stat.S_IXUSR, path
        assert "PRIVATE KEY" not in path.read_text(encoding="utf-8")


def test_every_metric_is_in_the_table_and_nothing_else():
    page = PAGE.read_text(encoding="utf-8")
    listed = [name for row in re.findall(r"^\| (`asyncagg_.*?) \|", page, re.MULTILINE) for name in row.split(", ")]
    metrics = {name: Metrics(View(name)) for name in ("model-owner", "compute-node-0")}
    metrics["model-owner"].round_ended(RoundResult(0, "ok", seconds={"total": 1.0}))
    shown = {
        name for each in metrics.values() for name in re.findall(r"^# TYPE (asyncagg_\w+)", each.text().decode(), re.M)
    }
    shown |= {"asyncagg_phase_seconds", "asyncagg_round", "asyncagg_attempt"}  # there once an attempt has begun
    assert sorted(name.strip("`") for name in listed) == sorted(shown)


def test_what_the_page_says_about_the_unit_is_so():
    page = PAGE.read_text(encoding="utf-8")
    service = unit(UNIT)
    assert "ten times in ten minutes" in page
    assert service["Unit"]["StartLimitBurst"] == ["10"]
    assert service["Unit"]["StartLimitIntervalSec"] == ["600"]
    assert f"runs as user {last('USER').partition(':')[0]}" in page
    for path in re.findall(r"deploy/[\w.@-]+", page):
        assert (ROOT / path).exists(), path


def test_the_compose_file_starts_every_player_with_its_own_keys_only():
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    services = compose["services"]
    assert list(services) == ["model-owner", "compute-node-0", "compute-node-1", "compute-node-2", "data-owners"]
    public = {"config.json", "scenario.toml", "ca.pem", "roster.json"}
    for name, service in services.items():
        assert set(service) == {"image", "read_only", "cap_drop", "restart", "command", "volumes"}, name
        player = service["command"][0]
        assert player in (name, "data-owner-0..49")
        mounted = dict(volume.rsplit(":", 2)[-2::-1] for volume in service["volumes"] if volume.endswith(":ro"))
        assert set(mounted) == {f"/etc/asyncagg/{file}" for file in public | {player}}
        state = [volume.partition(":")[0] for volume in service["volumes"] if not volume.endswith(":ro")]
        assert set(state) <= set(compose["volumes"])
    assert services["model-owner"]["restart"] == "no"


def test_the_config_that_the_compose_file_shows_is_one(tmp_path: Path):
    lines = (DEPLOY / "compose.yaml").read_text(encoding="utf-8").splitlines()
    comment = "".join(line.removeprefix("#") for line in lines if line.startswith("#     "))
    shown = json.loads(comment[comment.index("{") :])
    (tmp_path / "config.json").write_text(json.dumps(shown))
    hosts = {entry.name: entry.host for entry in load_config(str(tmp_path / "config.json")).entries}
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))["services"]
    assert {service["command"][0]: name for name, service in services.items()} == hosts
