"""The line of every key, in all that TOML and JSON allow."""

import json
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncagg.scenario.reading.positions import RepeatedKey, json_lines, toml_lines
from asyncagg.scenario.values.toml import to_toml

TOML = '''\
# a comment with [brackets] and = signs
name = "x # no comment" # a comment
bare-key_1 = 1979-05-27 07:32:00
"quoted.key" = 'C:\\no\\escape'
a.b . "c.d" = true
text = """
[not.a.table]
key = "no key" ""\\"""\\
"""   # two quotes may stand before the closing three
raw = \'\'\'
''no\\\'\'\'\'
list = [ # comment ]
  1,
  "two, ]", { three = [3,
  4] },
]
[table]
x = {y = 1, "z z" = {u.v = 2}}
[table.inner]
k = 1
[[many]]
k = 1
[[many]]
[many.sub]
k = 2
[[many.deep]]
[[many.deep]]
k = 3
[ spaced . "out" ]
k=0x1F
'''


def test_every_toml_syntax() -> None:
    assert {".".join(map(str, path)): line for path, line in toml_lines(TOML).items()} == {
        "name": 2,
        "bare-key_1": 3,
        "quoted.key": 4,
        "a": 5,
        "a.b": 5,
        "a.b.c.d": 5,
        "text": 6,
        "raw": 10,
        "list": 12,
        "list.0": 13,
        "list.1": 14,
        "list.2": 14,
        "list.2.three": 14,
        "list.2.three.0": 14,
        "list.2.three.1": 15,
        "table": 17,
        "table.x": 18,
        "table.x.y": 18,
        "table.x.z z": 18,
        "table.x.z z.u": 18,
        "table.x.z z.u.v": 18,
        "table.inner": 19,
        "table.inner.k": 20,
        "many": 21,
        "many.0": 21,
        "many.0.k": 22,
        "many.1": 23,
        "many.1.sub": 24,
        "many.1.sub.k": 25,
        "many.1.deep": 26,
        "many.1.deep.0": 26,
        "many.1.deep.1": 27,
        "many.1.deep.1.k": 28,
        "spaced": 29,
        "spaced.out": 29,
        "spaced.out.k": 30,
    }
    assert set(paths(tomllib.loads(TOML))) == set(toml_lines(TOML))


@pytest.mark.parametrize("text", ["", "\n", "# only a comment", "a = 1", "a = '''x'''", "[a]", "\n[[a]]\n"])
def test_short_texts(text: str) -> None:
    assert set(toml_lines(text)) == set(paths(tomllib.loads(text)))


def test_windows_line_ends() -> None:
    assert toml_lines("a = 1\r\n\r\n[b]\r\nc = 2\r\n") == {("a",): 1, ("b",): 3, ("b", "c"): 4}


def test_json() -> None:
    text = '{"name": "x",\n "a\\u0062": [1,\n {"c": {}}, "\\"]"],\n "e": []}\n'
    assert json_lines(text) == {
        ("name",): 1,
        ("ab",): 2,
        ("ab", 0): 2,
        ("ab", 1): 3,
        ("ab", 1, "c"): 3,
        ("ab", 2): 3,
        ("e",): 4,
    }


def test_a_repeated_json_key_is_named() -> None:
    with pytest.raises(RepeatedKey) as caught:
        json_lines('{"a": {"b": 1,\n "c": 2,\n "b": 3}}')
    assert (caught.value.path, caught.value.line) == (("a", "b"), 3)


LEAVES = st.one_of(st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text())
TABLES = st.dictionaries(
    st.text(),
    st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)),
    max_size=5,
)


@given(TABLES)
def test_what_is_written_as_toml_reads_back_and_every_path_has_a_line(table: dict[str, Any]) -> None:
    text = to_toml(table)
    assert tomllib.loads(text) == table
    lines = toml_lines(text)
    assert set(lines) == set(paths(table))
    assert all(1 <= line <= text.count("\n") + 1 for line in lines.values())


def test_what_toml_cannot_hold_is_refused() -> None:
    with pytest.raises(TypeError, match="TOML cannot hold a NoneType"):
        to_toml({"a": [None]})


@given(TABLES, st.sampled_from([None, 0, 2]))
def test_every_path_of_a_json_text_has_a_line(table: dict[str, Any], indent: int | None) -> None:
    assert set(json_lines(json.dumps(table, indent=indent))) == set(paths(table))


def paths(value: object, here: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every path in plain values, but for the root."""
    if here:
        yield here
    if isinstance(value, dict):
        for key, item in value.items():
            yield from paths(item, (*here, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from paths(item, (*here, index))
