"""Where a batch begins and ends, and which partitions it holds, changes nothing: neither sums nor counts nor letters.

DESIGN section 1, 5: whether an event is accepted is a function of its partition's log alone. Logs with every sort of
message, and catalogue records among them, are read whole and cut anywhere.
"""

from __future__ import annotations

from collections import Counter
from random import Random
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.catalogue import Catalogue, Limits
from state.keys import Partition
from stream.batches import Batch
from stream.catalogue_log import record_of
from stream.letters import Letter
from tests.state.test_aggregates import Mirror
from tests.stream.made_messages import EVENT, EVENT_BYTES, MESSAGE_BYTES, made_message
from workers.intake import Intake
from workers.settings import REPOSITORY

LIMITS = Limits(window=64, jump=10**7, message_bytes=MESSAGE_BYTES, event_bytes=EVENT_BYTES)
FIRST = msgspec.structs.replace(Catalogue.load(REPOSITORY / "systems" / "catalogue"), limits=LIMITS)
NOW_MS = 1_700_000_000_000


def changed(version: int, **limits: Any) -> Catalogue:
    """A later version: one city less, other limits."""
    kept = tuple(e for e in FIRST.entities if e.code != "330200")
    members = {group: tuple(m for m in codes if m != "330200") for group, codes in FIRST.members.items()}
    return msgspec.structs.replace(
        FIRST, version=version, entities=kept, members=members, limits=msgspec.structs.replace(LIMITS, **limits)
    )


VERSIONS = [
    FIRST,
    changed(2, window=16),
    changed(3, event_bytes=160),
    changed(4, message_bytes=150, event_bytes=EVENT_BYTES),
]
LATER = [record_of(catalogue) for catalogue in VERSIONS] + [
    record_of(msgspec.structs.replace(VERSIONS[1], version=9, timezone="Europe/Berlin")),  # is refused
    b'{"catalogue":{}}',
    b'{"catalogue":7,' + b",".join(b'"%s":%s' % (k.encode(), v.encode()) for k, v in EVENT.items()) + b"}",  # an event
]


class Record(NamedTuple):
    """One message of a partition."""

    partition: int
    offset: int
    own_key: bytes | None
    value: bytes | None

    def key(self) -> bytes | None:
        return self.own_key


def made_log(random: Random, partition: int, n: int) -> list[Record]:
    """Mostly events in order, some of them again; any sort of message; now and then a catalogue record."""
    out, wrong = [], random.choice([0.0, 0.02, 0.3])
    for offset in range(n):
        key, seq = None, random.choice([offset] * 9 + [max(0, offset - random.randrange(80))])
        fields = {**EVENT, "seq": str(seq), "city": random.choice(['"330100"', '"330200"'])}
        value: bytes | None = ("{" + ",".join(f'"{k}":{v}' for k, v in fields.items()) + "}").encode()
        if random.random() < wrong:
            value = made_message(random)
        if random.random() < 0.03:
            key, value = b"catalogue", random.choice(LATER)
        out.append(Record(partition, offset, key, value))
    return out


class Worker:
    """What an ingest worker does with reads, without Kafka and Redis: two partitions, a mirror of each, letters."""

    def __init__(self) -> None:
        self.mirrors = {p: Mirror(FIRST) for p in (0, 1)}
        self.letters: list[Letter] = []
        self.intake = Intake()

    def read(self, records: list[Record]) -> None:
        """One read: runs of a partition, each in the order of its log."""
        batch = Batch(
            partition=np.array([r.partition for r in records], dtype=np.int32),
            offset=np.array([r.offset for r in records], dtype=np.int64),
            timestamp_ms=np.array([NOW_MS + r.offset for r in records], dtype=np.int64),
            values=[r.value for r in records],
            messages=cast(Any, records),
        )
        owned = {p: SimpleNamespace(aggregates=m.aggregates, lost=None) for p, m in self.mirrors.items()}
        for share in list(self.intake.shares(batch, cast(Any, owned))):
            mirror = self.mirrors[share.partition]
            letters, rows = self.intake.add(mirror.aggregates, share)
            mirror.flushed(mirror.aggregates.flush_batch(share.end, rows))
            self.letters += letters
            if share.new_catalogue is not None:
                mirror.restore(share.new_catalogue)

    def state(self) -> dict[int, Any]:
        return {p: (m.offset, m.rows, m.windows, m.counts, m.watermark_us) for p, m in self.mirrors.items()}


def played(logs: dict[int, list[Record]], random: Random | None) -> Worker:
    """Read `logs` one message at a time (None), or in random reads of one or both partitions."""
    worker = Worker()
    while any(worker.mirrors[p].offset < len(log) for p, log in logs.items()):
        records: list[Record] = []
        for p in logs if random is None else random.sample(sorted(logs), random.choice([1, 2])):
            begin = worker.mirrors[p].offset
            n = 1 if random is None else random.choice([1, 5, 50, 400])
            records += logs[p][begin : begin + n]
        if records:
            worker.read(records)
    return worker


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=12)
def test_any_reads_give_the_same(seed: int):
    random = Random(seed)
    logs = {p: made_log(random, Partition(p), random.choice([3, 100, 200])) for p in (0, 1)}
    one, other = played(logs, None), played(logs, random)
    assert one.state() == other.state()
    # to the byte, the detail as well: a letter may be written twice, never two different ones
    assert sorted(one.letters) == sorted(other.letters)
    assert len({letter.key for letter in one.letters}) == len(one.letters)
    for p, mirror in one.mirrors.items():
        reasons = Counter(f"rejected:{letter.reason}" for letter in one.letters if letter.partition == p)
        assert {name: n for name, n in mirror.counts.items() if name.startswith("rejected:")} == reasons


def event(seq: int) -> bytes:
    return (
        b"{" + b",".join(b'"%s":%s' % (k.encode(), v.encode()) for k, v in (EVENT | {"seq": str(seq)}).items()) + b"}"
    )


def test_what_was_read_before_is_skipped():
    """After a seek a read may bring again what the mirror has taken in already: it is not even a duplicate."""
    log = [Record(0, i, None, event(i) if i % 10 else b"?") for i in range(50)]
    whole, again = Worker(), Worker()
    whole.read(log)
    for begin, end in ((0, 30), (0, 30), (10, 35), (35, 36), (0, 50), (49, 50)):
        again.read(log[begin:end])
    assert whole.state() == again.state()
    assert whole.letters == again.letters
    assert whole.mirrors[0].counts == {"accepted": 45, "rejected:malformed": 5}


@pytest.mark.parametrize("together", [True, False])
def test_a_message_limit_below_the_event_limit(together: bool):
    """Unusual, and allowed: the message's limit holds however many messages are read at once."""
    worker = Worker()
    worker.mirrors[0].restore(VERSIONS[3])
    assert 150 < len(event(0)) < EVENT_BYTES
    records = [Record(0, i, None, event(i)) for i in range(2)]
    for read in [records] if together else [[record] for record in records]:
        worker.read(read)
    assert worker.mirrors[0].counts == {"rejected:too-large": 2}
