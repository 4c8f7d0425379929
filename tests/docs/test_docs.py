"""The documentation says what is so: its examples are run, its names and tables compared with the code.

In the pages a `python` block is run, one page being one program; a `text` block right after it is what it has to
print. A `console` block holds commands after `$ ` and what they print. `...` in either stands for anything. `toml`
blocks are scenarios. A comment before a block says where it comes from (`<!-- from: … -->`, an excerpt) or that later
blocks of the page find it as a file (`<!-- file: … -->`). `sh` blocks are slow or need a network: they are not run.
"""

from __future__ import annotations

import doctest
import importlib.util
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from asyncagg.cli.app import app
from asyncagg.protocols.messages import KINDS
from asyncagg.protocols.registry import BUILT_IN
from asyncagg.scenario.reading.load import load
from asyncagg.scenario.schema.scenario import json_schema

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
SHIPPED = sorted((ROOT / "scenarios").glob("*.toml"))
BETWEEN = "-- next block --"
SAME = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the comment before it, its text, and the text block that follows at once."""

    page: Path
    line: int
    language: str
    mark: str
    source: str
    text: str
    output: str


def blocks(page: Path, language: str) -> list[Block]:
    fence = re.compile(
        r"(?:^<!-- (?P<mark>from|file): (?P<source>\S+) -->\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$"
        r"(?:\n\n```text\n(?P<output>.*?)^```$)?",
        re.MULTILINE | re.DOTALL,
    )
    content = page.read_text(encoding="utf-8")
    found = (
        Block(page, content.count("\n", 0, match.start()) + 1, **match.groupdict(default=""))
        for match in fence.finditer(content)
    )
    return [block for block in found if block.language == language]


def code_spans(page: Path) -> Iterator[str]:
    """Inline code, outside of fenced blocks."""
    prose = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    yield from re.findall(r"`([^`\n]+)`", prose)


def named(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def every(language: str) -> list[Block]:
    return [block for page in PAGES for block in blocks(page, language)]


def where(block: Block) -> str:
    return f"{named(block.page)}:{block.line}"


def same(expected: str, got: str) -> bool:
    return doctest.OutputChecker().check_output(expected, got, SAME)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A folder with what the examples use, where they may leave what they like."""
    for folder in ("scenarios", "examples"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    return tmp_path


def run(arguments: list[str], folder: Path, given: str = "") -> str:
    """Everything the command prints, errors too."""
    done = subprocess.run(
        arguments, cwd=folder, input=given, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=100
    )
    return done.stdout


# -- examples ------------------------------------------------------------------------------------------------------


def with_python() -> list[Path]:
    return [page for page in PAGES if any(not block.mark for block in blocks(page, "python"))]


@pytest.mark.parametrize("page", with_python(), ids=named)
def test_python_examples_print_what_they_say(page, copy):
    for block in [*blocks(page, "python"), *blocks(page, "toml")]:
        if block.mark == "file":
            (copy / block.source).write_text(block.text, encoding="utf-8")
    programs = [block for block in blocks(page, "python") if not block.mark]
    got = run([sys.executable, "-W", "error", "-"], copy, f"\nprint({BETWEEN!r})\n".join(b.text for b in programs))
    parts = got.split(BETWEEN + "\n")
    assert len(parts) == len(programs), got
    for block, part in zip(programs, parts, strict=True):
        assert same(block.output, part), f"{where(block)} prints\n{part}"


@pytest.mark.parametrize("block", [block for block in every("python") if block.mark == "from"], ids=where)
def test_excerpts_are_in_their_files(block):
    assert block.text in (ROOT / block.source).read_text(encoding="utf-8")


def commands() -> list[tuple[str, str]]:
    """Each command of the console blocks with what it prints; the same one twice is run once."""
    found: dict[tuple[str, str], None] = {}
    for block in every("console"):
        for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            found[command, output] = None
    return list(found)


@pytest.mark.parametrize(("command", "output"), commands(), ids=[command for command, _ in commands()])
def test_commands_print_what_they_say(command, output, copy):
    program, *arguments = shlex.split(command)
    programs = {"python": sys.executable, "asyncagg": str(Path(sys.executable).with_name("asyncagg"))}
    got = run([programs[program], *arguments], copy)
    assert same(output, got), f"$ {command}\n{got}"


@pytest.mark.parametrize("block", every("toml"), ids=where)
def test_scenarios_in_the_text_are_right(block, tmp_path):
    file = tmp_path / "example.toml"
    file.write_text(block.text, encoding="utf-8")
    load(file)


# -- tables and names ----------------------------------------------------------------------------------------------


def test_tables_are_up_to_date():
    spec = importlib.util.spec_from_file_location("docs_tables", ROOT / "docs" / "tables.py")
    assert spec is not None
    assert spec.loader is not None
    tables = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tables)
    for page, text in tables.up_to_date().items():
        assert page.read_text(encoding="utf-8") == text, "run `python docs/tables.py`"


def test_every_key_of_the_schema_is_in_the_tables():
    """Against the generator leaving something out."""
    page = (ROOT / "docs" / "scenarios.md").read_text(encoding="utf-8")
    headings = " ".join(re.findall(r"^### (.*)$", page, re.MULTILINE))
    short = " ".join(re.findall(r"`\{ (.*?) \}`", page))
    listed = {*re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE), *re.findall(r"\w+", f"{headings} {short}")}
    assert {path for path in keys() if "." not in path} <= listed


def keys() -> set[str]:
    """Every key at any depth, and every path of a key under a table at the top."""
    found: set[str] = set()
    schema = json_schema()

    def walk(node: object, path: tuple[str, ...]) -> None:
        if isinstance(node, list):
            for each in node:
                walk(each, path)
        elif isinstance(node, dict):
            if "$ref" in node:
                walk(schema["$defs"][node["$ref"].rpartition("/")[2]], path)
            for key, value in node.get("properties", {}).items():
                found.update((key, ".".join((*path, key))))
                walk(value, (*path, key))
            for inner in ("oneOf", "anyOf", "items", "additionalProperties"):
                walk(node.get(inner), path)  # the last one may be true or false, which is no table

    walk(schema, ())
    return found


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_keys_that_are_named_exist(page):
    tops = set(json_schema()["properties"])
    for span in code_spans(page):
        path, equals, _ = span.partition(" = ")
        is_path = re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", path) is not None and path.partition(".")[0] in tops
        is_path = is_path and not path.endswith(".jsonl")
        if is_path or (equals and re.fullmatch(r"[a-z_]+", path)):
            assert path in keys(), f"{named(page)}: `{span}`"


def test_keys_that_are_explained_exist():
    page = (ROOT / "docs" / "scenarios.md").read_text(encoding="utf-8")
    leads = re.findall(r"^\*\*(`.*?`)\.\*\*", page, re.MULTILINE)
    explained = [key for lead in leads for key in re.findall(r"`\W*(\w+)[^`]*`", lead)]
    assert explained
    assert set(explained) <= keys()


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_scenarios_that_are_named_exist(page):
    for name in re.findall(r"scenarios/[\w.-]+\.toml", page.read_text(encoding="utf-8")):
        assert (ROOT / name).is_file(), name


def test_shipped_scenarios_say_what_they_are_for_and_what_they_expect():
    assert SHIPPED
    for path in SHIPPED:
        scenario = load(path)
        assert scenario.description, path
        assert any(value is not None for value in scenario.expect.model_dump().values()), path


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        assert "://" not in target, target
        assert (page.parent / target.partition("#")[0]).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_commands_and_targets_that_are_named_exist(page):
    there = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    text = page.read_text(encoding="utf-8")
    assert set(re.findall(r"(?:`|^\$ |no-sync )asyncagg ([a-z]+)", text, re.MULTILINE)) <= there
    assert set(re.findall(r"(?:`|^)make ([a-z-]+)", text, re.MULTILINE)) <= targets


def test_messages_and_protocols_that_are_explained_are_those_there_are():
    page = (ROOT / "docs" / "protocols.md").read_text(encoding="utf-8")
    kinds = set(re.findall(r"`([a-z-]+)`(?::|, or|, slice)", page))
    assert len(kinds) > 10
    assert kinds <= set(KINDS)
    assert set(re.findall(r"^## `(.+)`$", page, re.MULTILINE)) == set(BUILT_IN)


def test_effects_that_are_explained_are_those_there_are():
    from asyncagg.protocols import effects

    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    explained = set(re.findall(r"^\| `([A-Z]\w+)\(", page, re.MULTILINE))
    assert explained == {effect.__name__ for effect in effects.Effect.__args__}


def test_the_house_has_the_rooms_that_are_named():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    for room in re.findall(r"^  (\w+)/ ", page, re.MULTILINE):
        assert (ROOT / "asyncagg" / room / "__init__.py").is_file(), room
    for path in set(re.findall(r"`(?:asyncagg/)?((?:\w+/)+\w+\.py)`", page)):
        assert any((ROOT / base / path).is_file() for base in ("", "asyncagg")), path


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150
