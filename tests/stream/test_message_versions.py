"""Schema versions of messages: newer ones are refused by name whatever their form, older ones are read by a table."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from stream import messages
from stream.catalogue_log import catalogue_of, record_of
from stream.errors import MessageError, NewerMessageError
from stream.messages import ControlActive, decode_message, encode, read_message
from tests.shops import shops
from workers.verify.catalogue import KEY, record_catalogue
from workers.verify.errors import VerifyError

ACTIVE = ControlActive(system="small", version=3, author="a", reason="r", at="2023-01-01T00:00:00Z")
PLAIN: dict[str, Any] = msgspec.to_builtins(ACTIVE)


def changed(**changes: Any) -> bytes:
    return encode({k: v for k, v in {**PLAIN, **changes}.items() if v is not ...})


def test_ours_and_one_that_names_none() -> None:
    assert decode_message(ControlActive, encode(ACTIVE), "here") == ACTIVE
    assert decode_message(ControlActive, changed(schema=...), "here") == ACTIVE


def test_keys_that_are_not_known_are_ignored() -> None:
    """What a newer worker adds within a version; older readers go on."""
    assert decode_message(ControlActive, changed(approved_by="b", more={"x": [1]}), "here") == ACTIVE


@pytest.mark.parametrize(
    "value", [changed(schema=2), changed(schema=2, version="three"), changed(schema=2, author=...), b'{"schema":99}']
)
def test_a_newer_one_is_refused_by_name_whatever_its_form(value: bytes) -> None:
    with pytest.raises(NewerMessageError, match=r"control small/active: schema \d+, this worker knows 1; upgrade"):
        decode_message(ControlActive, value, "control small/active")
    with pytest.raises(NewerMessageError):
        read_message(ControlActive, value, "control small/active", lambda text: None)


FOREIGN = [b"", b"x", b"7", b"[]", b"{}", b"\xff", b'{"schema":"1"}', b'{"schema":null}', b"[" * 5000, b'{"schema":1}']
FOREIGN += [
    changed(version="three"),
    changed(author=...),
    changed(schema=0, author=...),
    changed(schema=True),
    b'{"\xff":1}',
]


@pytest.mark.parametrize("value", FOREIGN)
def test_a_foreign_record_is_named_and_passed_over(value: bytes) -> None:
    with pytest.raises(MessageError, match=r"here: not a ControlActive") as told:
        decode_message(ControlActive, value, "here")
    assert not isinstance(told.value, NewerMessageError)
    heard: list[str] = []
    assert read_message(ControlActive, value, "here", heard.append) is None
    assert heard == [str(told.value)]


def test_an_older_one_is_read_by_its_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were ours version 2, with `author` where version 1 had `who`."""

    class First(msgspec.Struct):
        system: str
        version: int
        who: str

    def read(value: bytes) -> ControlActive:
        old = msgspec.json.decode(value, type=First)
        return ControlActive(system=old.system, version=old.version, author=old.who, reason="", at="")

    monkeypatch.setattr(messages, "SCHEMA", 2)
    monkeypatch.setattr(messages, "OLDER", {(ControlActive, 1): read})
    first = b'{"schema":1,"system":"small","version":3,"who":"a"}'
    assert decode_message(ControlActive, first, "here").author == "a"
    assert decode_message(ControlActive, first.replace(b'"schema":1,', b""), "here").author == "a"
    assert decode_message(ControlActive, changed(schema=2), "here").author == "a"
    with pytest.raises(MessageError, match="not a ControlActive of schema 1"):
        decode_message(ControlActive, b'{"schema":1,"system":"small"}', "here")
    monkeypatch.setattr(messages, "OLDER", {})
    with pytest.raises(NewerMessageError, match="this build no longer reads it"):
        decode_message(ControlActive, first, "here")


def test_a_catalogue_of_a_newer_version_stops_whoever_meets_it() -> None:
    """Not a message like any other: a worker that counted it as malformed would judge what follows by the wrong one."""
    record = record_of(shops())
    for value in (record[:-1] + b',"schema":2}', b'{"catalogue":[],"schema":7}'):
        with pytest.raises(NewerMessageError, match=r"`catalogue`: schema \d, this worker knows 1; upgrade"):
            catalogue_of(value)
        with pytest.raises(VerifyError, match="this verify reads 1"):
            record_catalogue(KEY, value)
    assert catalogue_of(record[:-1] + b',"schema":1}') == shops()
    assert record_catalogue(KEY, record[:-1] + b',"schema":1}') is not None
    for other in (b"0", b"true", b'"2"', b"null", b"2.0"):
        assert catalogue_of(record[:-1] + b',"schema":' + other + b"}") is None
        assert record_catalogue(KEY, record[:-1] + b',"schema":' + other + b"}") is None
