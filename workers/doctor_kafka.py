"""Doctor's look at Kafka: does it answer, are the topics as they must be, and do its records' times fit our clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType, TopicMetadata

from stream.errors import UnreachableError
from stream.tail import reader_options
from stream.topics import ANSWER_S, DLQ, EVENTS, REVISIONS, Broker, Topic, all_topics
from workers.finding import Finding, fail, ok, warn
from workers.settings import Settings

OLDEST = (2, 5)  # transactions as the publisher uses them
TESTED = (4, 0)
AHEAD_S = 2.0  # a record's time may lie so far before our clock: clocks are never equal
DAY_MS = 86_400_000

START = "start Kafka (`tidewatch up` starts a local one), or set TIDEWATCH_KAFKA=host:9092; TLS and SASL go into "
START += "TIDEWATCH_KAFKA_OPTIONS"


def kafka_findings(settings: Settings, wall: Callable[[], float] = time.time) -> Iterator[Finding]:
    """Everything about Kafka. One `fail` where it does not answer. `wall`: UTC, seconds since 1970. Blocking."""
    broker = Broker(settings.kafka, settings.kafka_options)
    admin = broker.admin
    try:
        metadata = broker.topics()
    except UnreachableError as error:
        yield fail("kafka", str(error), START)
        return
    try:
        config = _config(admin, ResourceType.BROKER, str(min(metadata.brokers)))
    except KafkaException as error:
        do = "run doctor as a user that may DESCRIBE_CONFIGS (role `operator` of deploy/kafka/acls.csv)"
        yield fail("kafka", f"Kafka at {settings.kafka} does not tell its settings: {error.args[0].str()}", do)
        return
    yield ok("kafka", f"Kafka at {settings.kafka} answers; {len(metadata.brokers)} brokers")
    yield _version(config.get("inter.broker.protocol.version"))
    if config.get("unclean.leader.election.enable") == "true":
        yield warn(
            "kafka-unclean-election", "unclean.leader.election.enable is on: a broker that missed records may lead",
            "turn it off: acknowledged events and published revisions can be lost",
        )  # fmt: skip
    wanted = all_topics(settings.partitions)
    missing = [topic.name for topic in wanted if topic.name not in metadata.topics]
    if missing:
        do = "start an ingest or index worker: it creates them with the settings that they must have"
        yield fail("topics", f"missing: {', '.join(missing)}", do)
    for topic in wanted:
        if topic.name in metadata.topics:
            yield from _topic(admin, topic, metadata.topics[topic.name], len(metadata.brokers))
    if not missing:
        yield _clock(settings, metadata.topics, wall)


def _version(protocol: str | None) -> Finding:
    """Kafka tells no client its version; until 4.0 its settings named the protocol of its brokers."""
    if protocol is None:
        return ok("kafka-version", "Kafka 4.0 or newer")
    number = tuple(int(part) for part in protocol.partition("-")[0].split(".")[:2])
    if number < OLDEST:
        return fail("kafka-version", f"Kafka {protocol}", "upgrade it: transactions as they are used here need 2.5")
    return warn("kafka-version", f"Kafka {protocol}", "upgrade it when you can: Tidewatch is tested with 4.0 and newer")


def _topic(admin: AdminClient, wanted: Topic, held: TopicMetadata, brokers: int) -> Iterator[Finding]:
    name, found = wanted.name, list[Finding]()
    leaderless = [p for p, each in held.partitions.items() if each.leader < 0]
    behind = [p for p, each in held.partitions.items() if len(each.isrs) < len(each.replicas)]
    if leaderless:
        found.append(fail("topic-leader", f"{name}: partitions {leaderless} have no leader", "bring its brokers back"))
    elif behind:
        found.append(warn("topic-replicas", f"{name}: replicas of {behind} are not in step", "look at the brokers"))
    if brokers > 1 and any(len(each.replicas) < 2 for each in held.partitions.values()):
        do = "raise its replication (kafka-reassign-partitions): a broker's disk is the only copy"
        found.append(warn("topic-replicas", f"{name} has one replica only, although there are {brokers} brokers", do))
    if name not in (EVENTS, DLQ) and len(held.partitions) != wanted.partitions:
        do = "make it anew with as many, while no worker runs: where a system's records lie depends on it"
        found.append(
            fail("topic-partitions", f"{name} has {len(held.partitions)} partitions, not {wanted.partitions}", do)
        )
    try:
        config = _config(admin, ResourceType.TOPIC, name)
    except KafkaException as error:
        do = "let this user DescribeConfigs, or compare by hand with `all_topics` in stream/topics.py"
        found.append(warn("topic-settings", f"{name}: settings cannot be seen: {error.args[0].str()}", do))
    else:
        found += [_setting(name, key, value, config.get(key)) for key, value in wanted.settings.items()]
        if (
            min(len(each.replicas) for each in held.partitions.values()) > 2
            and config.get("min.insync.replicas") == "1"
        ):
            do = f"kafka-configs --alter --entity-type topics --entity-name {name} --add-config min.insync.replicas=2"
            what = f"{name}: min.insync.replicas is 1: what one broker alone has acknowledged goes with its disk"
            found.append(warn("topic-replicas", what, do))
        if "cleanup.policy" not in wanted.settings and config.get("cleanup.policy") != "delete":
            found.append(_setting(name, "cleanup.policy", "delete", config.get("cleanup.policy")))
    bad = [each for each in found if each.level != "ok"]
    yield from bad or [ok("topic", f"{name}: {len(held.partitions)} partitions, settings as they must be")]


def _setting(topic: str, key: str, wanted: str, held: str | None) -> Finding:
    """One setting of a topic; `fail` where records that are needed go away."""
    if held is not None and _same(held, wanted):
        return ok("topic-settings", f"{topic}: {key}={held}")
    what = f"{topic}: {key} is {held}, not {wanted}"
    do = f"kafka-configs --alter --entity-type topics --entity-name {topic} --add-config {key}={_quoted(wanted)}"
    if key == "cleanup.policy":
        return fail("topic-settings", what, f"{do} (what compaction or deletion has taken is gone)")
    if key == "retention.ms" and topic == EVENTS and held is not None and int(held) < DAY_MS:
        return fail("topic-settings", what, f"{do} (events would be gone before a Redis that went back reads them)")
    if key == "retention.ms" and topic == EVENTS:
        return warn("topic-settings", what, f"{do} (verify and a rebuild need the whole log)")
    return warn("topic-settings", what, do)


def _same(held: str, wanted: str) -> bool:
    if held == wanted or set(held.split(",")) == set(wanted.split(",")):
        return True
    try:
        return float(held) == float(wanted)
    except ValueError:
        return False


def _quoted(value: str) -> str:
    return f"[{value}]" if "," in value else value


def _config(admin: AdminClient, kind: ResourceType, name: str) -> dict[str, str | None]:
    """Settings of a broker or topic. Errors: KafkaException."""
    (future,) = admin.describe_configs([ConfigResource(kind, name)], request_timeout=ANSWER_S).values()
    return {key: entry.value for key, entry in future.result().items()}


def _clock(settings: Settings, topics: dict[str, TopicMetadata], wall: Callable[[], float]) -> Finding:
    """Our clock against the times of the last records: none can be of the future.

    Kafka gives no time of its own; what it stamps, or lets a source stamp, is what `from-the-future` is judged by.
    """
    where = [(topic, p) for topic in (EVENTS, REVISIONS) for p in sorted(topics[topic].partitions)]
    try:
        stamps = list(_last_stamps(settings, where))
    except (KafkaException, UnreachableError) as error:
        return warn("clock-kafka", f"no record can be read: {error}", "look at Kafka")
    if not stamps:
        return ok("clock-kafka", "no record yet to compare our clock with")
    ahead, (topic, partition) = max((stamp / 1000 - wall(), at) for stamp, at in stamps)
    if ahead > AHEAD_S:
        do = "set the clocks (NTP) of this machine, the brokers and the sources: events are judged by these times"
        return warn("clock-kafka", f"a record of {topic}/{partition} is {ahead:.1f} s ahead of our clock", do)
    return ok("clock-kafka", f"the last records of {EVENTS} and {REVISIONS} are not ahead of our clock")


def _last_stamps(settings: Settings, where: list[tuple[str, int]]) -> Iterator[tuple[int, tuple[str, int]]]:
    """(Kafka's time in ms, place) of the last record of each partition that has one near its end."""
    consumer = Consumer(reader_options(settings.kafka, settings.kafka_options, committed=False))
    try:
        starts, open_ends = [], set()
        for topic, partition in where:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=ANSWER_S)
            if high > low:  # the last offset may be a transaction's marker: the one before it is a record
                starts.append(TopicPartition(topic, partition, max(low, high - 2)))
                open_ends.add((topic, partition))
        consumer.assign(starts)
        deadline = time.monotonic() + ANSWER_S
        while open_ends and time.monotonic() < deadline:
            message = consumer.poll(0.5)
            if message is None:
                continue
            place = message.topic() or "", message.partition() or 0
            if message.error() is not None:
                open_ends.discard(place)  # the end
            else:
                yield message.timestamp()[1], place
    finally:
        consumer.close()
