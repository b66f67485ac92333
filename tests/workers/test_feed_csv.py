"""A CSV file as events: digits as they stand, each bad line told with its column, numbers that stay."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.shops import shops
from workers.feed_csv import BadLine, Checked, Row, check, messages, refuse_numbers, to_send

NOW_MS = 1_700_000_000_000
HEADER = "source,seq,city,indicator,industry,op,value,at,period\n"
GOOD = "pay,1,anna,till.sales,tea,add,1250.75,2022-06-30T12:00:00+02:00,\n"


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "events.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def looked(folder: Path, text: str | bytes) -> Checked:
    return check(written(folder, text), shops(), NOW_MS)


def sent(folder: Path, text: str | bytes) -> list[Row]:
    return list(messages(written(folder, text), set()))


@pytest.mark.parametrize(
    "text",
    [
        HEADER + GOOD,
        ("\ufeff" + HEADER + GOOD).encode(),
        (HEADER + GOOD).replace("\n", "\r\n"),
        HEADER + "\n" + GOOD.replace("pay,", '"pay",').replace("1250.75", '"1250.75"').rstrip("\n"),
    ],
)
def test_a_line_is_an_event(tmp_path: Path, text: str | bytes):
    """With and without a byte order mark, quotes, an end of the last line."""
    assert not looked(tmp_path, text).bad
    [row] = sent(tmp_path, text)
    assert json.loads(row.value) == {
        **{"source": "pay", "seq": 1, "city": "anna", "indicator": "till.sales", "industry": "tea", "op": "add"},
        **{"value": 1250.75, "at": "2022-06-30T12:00:00+02:00"},
    }


@given(st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-(10**12), max_value=10**12))
@settings(max_examples=50)
def test_the_digits_are_those_of_the_file(tmp_path_factory: pytest.TempPathFactory, value: Decimal):
    [row] = sent(tmp_path_factory.mktemp("csv"), HEADER + GOOD.replace("1250.75", f"{value:f}"))
    assert f'"value":{value:f}}}'.encode() in row.value


@pytest.mark.parametrize("text", ["1250.750", "-0.00", "12e-1", "1E+2", "100000000000000000000000000000.5"])
def test_a_number_is_copied(tmp_path: Path, text: str):
    [row] = sent(tmp_path, HEADER + GOOD.replace("1250.75", text))
    assert row.value.endswith(f'"value":{text}}}'.encode())


@pytest.mark.parametrize(
    ("old", "new", "column", "why"),
    [
        ("1250.75", "1 250", "value", "a number such as"),
        ("1250.75", "1,5", "-", "10 cells, the header has 9"),
        ("1250.75", "05", "value", "a number such as"),
        ("1250.75", "NaN", "value", "a number such as"),
        ("1250.75", "", "value", "empty"),
        ("1250.75", "1.255", "value", "too-precise"),
        ("1250.75", "1e9", "value", "overflow"),
        ("pay,1", "pay,1.0", "seq", "whole number"),
        ("pay,1", f"pay,{2**63}", "seq", "whole number"),
        ("pay,1", "pa y,1", "source", "with blanks"),
        ("pay,1", "x" * 65 + ",1", "source", "1 to 64 characters"),
        ("pay,1", "till-1,1", "", ""),
        ("pay,1", "mute,1", "source", "not-allowed"),
        ("anna", "emma", "city", "unknown-city"),
        ("till.sales", "till.tips", "indicator", "unknown-indicator"),
        ("tea", "cola", "industry", "unknown-industry"),
        ("tea", "", "industry", "unknown-industry"),
        ("add", "set", "op", "bad-op"),
        ("+02:00", "", "at", "RFC 3339"),
        ("2022-06-30", "2022-06-31", "at", "RFC 3339"),
        ("2022-06-30", "1999-06-30", "at", "bad-period"),
        ("2022-06-30", "2023-12-30", "at", "from-the-future"),
        ("+02:00,", "+02:00,2022-13", "period", "bad-period"),
    ],
)
def test_a_bad_line_is_told(tmp_path: Path, old: str, new: str, column: str, why: str):
    """With its line, also behind a line that has a line break within quotes; its neighbours are good."""
    odd = GOOD.replace("tea", '"te\na"')
    found = looked(tmp_path, HEADER + GOOD + odd + GOOD.replace(old, new) + GOOD)
    told = [bad for bad in found.bad if bad.line == 5]
    assert (found.lines, found.good) == (4, 4 - len(found.bad))
    assert [bad.line for bad in found.bad] == [3] + [5] * bool(column)
    for bad in told:
        assert bad.column == column
        assert why in bad.reason
        assert bad.said(Path("x.csv")).startswith(f"x.csv:5: {column}: ")
    rows = list(messages(tmp_path / "events.csv", {bad.line for bad in found.bad}))
    assert [row.line for row in rows] == [2] + [5] * (not column) + [6]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty; the first line names the columns"),
        ("source;city\n", "columns missing: 'source', 'city'"),
        (HEADER.replace("period", "perod"), ":1: columns unknown: 'perod'"),
        (HEADER.replace("period", "seq"), ":1: columns twice: 'seq'"),
        (HEADER.encode() + b"pay,1,\xff\n", ":2: not UTF-8 at byte 7"),
        (HEADER + 'pay,"1"2\n', ":2: no CSV"),
        (HEADER + '"pay', ":2: no CSV"),
    ],
)
def test_what_is_no_such_file(tmp_path: Path, text: str | bytes, said: str):
    with pytest.raises(ValueError, match=r"events\.csv:") as refusal:
        looked(tmp_path, text)
    assert said in str(refusal.value)


def test_lines_are_numbered_by_source_and_bad_ones_keep_their_number(tmp_path: Path):
    line = "{},anna,till.visits,add,{},2022-06-30T12:00:00Z\n"
    text = "source,city,indicator,op,value,at\n" + "".join(
        line.format(source, value) for source, value in (("a", 1), ("b", 2), ("a", "x"), ("a", 4), ("b", 5))
    )
    found = looked(tmp_path, text)
    assert (found.numbered, found.highest) == (True, {"a": 3, "b": 2})
    assert [(bad.line, bad.column) for bad in found.bad] == [(4, "value")]
    rows = list(messages(tmp_path / "events.csv", {4}))
    assert [(row.source, row.seq) for row in rows] == [("a", 1), ("b", 1), ("a", 3), ("b", 2)]
    refuse_numbers(tmp_path, found, {(0, "a"): 3, (1, "b"): 1})
    with pytest.raises(ValueError, match=r"a has reached 4 in partition 1.*Nothing was sent"):
        refuse_numbers(tmp_path, found, {(1, "a"): 4})


def test_what_lies_below_the_window_is_not_sent_again():
    rows = [Row(i + 2, "a", i, "anna", b"{}") for i in range(10)]
    [partition] = {line.partition for line in to_send(iter(rows), 8, {}, 4, lambda: None)}
    below: list[int] = []
    lines = list(to_send(iter(rows), 8, {(partition, "a"): 9}, 4, lambda: below.append(1)))
    assert ([line.number for line in lines], len(below)) == ([8, 9, 10, 11], 6)
    assert len(list(to_send(iter(rows), 8, {((partition + 1) % 8, "a"): 9}, 4, lambda: None))) == 10


def test_bad_lines_sort_by_line():
    assert sorted([BadLine(10, "a", ""), BadLine(9, "b", "")])[0].line == 9
