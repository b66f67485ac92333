"""The topics: names, settings, and creating them where they are absent.

Which partition a system's outputs go to is `partition_of`, not a client's hash: librdkafka and the Java client differ.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ClusterMetadata, NewTopic

from stream.errors import StreamError, UnreachableError

EVENTS = "indicator-events"
DLQ = "indicator-events.dlq"
CONTROL = "control"
UPDATES = "index-updates"
DELTAS = "ranking-deltas"
RANKINGS = "rankings"
REVISIONS = "revisions"
OUTPUTS = (UPDATES, DELTAS, RANKINGS, REVISIONS)
EDITIONS = "editions"  # written by `tidewatch edition`, not by revisions
ALERTS = "alerts"  # written by the alert worker, with its own state and position
ROBUSTNESS = "robustness"  # computed after revisions, in no transaction of theirs

# Of `control` and every output: how far systems can be spread over index workers.
SYSTEM_PARTITIONS = 4
# The largest message that the log takes: above the catalogue's `message_bytes` (16 MiB), so that one that is too large
# is seen and dead-lettered; the dead letter itself has headers besides.
EVENT_BYTES, LETTER_BYTES = 24 << 20, 25 << 20
# A whole report in one message: every table of a period and every value. Some 40 bytes a row: 1 MB for 74 rankings of
# 351 cities.
EDITION_BYTES = EVENT_BYTES
# A broker that says nothing for so long is away: whoever can wait does so where it is seen (`workers.retry`).
ANSWER_S = 5.0
AS_THE_BROKERS_SAY = -1  # for the number of replicas, since Kafka 2.4
DAY_MS = 86_400_000
# What a person must mend, unlike a broker that is only away.
TELLING = (KafkaError._AUTHENTICATION, KafkaError._SSL, KafkaError._RESOLVE)


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic as it is created: `settings` are Kafka's topic configurations."""

    name: str
    partitions: int
    settings: dict[str, str] = field(default_factory=dict)


# What workers write is stamped by the broker: with a worker's own time, a broker refuses everything of one whose clock
# is an hour ahead, and what must be kept for days would go by that clock. Events keep the time that their source gave.
_STAMPED = {"message.timestamp.type": "LogAppendTime"}


# An alert worker that is away for no longer evaluates every revision: until then compaction takes nothing of one.
WHOLE_MS = 300_000
_WHOLE = {"min.compaction.lag.ms": str(WHOLE_MS)}


def _compacted(segment_bytes: int = 64 << 20) -> dict[str, str]:
    # Compaction skips the open segment: it must roll, else a reader at start reads every value there ever was.
    return {
        "cleanup.policy": "compact",
        "segment.bytes": str(segment_bytes),
        "segment.ms": "600000",
        "min.cleanable.dirty.ratio": "0.3",
        "delete.retention.ms": str(DAY_MS),
        **_STAMPED,
    }


def all_topics(partitions: int) -> list[Topic]:
    """Every topic of Tidewatch; `partitions` is the number of `indicator-events` and its dead letters."""
    return [
        # Retention must exceed what Redis can lose; verify and rebuild need all of it, so it is for ever.
        Topic(EVENTS, partitions, {"retention.ms": "-1", "max.message.bytes": str(EVENT_BYTES)}),
        Topic(
            DLQ,
            partitions,
            {
                "cleanup.policy": "compact,delete",
                "retention.ms": str(90 * DAY_MS),
                "max.message.bytes": str(LETTER_BYTES),
                "segment.bytes": str(64 << 20),
                **_STAMPED,
            },
        ),
        Topic(CONTROL, SYSTEM_PARTITIONS, _compacted()),
        Topic(UPDATES, SYSTEM_PARTITIONS, _compacted() | _WHOLE),
        Topic(DELTAS, SYSTEM_PARTITIONS, {"retention.ms": str(7 * DAY_MS), **_STAMPED}),
        Topic(RANKINGS, SYSTEM_PARTITIONS, _compacted()),
        Topic(REVISIONS, SYSTEM_PARTITIONS, _compacted(16 << 20) | _WHOLE),
        # Keys are distinct and no tombstone is ever written: compaction removes no edition.
        Topic(EDITIONS, SYSTEM_PARTITIONS, {**_compacted(), "max.message.bytes": str(EDITION_BYTES)}),
        Topic(ROBUSTNESS, SYSTEM_PARTITIONS, _compacted()),
        Topic(ALERTS, SYSTEM_PARTITIONS, _compacted()),
    ]


def partition_of(system: str, partitions: int = SYSTEM_PARTITIONS) -> int:
    """The partition that holds all control records and outputs of `system`, in every topic."""
    return crc32(system.encode()) % partitions


def client_options(address: str, options: Mapping[str, object] | None = None) -> dict[str, Any]:
    """librdkafka options common to every client of ours; `options` (TLS, SASL) override."""
    return {
        "bootstrap.servers": address,
        "client.id": "tidewatch",
        "log.connection.close": False,
        # What matters reaches us as errors of calls; librdkafka would repeat it on standard error every second.
        "log_level": 0,
        "topic.metadata.refresh.interval.ms": 30_000,
        "reconnect.backoff.max.ms": 2_000,
        **(options or {}),
    }


class Broker:
    """An admin client (`admin`) whose `topics` says why there is no answer. Connects on first use; calls block.

    A call that fails for a wrong password or an unknown certificate says "transport failure"; what the trouble is,
    librdkafka tells beside.
    """

    def __init__(self, address: str, options: Mapping[str, object] | None = None) -> None:
        self._address = address
        self._said = said = [""]

        # No method of ours: a worker's cycle collector seldom runs, and a client in a cycle keeps threads and sockets.
        def note(error: KafkaError) -> None:
            if error.code() in TELLING:
                said[0] = error.str()

        config: dict[str, Any] = {**client_options(address, options), "error_cb": note}
        self.admin = AdminClient(config)

    def topics(self, topic: str | None = None, timeout_s: float = ANSWER_S) -> ClusterMetadata:
        """What the cluster says of itself and its topics, or of one. Errors: UnreachableError."""
        try:
            if topic is None:
                return self.admin.list_topics(timeout=timeout_s)
            return self.admin.list_topics(topic, timeout=timeout_s)
        except KafkaException as error:
            self.admin.poll(0)
            reason = self._said[0] or error.args[0].str()
            raise UnreachableError(f"Kafka at {self._address} does not answer: {reason}") from None


def partitions_of_topic(address: str, topic: str, options: Mapping[str, object] | None = None) -> list[int]:
    """Numbers of a topic's partitions as they are now, none where it is absent. Blocking. Errors: UnreachableError."""
    return sorted(Broker(address, options).topics(topic).topics[topic].partitions)


def _in_sync(replication: int | None) -> dict[str, str]:
    """How many copies must have what is acknowledged: more than half, so that any one of three may be lost."""
    return {} if replication is None else {"min.insync.replicas": str(replication // 2 + 1 if replication > 2 else 1)}


def _passes(error: KafkaError) -> bool:
    """Whether the request got no answer: the broker, or the client's connection to it, went away meanwhile."""
    lost = (KafkaError._TRANSPORT, KafkaError._TIMED_OUT, KafkaError._ALL_BROKERS_DOWN, KafkaError._DESTROY_BROKER)
    return bool(error.retriable()) or error.code() in lost


def ensure_topics(
    address: str,
    partitions: int,
    *,
    replication: int | None = None,
    options: Mapping[str, object] | None = None,
    timeout_s: float = 30.0,
    clock: Callable[[], float] = time.monotonic,
) -> list[str]:
    """Create the topics that are absent, and wait until their partitions have leaders; returns the names created.

    `replication`: copies of each partition, of which more than half must have what is acknowledged; None: both as the
    brokers say (`default.replication.factor`, `min.insync.replicas`).
    Errors: UnreachableError, after ANSWER_S without any answer, or where `timeout_s` brings no leaders; StreamError
    where the broker refuses (it says why).
    """
    broker = Broker(address, options)
    wanted = {topic.name: topic for topic in all_topics(partitions)}
    deadline = clock() + timeout_s
    created: list[str] = []
    while True:
        held = broker.topics().topics
        missing = [topic for name, topic in wanted.items() if name not in held]
        leaderless = [
            name for name in wanted if name in held and any(p.leader < 0 for p in held[name].partitions.values())
        ]
        if not missing and not leaderless:
            return created
        if clock() >= deadline:
            raise UnreachableError(f"Kafka at {address}: no leader for {', '.join(leaderless) or 'new topics'}")
        if missing:
            futures = broker.admin.create_topics(
                [
                    NewTopic(
                        t.name,
                        num_partitions=t.partitions,
                        replication_factor=AS_THE_BROKERS_SAY if replication is None else replication,
                        config=t.settings | _in_sync(replication),
                    )
                    for t in missing
                ]
            )
            for name, future in futures.items():
                try:
                    future.result()
                    created.append(name)
                except KafkaException as failure:
                    error: KafkaError = failure.args[0]
                    # Asked again: it may have been created all the same.
                    if error.code() != KafkaError.TOPIC_ALREADY_EXISTS and not _passes(error):
                        raise StreamError(f"topic {name} cannot be created: {error.str()}") from None
