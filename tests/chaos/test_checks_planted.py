"""What the trial's own checks are there to find, planted one by one. No servers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from stream.letters import Letter
from stream.messages import AlertMessage, encode
from tests.chaos.alerts_along import Heard, Key, differences, key_of
from tests.chaos.letters_along import Letters
from tests.workers.test_verify_data import catalogue_record

GOOD = {"source": "s", "seq": 1, "city": "a", "indicator": "pay", "industry": "food", "op": "add", "value": 1}
RAW = json.dumps({**GOOD, "at": "2021-01-02T00:00:00+08:00"}).encode()
BAD = RAW.replace(b'"add"', b'"set"')


def letter(raw: bytes = BAD, reason: str = "bad-op", offset: int = 1, element: int = 0) -> Letter:
    return Letter(0, offset, element, reason, "", 1_700_000_000_000, raw)


@pytest.fixture
def letters() -> Letters:
    made = Letters("127.0.0.1:1", 1)  # asks nobody
    made.record(0, b"catalogue", catalogue_record(window=64))
    return made


def met(letters: Letters, *taken: Letter, value: bytes = BAD) -> list[str]:
    for each in taken:
        letters.take(each)
    letters.meet([taken[0]], value, 1_700_000_000_000)
    return letters.wrong


def test_a_letter_and_its_repeat_are_right(letters: Letters) -> None:
    assert met(letters, letter(), letter()) == []
    assert (letters.counts(), letters.repeats) == ({"rejected:bad-op": 1}, 1)


def test_a_reason_that_depends_on_the_past_is_left_to_the_counts(letters: Letters) -> None:
    assert met(letters, letter(RAW, "stale-sequence"), value=RAW) == []


@pytest.mark.parametrize(
    ("taken", "value", "named"),
    [
        ([letter(), letter(reason="malformed")], BAD, "bad-op"),
        ([letter(), letter(BAD + b" ")], BAD, "then"),
        ([letter(RAW)], RAW, "by verify's checks good"),
        ([letter(reason="malformed")], BAD, "rejected as malformed, by verify's checks bad-op"),
        ([letter(b"{")], b"{", "by verify's checks malformed"),
        ([letter(element=1)], BAD, "no such element"),
        ([letter(RAW)], BAD, "do not stand in its record"),
    ],
)
def test_a_wrong_letter(letters: Letters, taken: list[Letter], value: bytes, named: str) -> None:
    assert named in "\n".join(met(letters, *taken, value=value))


def alert(state: str = "firing", revision: int = 3, **more: Any) -> AlertMessage:
    said: dict[str, Any] = {
        "system": "s", "rule": "drop", "type": "drop", "severity": "page", "title": "", "entity": "a", "node": None,
        "period": "2021Q1", "value": -0.2, "bound": -0.1, "since": 1, "at": 2, "held_by": "",
        "cause": None, "links": {},
    }  # fmt: skip
    return AlertMessage(**{**said, "state": state, "revision": revision, **more})


def told(*alerts: AlertMessage) -> dict[Key, list[AlertMessage]]:
    out: dict[Key, list[AlertMessage]] = {}
    for each in alerts:
        out.setdefault(key_of(each), []).append(each)
    return out


STORY = (alert(), alert("resolved", 5), alert(revision=4, entity="b"))

SPOILT: list[tuple[str, Callable[[list[AlertMessage]], Any], str]] = [
    ("fired twice", lambda s: s.insert(1, s[0]), "drop/a: 2 transitions by the rules, 3 told; transition 2"),
    ("never resolved", lambda s: s.pop(1), "drop/a: 2 transitions by the rules, 1 told"),
    ("never fired", lambda s: s.pop(2), "drop/b: 1 transitions by the rules, 0 told"),
    ("of nobody", lambda s: s.append(alert(entity="c")), "drop/c: 0 transitions by the rules, 1 told"),
    ("one revision late", lambda s: s.__setitem__(0, alert(revision=4)), "drop/a: 2 transitions by the rules, 2 told"),
    ("another value", lambda s: s.__setitem__(1, alert("resolved", 5, value=-0.1)), "transition 2"),
    ("held instead", lambda s: s.__setitem__(2, alert("held", 4, entity="b", held_by="x")), "drop/b"),
]


def test_the_same_alerts_are_no_difference() -> None:
    assert differences(told(*STORY), told(*(msgspec.structs.replace(each, links={"x": "y"}) for each in STORY))) == []


@pytest.mark.parametrize(("spoil", "named"), [each[1:] for each in SPOILT], ids=[each[0] for each in SPOILT])
def test_other_alerts(spoil: Callable[[list[AlertMessage]], Any], named: str) -> None:
    by_worker = list(STORY)
    spoil(by_worker)
    found = differences(told(*STORY), told(*by_worker))
    assert named in "\n".join(found)
    assert len(found) == 1


def test_what_is_heard_of_alerts() -> None:
    heard = Heard("127.0.0.1:1", "s")
    heard.take("state/s/head", b'{"revision":7,"watermark_us":1,"day":2}')
    heard.take("state/position", b"{}")
    heard.take("drop/a/other", encode(alert(system="other")))
    heard.take("drop/a/s", encode(alert()))
    heard.take("drop/a/s", encode(alert(cause={"x": 1})))
    assert (heard.evaluated, heard.causes, heard.wrong) == (7, 1, [])
    assert heard.told == told(alert())
    heard.take("drop/a/s", encode(alert(revision=4, cause={"x": 1})))
    heard.take("drop/a/s", None)
    assert len(heard.wrong) == 2
