"""The watcher of the fault tests finds what it is there for: a true story, and each way to spoil it. No servers."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from stream.topics import DELTAS, RANKINGS, REVISIONS, UPDATES
from tests.workers.watcher import Book

Record = tuple[str, str, dict[str, Any] | None]
TABLE = "cities/2021Q2"


def update(entity: str, revision: int, value: float) -> Record:
    said = {"system": "s", "entity": entity, "period": "2021Q2", "revision": revision, "definition": 1}
    return UPDATES, f"{entity}/2021Q2", {**said, "value": value, "nodes": {}}


def delta(
    revision: int, size: int, moved: list[tuple[str, int | None, int | None, float | None]], *shifted: Any
) -> Record:
    columns = dict(zip(("entity", "was", "rank", "value"), map(list, zip(*moved, strict=True)), strict=True))
    said = {"system": "s", "ranking": "cities", "period": "2021Q2", "scope": None, "revision": revision, "size": size}
    return DELTAS, TABLE, {**said, "moved": columns, "shifted": list(shifted)}


def table(revision: int, *rows: tuple[str, int, float]) -> Record:
    columns = dict(zip(("entity", "rank", "value"), map(list, zip(*rows, strict=True)), strict=True))
    said = {"system": "s", "ranking": "cities", "period": "2021Q2", "scope": None, "revision": revision}
    shape = {"measure": "value", "node": "index", "left_out": {"entity": ["d"], "reason": ["no-data"]}}
    return RANKINGS, TABLE, {**said, **shape, "rows": {**columns, "change": [None] * len(rows)}}


def revision(number: int, reason: str, offset: int, **counts: int) -> Record:
    said = {"system": "s", "revision": number, "definition": 1, "catalogue": 1, "reason": reason, "watermark": offset}
    events = {"accepted": offset - 1, "duplicate": 1, "rejected": {}}
    numbers = {"updates": 0, "deltas": 0, "tables": 0, **counts}
    return REVISIONS, str(number), {**said, "offsets": {"0": offset, "1": 7}, "counts": events, **numbers}


def story() -> dict[int, list[Record]]:
    """Three cities; then b overtakes a; then the whole table follows."""
    return {
        1: [
            *(update("a", 1, 30.0), update("b", 1, 20.0), update("c", 1, 10.0)),
            delta(1, 3, [("a", None, 1, 30.0), ("b", None, 2, 20.0), ("c", None, 3, 10.0)]),
            table(1, ("a", 1, 30.0), ("b", 2, 20.0), ("c", 3, 10.0)),
            revision(1, "start", 5, updates=3, deltas=1, tables=1),
        ],
        2: [
            *(update("b", 2, 40.0), delta(2, 3, [("b", 2, 1, 40.0)], (1, 1, 1))),
            revision(2, "feed", 9, updates=1, deltas=1),
        ],
        3: [table(3, ("b", 1, 40.0), ("a", 2, 30.0), ("c", 3, 10.0)), revision(3, "feed", 9, tables=1)],
    }


def read(records: dict[int, list[Record]]) -> Book:
    book = Book("s")
    for each in records.values():
        for topic, key, value in copy.deepcopy(each):
            book.take(topic, key, None if value is None else json.dumps(value).encode())
        book.advance()
    return book


def test_a_true_story() -> None:
    read(story()).close(3)


def value_of(told: dict[int, list[Record]], number: int, place: int) -> Any:
    return told[number][place][2]


SPOILT: list[tuple[str, Callable[[dict[int, list[Record]]], Any], str]] = [
    ("a revision is missing", lambda s: s.pop(2), "not contiguous"),
    ("a revision comes twice", lambda s: s[3].append(s[2][-1]), "after revision 2 was whole"),
    ("offsets go back", lambda s: value_of(s, 2, -1)["offsets"].update({"1": 6}), "partition 1 goes back from 7 to 6"),
    ("counts fall", lambda s: value_of(s, 2, -1)["counts"].update(duplicate=0), "duplicate falls from 1 to 0"),
    (
        "same offsets, other counts",
        lambda s: value_of(s, 3, -1)["counts"].update(accepted=9),
        "other counts at the same",
    ),
    ("same offsets, other watermark", lambda s: value_of(s, 3, -1).update(watermark=3), "other watermark at the same"),
    ("a value is contradicted", lambda s: s[2].insert(1, update("b", 2, 41.0)), "twice, another value"),
    ("a value of a former revision", lambda s: s[3].insert(0, update("a", 2, 31.0)), "after revision 2 was whole"),
    ("a record too few", lambda s: s[2].pop(0), "revision 1 has come, 3 is the last"),
    ("a delta does not fit", lambda s: value_of(s, 2, 1)["moved"].update(was=[3]), "b was 3, and stands at 2"),
    ("a delta with a wrong shift", lambda s: value_of(s, 2, 1).update(shifted=[[1, 2, 1]] * 2), "lies in 2 ranges"),
    ("a delta without a shift", lambda s: value_of(s, 2, 1).update(shifted=[]), "by the deltas; (table, deltas) first"),
    ("a delta of another size", lambda s: value_of(s, 2, 1).update(size=4), "size 4, applied it has 3 rows"),
    (
        "a table with another value",
        lambda s: value_of(s, 3, 0)["rows"].update(value=[40.0, 30.5, 10.0]),
        "table, deltas",
    ),
    ("a wrong change", lambda s: value_of(s, 3, 0)["rows"].update(change=[1, None, None]), "b change 1"),
    ("somebody left out, and in", lambda s: value_of(s, 3, 0)["left_out"].update(entity=["c"]), "left out, and in it"),
    ("a table that its updates deny", lambda s: value_of(s, 2, 0).update(value=39.0), "its update says 39.0"),
    ("a table that lags for ever", lambda s: s.pop(3), "revision 2 has come, 3 is the last"),
    ("a table is removed", lambda s: s[3].insert(1, (RANKINGS, TABLE, None)), "removed, and the deltas leave 3 rows"),
    ("a tombstone of a revision", lambda s: s[3].append((REVISIONS, "1", None)), "a tombstone"),
    ("another definition's value", lambda s: value_of(s, 2, 0).update(definition=2), "definition 2 in revision 2"),
]


@pytest.mark.parametrize(("spoil", "named"), [each[1:] for each in SPOILT], ids=[each[0] for each in SPOILT])
def test_a_spoilt_one(spoil: Callable[[dict[int, list[Record]]], Any], named: str) -> None:
    told = story()
    spoil(told)
    with pytest.raises(AssertionError) as caught:
        read(told).close(3)
    assert named in str(caught.value)
