"""Files of comma-separated values as people have them: out of a spreadsheet, out of R, pandas or PowerShell.

They may begin with a byte order mark, end their lines in CRLF and quote their fields. A header whose first field is
empty stands over names of rows, which R and pandas write unasked: that column is left out. So are lines of empty
fields, and what follows a `#` that is in no quotes.
"""

import csv
import re
from collections.abc import Iterator
from pathlib import Path

from asyncagg.scenario.errors import WrongWithin, show

_BEFORE_COMMENT = re.compile(r'(?:[^"#]|"[^"]*")*')


def text_of(path: object, most_mib: int, right: str) -> str:
    """Text of the file that the key `file` names; `right` says what it should be. WrongWithin at `file`."""
    if not isinstance(path, str) or not path:
        raise WrongWithin(("file",), f"is {show(path)} (a path)")
    try:
        if Path(path).stat().st_size > most_mib << 20:
            raise WrongWithin(("file",), f"{path} is too large (at most {most_mib} MiB)")
        return Path(path).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise WrongWithin(("file",), f"{path}:{line}: is not UTF-8 ({right})") from None
    except WrongWithin:
        raise
    except (OSError, ValueError) as error:  # ValueError: a path with a null byte
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise WrongWithin(("file",), f"{path}: {reason} (a path relative to the scenario's folder)") from None


def rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """Number and fields of every line that has any. ValueError, which starts with the number, for what is none."""
    reader = csv.reader(map(_said, text.splitlines()), skipinitialspace=True, strict=True)
    named: bool | None = None
    try:
        for each in reader:
            row = [field.strip() for field in each]
            if any(row):
                named = len(row) > 1 and not row[0] if named is None else named
                yield reader.line_num, row[1:] if named else row
    except csv.Error as error:
        raise ValueError(f"{reader.line_num}: is no line of values with commas between them: {error}") from None


def _said(line: str) -> str:
    """The line without its comment."""
    if "#" not in line:
        return line
    found = _BEFORE_COMMENT.match(line)
    return line if found is None or line[found.end() :][:1] != "#" else found[0]
