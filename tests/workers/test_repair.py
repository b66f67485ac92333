"""Repairing dead letters: what becomes of any bytes that a letter can hold, and what is told to be no event."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from index.catalogue import Limits
from stream.letters import Letter
from tests.stream.made_messages import EVENT, LONG
from workers.dead_letters import Filter, Stored, repaired


def raw(**changes: str | None) -> bytes:
    """An event as JSON; a change is a JSON text, None leaves the field out."""
    fields = {**EVENT, **changes}
    return ("{" + ",".join(f'"{name}":{text}' for name, text in fields.items() if text is not None) + "}").encode()


def stored(value: bytes, partition: int = 3, offset: int = 17) -> Stored:
    return Stored(Letter(1, 5, 2, "bad-value", "why", 1_700_000_000_000, value), partition, offset)


def mend(value: bytes, *assignments: str, program: Path | None = None) -> dict[str, Any] | None:
    """The event that is sent for a letter; None where it is told to be unreadable."""
    events, unreadable = repaired([stored(value)], list(assignments), program)
    assert len(events) + len(unreadable) == 1
    if unreadable:
        assert unreadable == ["indicator-events/1/5/2"]
        return None
    return json.loads(events[0].value, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


USUAL = json.loads(raw()) | {"source": "dlq/3/0", "seq": 17}


def test_a_fresh_identity_and_nothing_else_is_changed():
    assert mend(raw()) == USUAL
    assert mend(raw(note='{"by":[1,null]}')) == USUAL | {"note": {"by": [1, None]}}


def identity(value: bytes, partition: int, offset: int) -> tuple[str, int]:
    events, _ = repaired([stored(value, partition, offset)], [], None)
    event = json.loads(events[0].value)
    return event["source"], event["seq"]


@pytest.mark.parametrize("offset", [0, 4095, 4096, 4097, 12_345_678])
def test_no_letter_is_ever_below_the_window_of_its_source(offset: int):
    """However many letters were replayed before it: the numbers of a source span one default window."""
    source, seq = identity(raw(), 3, offset)
    assert (source, seq) == (f"dlq/3/{offset // 4096}", offset)
    assert {identity(raw(), 3, seq - seq % Limits().window + i)[0] for i in (0, Limits().window - 1)} == {source}


@pytest.mark.parametrize("source", ["dlq/1", "dlq/1/2"])
def test_a_replayed_letter_that_was_rejected_again_keeps_its_identity(source: str):
    """Replayed before the cause was mended: both letters are of one event, and it counts once."""
    again = raw(source=f'"{source}"', seq="8200")
    assert identity(again, 3, 9_000_000) == identity(raw(), 1, 8200) == ("dlq/1/2", 8200)


def test_of_letters_of_one_event_the_latest_is_sent():
    """Else a letter that nobody can mend would double with every replay."""
    first, again = stored(raw(city='"1"'), 1, 8200), stored(raw(source='"dlq/1/2"', seq="8200", city='"2"'), 0, 70)
    again = again._replace(letter=again.letter._replace(timestamp_ms=first.letter.timestamp_ms + 1))
    for letters in ([first, again], [again, first]):
        events, unreadable = repaired(letters, [], None)
        assert [json.loads(event.value)["city"] for event in events] == ["2"]
        assert unreadable == []


@pytest.mark.parametrize(
    ("source", "seq"),
    [("dlq/", "5"), ("dlq/x", "5"), ("dlq/1", "true"), ("dlq/1", "-1"), ("dlq/1", "1e3"), ("dlq/1", LONG), ("a", "5")],
)
def test_what_no_replay_has_sent_has_the_identity_of_its_letter(source: str, seq: str):
    assert identity(raw(source=f'"{source}"', seq=seq), 3, 17) == ("dlq/3/0", 17)


@pytest.mark.parametrize(
    ("assignment", "wanted"),
    [
        ("value=12.5", {"value": 12.5}),
        ("value=-3", {"value": -3}),
        ("value=1e2", {"value": 100.0}),
        ("city=330200", {"city": "330200"}),
        ('city="330200"', {"city": "330200"}),
        ("indicator=dti.cloud", {"indicator": "dti.cloud"}),
        ("period=2023", {"period": "2023"}),
        ("period=null", {"period": None}),
        ("industry=null", {"industry": None}),
        ("at=2023-02-01T08:00:12+08:00", {"at": "2023-02-01T08:00:12+08:00"}),
        ("op=add", {"op": "add"}),
        ("note=a=b", {"note": "a=b"}),
        ("source=me", {}),  # the identity is the letter's, whatever is asked for
        ("seq=1", {}),
    ],
)
def test_an_assignment(assignment: str, wanted: dict[str, Any]):
    assert mend(raw(), assignment) == USUAL | wanted


def test_an_assignment_without_equals_is_an_error():
    with pytest.raises(ValueError, match="city: field=value is wanted"):
        repaired([], ["city"], None)


@pytest.mark.parametrize(
    ("value", "assignment", "field"),
    [
        (raw(city='"\\ud800"'), "city=330100", "city"),
        (raw(value="1" + "0" * 400), "value=1", "value"),
        (raw(value="1e400"), "value=1", "value"),
        (raw(value=LONG), "value=1", "value"),
        (raw(seq=LONG), "op=add", "op"),
        (raw(source=None), "op=add", "op"),
        (raw(city="7"), "city=330100", "city"),
    ],
)
def test_what_the_workers_could_read_can_be_mended(value: bytes, assignment: str, field: str):
    wanted: Any = assignment.partition("=")[2]
    assert mend(value, assignment) == USUAL | {field: 1 if field == "value" else wanted}


def test_half_of_a_pair_is_sent_as_it_was_spelt():
    assert mend(raw(note='"\\ud800"')) == USUAL | {"note": "\ud800"}


def test_10_to_the_400_is_sent_as_it_is():
    event = mend(raw(value="1" + "0" * 399))
    assert event is not None
    assert event["value"] == 10**399


@pytest.mark.parametrize(
    "value",
    [
        *(b"", b"7", b"null", b"[1]", raw()[:-1], raw() + b"x", b"\xff" + raw(), b"\xef\xbb\xbf" + raw()),
        *(raw(value="NaN"), raw(note="Infinity"), raw(value="1e400"), raw(value=LONG), b"[" * 100_000),
        raw().decode().encode("utf-16"),
    ],
)
def test_what_is_no_event_is_told(value: bytes):
    assert mend(value) is None


def program(folder: Path, script: str) -> Path:
    path = folder / "repair"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_a_program_mends(tmp_path: Path):
    assert mend(raw() + b"x", program=program(tmp_path, "sed -e 's/x$//'")) == USUAL
    assert mend(raw() + b"x", "value=2", program=program(tmp_path, "sed -e 's/x$//'")) == USUAL | {"value": 2}


def test_a_program_that_fails_mends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert mend(raw(), program=program(tmp_path, "exit 3")) is None
    monkeypatch.setattr("workers.dead_letters.REPAIR_S", 0.05)
    assert mend(raw(), program=program(tmp_path, "exec cat /dev/zero > /dev/null")) is None
    with pytest.raises(OSError, match="nowhere"):
        mend(raw(), program=tmp_path / "nowhere")


def test_the_key_is_the_city():
    events, _ = repaired([stored(raw()), stored(raw(city="7"), 0, 1)], [], None)
    assert [event.key for event in events] == [b"330100", None]


def test_filters():
    letter = stored(raw()).letter
    assert Filter().takes(letter)
    assert Filter(reason="bad-value", position="indicator-events/1/5/2").takes(letter)
    assert not Filter(reason="malformed").takes(letter)
    assert not Filter(reason="bad-value", position="indicator-events/1/5/1").takes(letter)
