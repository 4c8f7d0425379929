"""Lines of comma-separated values in the forms that spreadsheets and libraries write."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncagg.scenario.values.csv_rows import rows

PLAIN = [["owner", "from", "to"], ["data-owner-0", "0", "1000"]]


@pytest.mark.parametrize(
    "text",
    [
        "owner,from,to\ndata-owner-0,0,1000\n",
        "owner,from,to\r\ndata-owner-0,0,1000",
        '"owner","from","to"\n"data-owner-0","0","1000"\n',  # R: write.csv(row.names = FALSE)
        '"","owner","from","to"\n"1","data-owner-0","0","1000"\n',  # R: write.csv
        ",owner,from,to\n0,data-owner-0,0,1000\n",  # pandas: to_csv
        "owner, from ,to # seconds\n\n,,\n# none, at night\ndata-owner-0, 0, 1000\n",
    ],
)
def test_every_form_says_the_same(text: str) -> None:
    assert [row for _, row in rows(text)] == PLAIN


def test_a_number_sign_in_quotes_is_no_comment() -> None:
    assert list(rows('"#1",2 # and "this"\n')) == [(1, ["#1", "2"])]


def test_lines_are_counted_as_in_the_file() -> None:
    assert [number for number, _ in rows("# head\na,b\n\n1,2\n")] == [2, 4]


@pytest.mark.parametrize(("text", "line"), [('a\n"b\n', 2), ('"a"b\n', 1), (f"a\n{'x' * 200_000}\n", 2)])
def test_what_is_no_such_line_is_named(text: str, line: int) -> None:
    with pytest.raises(ValueError, match=f"^{line}: is no line of values with commas between them"):
        list(rows(text))


WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=["C", "Z"]), min_size=1)


@given(st.lists(st.lists(WORDS, min_size=2, max_size=4), max_size=5))
def test_what_the_csv_module_writes_quoted_is_read_as_it_was(table: list[list[str]]) -> None:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows(table)
    assert [row for _, row in rows(text.getvalue())] == table
