"""Which log `indicator-events` is: a topic that was made anew under the same name is another one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from confluent_kafka import KafkaException, TopicCollection

from stream.errors import StreamError, UnreachableError
from stream.topics import ANSWER_S, EVENTS, Broker


@dataclass(frozen=True, slots=True)
class Identity:
    """Ids as Kafka gives them; '' where a broker says none."""

    cluster_id: str
    topic_id: str
    partitions: list[int]


def identity(address: str, options: Mapping[str, object] | None = None) -> Identity:
    """Of `indicator-events`. Errors: UnreachableError; StreamError where there is no such topic."""
    broker = Broker(address, options)
    found = broker.topics(EVENTS)
    topic = found.topics[EVENTS]
    if topic.error is not None:
        raise StreamError(f"Kafka at {address} has no topic {EVENTS}: {topic.error.str()}")
    try:
        asked = broker.admin.describe_topics(TopicCollection([EVENTS]), request_timeout=ANSWER_S)
        topic_id = asked[EVENTS].result(ANSWER_S).topic_id
    except KafkaException as error:
        raise UnreachableError(f"Kafka at {address} does not answer: {error.args[0].str()}") from None
    return Identity(found.cluster_id or "", str(topic_id or ""), sorted(topic.partitions))
