"""Events from a CSV file: every line is checked before any is sent, and its value goes out digit by digit.

A line becomes the event that its cells say, as JSON; the cell `value` is copied as text, so no float ever stands
between the file and the log. Without a column `seq` the lines of a source are numbered in the order of the file, those
that are bad as well: a line that is mended later keeps its number, and a file that is sent again, or with lines added
at its end, counts nothing twice.
"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import numpy as np

from index.catalogue import Catalogue
from stream.events import MAX_SEQ, Columns, decode
from stream.reasons import MALFORMED_TIME, NO_REASON, Reason, detail_of
from stream.validate import Validator
from workers.feed_file import Line

NEEDED = ("source", "city", "indicator", "op", "value", "at")
OPTIONAL = ("seq", "industry", "period")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_INTEGER = re.compile(r"0|[1-9][0-9]*")
CHECKED_AT_ONCE = 4096
# The column that a check looks at; of what several decide together, the one that is usually wrong.
_COLUMN = {
    Reason.MALFORMED: "source",
    Reason.UNKNOWN_CITY: "city",
    Reason.UNKNOWN_INDICATOR: "indicator",
    Reason.UNKNOWN_INDUSTRY: "industry",
    Reason.NOT_ALLOWED: "source",
    Reason.BAD_OP: "op",
    Reason.OVERFLOW: "value",
    Reason.TOO_PRECISE: "value",
    Reason.BAD_PERIOD: "period",
    Reason.FROM_THE_FUTURE: "at",
}


class BadLine(NamedTuple):
    """What is wrong with a line (the number of its first, from 1), in which column, and why."""

    line: int
    column: str
    reason: str

    def said(self, path: Path) -> str:
        """For people: file, line, column, reason."""
        return f"{path}:{self.line}: {self.column}: {self.reason}"


class Row(NamedTuple):
    """A line's event as JSON, and what decides where it goes."""

    line: int
    source: str
    seq: int
    city: str
    value: bytes


@dataclass
class Checked:
    """What a whole file holds. `numbered`: the file has no column `seq`; `highest`: number by source."""

    lines: int = 0
    good: int = 0
    bad: list[BadLine] = field(default_factory=list)
    numbered: bool = False
    highest: dict[str, int] = field(default_factory=dict)


def check(path: Path, catalogue: Catalogue, now_ms: int) -> Checked:
    """Read `path` whole, and judge each line by `catalogue` as the workers would at `now_ms`.

    Errors: OSError; ValueError where it is no CSV file with such a header, or is not UTF-8: file, line and reason.
    """
    checked, validator = Checked(), Validator(catalogue)
    rows = _rows(path, checked)
    while chunk := list(islice(rows, CHECKED_AT_ONCE)):
        values = [row.value for row in chunk if isinstance(row, Row)]
        good = [row for row in chunk if isinstance(row, Row)]
        checked.bad += [row for row in chunk if isinstance(row, BadLine)]
        reasons = _reasons(values, catalogue, validator, now_ms)
        checked.bad += [BadLine(good[i].line, column, why) for i, (column, why) in reasons.items()]
        checked.good += len(good) - len(reasons)
        for row in good:
            checked.highest[row.source] = max(row.seq, checked.highest.get(row.source, 0))
    checked.bad.sort()
    return checked


def messages(path: Path, left_out: set[int]) -> Iterator[Row]:
    """The events of `path` but for the lines `left_out`. Errors: as `check`."""
    for row in _rows(path, Checked()):
        if isinstance(row, Row) and row.line not in left_out:
            yield row


def refuse_numbers(path: Path, checked: Checked, tops: Mapping[tuple[int, str], int]) -> None:
    """ValueError where lines that are numbered here would meet numbers that their source has used already."""
    for (partition, source), top in sorted(tops.items()):
        if checked.numbered and top > checked.highest.get(source, 0):
            raise ValueError(
                f"{path}: without a column seq its lines are numbered from 1 by source, and {source} has reached {top} "
                f"in partition {partition}: give the file a source of its own, or a column seq. Nothing was sent"
            )


def to_send(
    rows: Iterator[Row], partitions: int, tops: Mapping[tuple[int, str], int], window: int, passed: Callable[[], None]
) -> Iterator[Line]:
    """Where each event goes: the partition is that of its key, as every librdkafka chooses it.

    Those whose number lies below the window of their source there (`tops`: partition and source -> highest number) have
    been judged before, and would only be dead letters: `passed` is called for each instead.
    """
    for row in rows:
        key = row.city.encode()
        partition = crc32(key) % partitions
        top = tops.get((partition, row.source))
        if top is not None and row.seq <= top - window:
            passed()
        else:
            yield Line(row.line, key, row.value, partition=partition)


def _rows(path: Path, checked: Checked) -> Iterator[Row | BadLine]:
    numbers = Counter[str]()
    with path.open("rb") as file:
        reader = csv.reader(_texts(path, file), strict=True)
        names: list[str] | None = None
        while True:
            begin = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                break
            except csv.Error as error:
                raise ValueError(f"{path}:{begin}: no CSV: {error}") from None
            if not cells:
                continue
            if names is None:
                names = _header(path, begin, cells)
                checked.numbered = "seq" not in names
                continue
            checked.lines += 1
            yield _row(begin, names, cells, numbers)
        if names is None:
            raise ValueError(f"{path}: empty; the first line names the columns: {', '.join(NEEDED + OPTIONAL)}")


def _texts(path: Path, file: Iterator[bytes]) -> Iterator[str]:
    for number, line in enumerate(file, 1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(f"{path}:{number}: not UTF-8 at byte {error.start + 1} of the line") from None


def _header(path: Path, line: int, cells: list[str]) -> list[str]:
    missing = [name for name in NEEDED if name not in cells]
    unknown = [name for name in cells if name not in NEEDED + OPTIONAL]
    twice = sorted(name for name, n in Counter(cells).items() if n > 1)
    for what, names in ("missing", missing), ("unknown", unknown), ("twice", twice):
        if names:
            wanted = f"{', '.join(NEEDED)} (and {', '.join(OPTIONAL)}), separated by commas"
            raise ValueError(f"{path}:{line}: columns {what}: {', '.join(map(repr, names))}; wanted are {wanted}")
    return cells


def _row(line: int, names: list[str], cells: list[str], numbers: Counter[str]) -> Row | BadLine:
    if len(cells) != len(names):
        return BadLine(line, "-", f"{len(cells)} cells, the header has {len(names)}")
    fields = dict(zip(names, cells, strict=True))
    source = fields["source"]
    numbers[source] += 1  # also of a line that is bad: the numbers of the others do not hang on it
    for name in NEEDED:
        if not fields[name]:
            return BadLine(line, name, "empty")
    seq = fields.get("seq", str(numbers[source]))
    if not _INTEGER.fullmatch(seq) or len(seq) > 19 or int(seq) > MAX_SEQ:
        return BadLine(line, "seq", f"{seq!r}: a whole number from 0 to {MAX_SEQ} is wanted, without leading zeros")
    if not _NUMBER.fullmatch(fields["value"]):
        return BadLine(line, "value", f"{fields['value']!r}: a number such as 1250.75 is wanted, as JSON writes it")
    event: dict[str, object] = {"source": source, "seq": int(seq), "city": fields["city"]}
    event["indicator"] = fields["indicator"]
    event |= {name: fields[name] for name in ("industry", "period") if fields.get(name)}
    event |= {"op": fields["op"], "at": fields["at"]}
    text = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
    return Row(line, source, int(seq), fields["city"], f'{text[:-1]},"value":{fields["value"]}}}'.encode())


def _reasons(
    values: list[bytes], catalogue: Catalogue, validator: Validator, now_ms: int
) -> dict[int, tuple[str, str]]:
    """Of the messages that would be rejected, by place: the column, and why."""
    limits = catalogue.limits
    columns = decode(values, limits.message_bytes, limits.event_bytes)
    found: dict[int, tuple[str, str]] = {}
    for reject in columns.rejects:
        name, _, why = reject.detail.partition(": ")
        found[reject.message] = (name, why) if name in NEEDED + OPTIONAL else ("-", reject.detail)
    failed = validator.check(columns, np.full(len(columns), now_ms, dtype=np.int64)).failed
    for row in np.flatnonzero(failed != NO_REASON).tolist():
        found[int(columns.message[row])] = _said(int(failed[row]), columns, row, catalogue)
    return found


def _said(number: int, columns: Columns, row: int, catalogue: Catalogue) -> tuple[str, str]:
    if number == MALFORMED_TIME:
        return "at", f"{columns.at[row]!r}: an RFC 3339 time with an offset is wanted, as 2023-02-01T08:00:12+08:00"
    reason = Reason(number)
    column = _COLUMN.get(reason, "-")
    if reason is Reason.BAD_PERIOD and columns.period[row] is None:
        column = "at"
    detail = detail_of(reason, catalogue=catalogue, **columns.fields(row))
    return column, f"{reason.code}: {detail}"
