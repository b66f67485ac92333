"""Foreign records on `control`, on `revisions` and on the log: named, passed over, and what runs goes on.

Mutated forms of what stands there, under our keys and under others, written while a system runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import msgspec
import pytest
from confluent_kafka import Producer

from stream.control import read_control, read_system
from stream.errors import MessageError
from stream.messages import ControlActive, ControlVersion, encode
from stream.published import read_back
from stream.tail import high_watermarks, read_to
from stream.topics import (
    CONTROL,
    EVENTS,
    REVISIONS,
    SYSTEM_PARTITIONS,
    partition_of,
)
from tests.waiting import eventually
from tests.workers.desk import PARTITIONS, STILL_S
from tests.workers.small import CITIES, SYSTEM, TEXT, Small

pytestmark = pytest.mark.servers
HERE = partition_of(SYSTEM)
NO_JSON = [b"", b"x", b"\xff\xfe", b"{", b"[" * 5000, b"NaN", b'{"schema":1', b"\x00" * 100]
OTHER_JSON = [b"{}", b"[]", b"7", b"null", b'{"schema":1}', b'{"schema":"2"}', b'{"schema":1,"revision":"x"}']


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Small]:
    with Small(tmp_path_factory.mktemp("foreign")) as small:
        yield small


def write(small: Small, records: list[tuple[str, bytes | None, bytes | None]], partition: int = HERE) -> None:
    producer = Producer({"bootstrap.servers": small.servers.kafka, "linger.ms": 5})
    for topic, key, value in records:
        producer.produce(topic, value, key, partition)
    assert producer.flush(STILL_S) == 0


def held(small: Small, topic: str) -> list[tuple[bytes, bytes]]:
    """Key and value of what stands on a topic."""
    ends = high_watermarks(small.servers.kafka, [(topic, HERE)])
    found = [(m.key(), m.value()) for m in read_to(small.servers.kafka, ends)]
    return [(k, v) for k, v in found if isinstance(k, bytes) and isinstance(v, bytes)]


def broken(random: Random, value: bytes) -> bytes:
    """What can no longer be read as what it was."""
    sort = random.randrange(4)
    if sort == 0:
        return value[: random.randrange(len(value))]
    if sort == 1:
        return random.choice(NO_JSON + OTHER_JSON)
    data: dict[str, Any] = msgspec.json.decode(value)
    name = random.choice(
        [n for n in data if n in ("system", "revision", "version", "author", "entity", "ranking", "rule")]
    )
    if sort == 2:
        del data[name]
    else:
        data[name] = random.choice([None, [], {}, 1.5, True])
    return encode(data)


def goes_on(small: Small) -> int:
    """Another revision with all that was sent."""
    number = small.seq // 4
    small.flow(CITIES[number % len(CITIES)], f"2021-08-{number % 28 + 1:02d}", 1, 2, 3, 4)
    return small.settled()


def test_on_control(small: Small, pytestconfig: pytest.Config) -> None:
    random = Random(int(pytestconfig.option.hypothesis_seed))
    standing = held(small, CONTROL)
    keys = [k for k, _ in standing] + [
        b"",
        b"\xff",
        b"x",
        b"small",
        b"small/",
        b"/active",
        b"small/one",
        b"other/active",
    ]
    records: list[tuple[str, bytes | None, bytes | None]] = [(CONTROL, b"small/8", None)]
    for _ in range(150):
        _, value = random.choice(standing)
        records.append((CONTROL, random.choice(keys), broken(random, value)))
    active = ControlActive(system="small", version=9, author="a", reason="r", at="")
    nine = ControlVersion(system="small", version=9, definition=TEXT, author="a", reason="r", at="")
    records += [(CONTROL, b"other/active", encode(active)), (CONTROL, b"small/7", encode(nine))]
    for partition in range(SYSTEM_PARTITIONS):
        write(small, records, partition)
    eventually(
        lambda: small.lines("index", "record refused", "control small/"), STILL_S, lambda: small.crew.log("index")
    )
    goes_on(small)
    control = read_system(small.servers.kafka, SYSTEM)
    assert control.in_force() is not None
    assert any("is not its key" in text for text in control.refused)
    assert {
        v for c in read_control(small.servers.kafka, list(range(SYSTEM_PARTITIONS))).values() for v in c.versions
    } == {1}


@pytest.mark.parametrize(
    "text", ["", "x = [", TEXT.replace("weights = [0.5, 0.5]", "weights = [0.5]"), "\x00", TEXT * 2]
)
def test_a_broken_definition_in_force(small: Small, text: str) -> None:
    """Written past the command that checks: refused by name, and the one that runs goes on."""
    before = len(small.lines("index", "definition refused"))
    version = ControlVersion(system=SYSTEM, version=2, definition=text, author="a", reason="r", at="")
    active = ControlActive(system=SYSTEM, version=2, author="a", reason="r", at="")
    write(small, [(CONTROL, b"small/2", encode(version)), (CONTROL, b"small/active", encode(active))])
    eventually(
        lambda: len(small.lines("index", "definition refused")) > before, STILL_S, lambda: small.crew.log("index")
    )
    goes_on(small)
    write(small, [(CONTROL, b"small/active", encode(msgspec.structs.replace(active, version=1)))])


def test_on_the_log(small: Small, pytestconfig: pytest.Config) -> None:
    """Records with the key of a catalogue that hold none are events like any others, and no good ones."""
    random = Random(int(pytestconfig.option.hypothesis_seed))
    before = small.counts()
    ends = high_watermarks(small.servers.kafka, [(EVENTS, 0)])
    [catalogue] = [m.value() for m in read_to(small.servers.kafka, ends) if m.key() == b"catalogue"][:1]
    assert isinstance(catalogue, bytes)
    values = [catalogue[: random.randrange(13, len(catalogue))] for _ in range(10)]
    values += [
        b'{"catalogue":' + b"[" * 50_000,
        b'{"catalogue":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
        catalogue[:-1],
    ]
    for p in range(PARTITIONS):
        small.send(values, partition=p, key=b"catalogue")
    goes_on(small)
    moved = small.counts() - before
    assert sum(n for name, n in moved.items() if name.startswith("rejected:")) == len(values) * PARTITIONS


def test_the_newest_revision_is_not_numbered_again(small: Small) -> None:
    """A foreign record in its place: the worker that starts says so, and publishes nothing."""
    goes_on(small)
    assert small.crew.end("index") == 0
    found = read_back(small.servers.kafka, SYSTEM).revision
    assert found is not None
    last = found.revision  # perhaps one more: tables that were due
    key = f"{SYSTEM}/{last % 1000}".encode()
    [newest] = [value for k, value in held(small, REVISIONS) if k == key][-1:]
    write(small, [(REVISIONS, key, b"x")])
    with pytest.raises(MessageError, match=f"values name revision {last}, the last that is held is {last - 1}"):
        read_back(small.servers.kafka, SYSTEM)
    write(small, [(REVISIONS, key, newest)])
    assert read_back(small.servers.kafka, SYSTEM).revision is not None
