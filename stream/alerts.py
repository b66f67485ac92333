"""The topic `alerts`, compacted: alerts as they stand, people's silences, and what the alert worker remembers.

    rule/entity[@node]/system      AlertMessage
    silence/rule/entity[@node]     AlertSilence, in every partition; a tombstone ends it
    state/position                 AlertPosition: how far this partition's outputs are evaluated
    state/system/piece             a part of the rules' state (index.rules.pieces), as bytes

Alerts, state and position of a partition move in one transaction, so whoever reads them back sees one moment. Readers
that want alerts only skip the keys that begin with `state/` and `silence/`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from confluent_kafka import KafkaException, Producer

from stream.errors import UnreachableError
from stream.messages import AlertMessage, AlertPosition, AlertSilence, decode_message, encode, read_message
from stream.publisher import Record
from stream.tail import high_watermarks, read_to
from stream.topics import ALERTS, SYSTEM_PARTITIONS, client_options

POSITION = "state/position"
STATE, SILENCE = "state", "silence"
Key = tuple[str, str, str]  # system, rule, subject


@dataclass(frozen=True, slots=True)
class Standing:
    """An alert and the Kafka time (ms) at which this state was written: the same whoever asks."""

    alert: AlertMessage
    written_ms: int


@dataclass(slots=True)
class Held:
    """All that stands on some partitions. `offsets`: None before the first position."""

    offsets: dict[str, int] | None = None
    pieces: dict[str, dict[str, bytes]] = field(default_factory=dict)
    alerts: dict[Key, Standing] = field(default_factory=dict)
    silences: dict[str, AlertSilence] = field(default_factory=dict)
    end: int = 0  # past what was read, of the last partition
    refused: list[str] = field(default_factory=list)  # records that are none of ours, in words

    def take(self, key: str, value: bytes | None, written_ms: int) -> None:
        """Apply one record; one that is none of ours changes nothing. Errors: NewerMessageError; MessageError for a
        position that cannot be read.
        """
        first, _, rest = key.partition("/")
        if key == POSITION:
            self.offsets = None if value is None else decode_message(AlertPosition, value, f"{ALERTS} {key}").offsets
        elif first == STATE:
            system, _, piece = rest.partition("/")
            pieces = self.pieces.setdefault(system, {})
            if value is None:
                pieces.pop(piece, None)
            else:
                pieces[piece] = value
        elif first == SILENCE:
            if value is None:
                self.silences.pop(rest, None)
            else:
                silence = read_message(AlertSilence, value, f"{ALERTS} {key}", self.refused.append)
                if silence is not None:
                    self.silences[rest] = silence
        else:
            subject, _, system = rest.rpartition("/")
            if value is None:
                self.alerts.pop((system, first, subject), None)
            else:
                alert = read_message(AlertMessage, value, f"{ALERTS} {key}", self.refused.append)
                if alert is not None:
                    self.alerts[system, first, subject] = Standing(alert, written_ms)


def read_alerts(address: str, partitions: list[int] | None = None, options: Mapping[str, object] | None = None) -> Held:
    """What stands on these partitions (None: all). Blocking. Errors: UnreachableError, MessageError."""
    chosen = list(range(SYSTEM_PARTITIONS)) if partitions is None else partitions
    ends = high_watermarks(address, [(ALERTS, p) for p in chosen], options)
    out = Held(end=ends[ALERTS, chosen[-1]])
    for message in read_to(address, ends, options):
        key, value = message.key(), message.value()
        if isinstance(key, bytes):
            out.take(key.decode(errors="replace"), value if isinstance(value, bytes) else None, message.timestamp()[1])
    return out


def alert_record(alert: AlertMessage) -> Record:
    """The record of an alert."""
    subject = alert.entity if alert.node is None else f"{alert.entity}@{alert.node}"
    return Record(ALERTS, f"{alert.rule}/{subject}/{alert.system}", encode(alert))


def piece_records(system: str, pieces: Mapping[str, bytes | None]) -> list[Record]:
    """The records of a system's pieces."""
    return [Record(ALERTS, f"{STATE}/{system}/{name}", value) for name, value in pieces.items()]


def position_record(offsets: Mapping[str, int]) -> Record:
    """The record of a partition's position."""
    return Record(ALERTS, POSITION, encode(AlertPosition(offsets=dict(offsets))))


def publish_silence(
    address: str, name: str, silence: AlertSilence | None, options: Mapping[str, object] | None = None
) -> None:
    """Write a silence (None: end it) named `rule/entity[@node]` to every partition.

    Errors: UnreachableError (repeat).
    """
    producer = Producer({**client_options(address, options), "acks": "all", "enable.idempotence": True, "linger.ms": 0})
    failures: list[str] = []

    def delivered(error: object, _message: object) -> None:
        if error is not None:
            failures.append(str(error))

    value = None if silence is None else encode(silence)
    try:
        for partition in range(SYSTEM_PARTITIONS):
            producer.produce(ALERTS, value, f"{SILENCE}/{name}", partition, on_delivery=delivered)
        left = producer.flush(20)
    except KafkaException as error:
        raise UnreachableError(f"{ALERTS}: {error}") from None
    if left or failures:
        raise UnreachableError(f"{ALERTS}: silence {name} not written: {failures or 'no answer'}")
