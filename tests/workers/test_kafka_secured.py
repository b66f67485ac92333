"""Every part of the product against a Kafka with TLS, SCRAM and ACLs: each role may do its work, and nothing else.

The alert worker comes in by mutual TLS with a locked key, all others with name and password; each as the user of its
role with the rights of deploy/kafka/acls.csv. Host names are checked.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import faust
import pytest
from click.testing import Result
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic
from typer.testing import CliRunner

from stream.errors import UnreachableError
from stream.tail import high_watermarks
from stream.topics import (
    ALERTS,
    CONTROL,
    DLQ,
    EVENTS,
    REVISIONS,
    ROBUSTNESS,
    SYSTEM_PARTITIONS,
    UPDATES,
    Broker,
    client_options,
)  # fmt: skip
from tests.waiting import eventually
from tests.workers.desk import event
from tests.workers.secured import Authority, SecuredKafka
from tests.workers.small import CITIES, INDICATORS, SYSTEM, TEXT
from workers.cli import main
from workers.crew import Crew
from workers.drained import wait_until_drained
from workers.faust_login import faust_credentials
from workers.local.redis import RedisServer
from workers.prepare import prepare_topics
from workers.settings import Settings

pytestmark = pytest.mark.servers

PARTITIONS = 2
STILL_S = 40.0
ROLES = ("source", "ingest", "index", "alert", "reader", "operator")
RULES = """
[[rule]]
name = "revision"
title = "a closed quarter was changed"
type = "revision"
systems = ["small"]
severity = "warn"
kinds = ["nation", "city"]
grain = "quarter"
fire = 0.0001
clear = 0.00001
settle = "7d"
"""


class Installation:
    """Servers with locks, a worker of each kind, and commands by role."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority(folder)
        self.kafka = SecuredKafka(folder, self.authority, {role: f"secret of {role}" for role in ROLES})
        self.redis = RedisServer(folder / "redis")
        systems = folder / "systems"
        systems.mkdir()
        (systems / "small.toml").write_text(TEXT, encoding="utf-8")
        (systems / "alerts.toml").write_text(RULES, encoding="utf-8")
        self.common = {
            "TIDEWATCH_REDIS": self.redis.url, "TIDEWATCH_SYSTEMS": str(systems), "TIDEWATCH_SESSION_S": "6",
            "TIDEWATCH_PARTITIONS": str(PARTITIONS), "COLUMNS": "300",
        }  # fmt: skip

    def settings(self, role: str, **changes: Any) -> Settings:
        options = self.kafka.options(role, **changes)
        return Settings(kafka=self.kafka.address, kafka_options=options, partitions=PARTITIONS)

    def env(self, role: str) -> dict[str, str]:
        return {**self.common, **self.kafka.env(role)}

    def newer(self) -> str:
        """The file of a second version of the definition."""
        path = self.folder / "newer.toml"
        path.write_text(TEXT.replace("version = 1", "version = 2"), encoding="utf-8")
        return str(path)

    def command(self, role: str, *command: str) -> Result:
        """A command by a user of that role. In this process: an import costs more than what most commands do."""
        return CliRunner().invoke(main, list(command), env=self.env(role))

    def good(self, role: str, *command: str) -> None:
        done = self.command(role, *command)
        assert done.exit_code == 0, f"{role} {command}: {done.output} {done.exception!r}"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    place = Installation(tmp_path_factory.mktemp("secured"))
    try:
        place.redis.start()
        with place.kafka:
            prepare_topics(place.settings("operator"))
            yield place
    finally:
        place.redis.stop()


def send(place: Installation, role: str, values: list[bytes], topic: str = EVENTS) -> list[KafkaError | None]:
    """What became of each message, sent by that role."""
    told: list[KafkaError | None] = []
    producer = Producer(client_options(place.kafka.address, place.kafka.options(role)))
    for value in values:
        producer.produce(topic, value, partition=0, on_delivery=lambda error, _: told.append(error))
    assert producer.flush(STILL_S) == 0
    return told


def test_every_part_of_the_product_works_with_the_rights_of_its_role(place: Installation, tmp_path: Path) -> None:
    alert = place.kafka.mutual_options(place.authority.issue("alert", "alert.example"))
    by_certificate = {"TIDEWATCH_KAFKA": place.kafka.mutual, "TIDEWATCH_KAFKA_OPTIONS": json.dumps(alert)}
    with Crew(tmp_path / "workers", place.kafka.address, place.redis.url) as crew:
        crew.start("ingest", "ingest", env=place.env("ingest"))
        crew.start("index", "index", env=place.env("index"))
        crew.start("alert", "alert", env={**place.env("alert"), **by_certificate})
        values = [
            event(seq=i * 10 + n, city=city, indicator=indicator, value=1 + (i + n) % 5, at="2021-02-01T08:00:00+08:00")
            for i, city in enumerate(CITIES)
            for n, indicator in enumerate(INDICATORS, 1)
        ]
        values.append(event(seq=999, city="000000"))
        assert send(place, "source", values) == [None] * len(values)

        def said() -> str:
            return "\n".join(crew.log(name)[-3000:] for name in crew.workers)

        ends = {0: 1 + len(values)}  # behind the catalogue
        options = place.kafka.options("reader")
        revisions = wait_until_drained(
            place.kafka.address, place.redis.url, ends, [SYSTEM], timeout_s=STILL_S, check=crew.check, options=options
        )
        assert revisions[SYSTEM] >= 1
        # The alert worker has been assigned `control` by Faust's consumer, and has written where it stands.
        eventually(lambda: total(place, ALERTS) > 0, STILL_S, said)
        eventually(lambda: total(place, ROBUSTNESS) > 0, STILL_S, said)

        more = tmp_path / "more.ndjson"
        more.write_bytes(event(source="feed", seq=1, at="2021-05-01T08:00:00+08:00") + b"\n")
        place.good("operator", "feed", "--file", str(more))
        for command in (
            ("verify", SYSTEM), ("rankings", SYSTEM, "cities", "-p", "2021Q1"), ("dlq", "list"),
            ("explain", SYSTEM, "330100", "-p", "2021Q2"), ("define", "history", SYSTEM), ("edition", "list", SYSTEM),
            ("alerts", "list"),
        ):  # fmt: skip
            place.good("reader", *command)
        assert "DESCRIBE_CONFIGS" in place.command("reader", "doctor").output
        place.good("operator", "doctor")
        place.good("operator", "define", "apply", place.newer(), "-a", "me", "-r", "a test")
        place.good("operator", "dlq", "replay", "--set", "city=330100")
        place.good("operator", "edition", "freeze", SYSTEM, "-p", "2021Q1", "--name", "first", "-a", "me")
        place.good(
            "operator", "alerts", "silence", "revision/330100", "--until", "1h", "--reason", "a test", "--author", "me"
        )
        eventually(lambda: "definition=2" in crew.log("index"), STILL_S, said)
        for name in crew.workers:
            assert "waiting" not in crew.log(name), crew.log(name)
        assert [crew.end(name) for name in list(crew.workers)] == [0, 0, 0]


def total(place: Installation, topic: str) -> int:
    """Records on a topic, and markers of transactions."""
    where = [(topic, p) for p in range(SYSTEM_PARTITIONS)]
    return sum(high_watermarks(place.kafka.address, where, place.kafka.options("reader")).values())


@pytest.mark.parametrize(
    ("role", "topic"),
    [
        ("source", CONTROL), ("source", DLQ), ("source", REVISIONS), ("ingest", CONTROL), ("ingest", UPDATES),
        ("index", EVENTS), ("index", ALERTS), ("alert", CONTROL), ("alert", REVISIONS), ("reader", EVENTS),
    ],
)  # fmt: skip
def test_a_role_cannot_write_what_is_not_its_own(place: Installation, role: str, topic: str) -> None:
    (error,) = send(place, role, [b"{}"], topic)
    assert error is not None
    assert error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED, error


def test_a_role_cannot_read_fence_or_make_what_is_not_its_own(place: Installation) -> None:
    address = place.kafka.address
    with pytest.raises(KafkaException, match="GROUP_AUTHORIZATION_FAILED"):
        first_of(place, "source", EVENTS)
    with pytest.raises(KafkaException, match="TOPIC_AUTHORIZATION_FAILED"):
        first_of(place, "alert", EVENTS)
    with pytest.raises(KafkaException, match="GROUP_AUTHORIZATION_FAILED"):
        first_of(place, "alert", CONTROL, group="tidewatch-index")
    options = client_options(address, place.kafka.options("alert"))
    thief = Producer({**options, "transactional.id": f"tidewatch/{SYSTEM}"})
    with pytest.raises(KafkaException, match="Transactional Id authorization failed"):
        thief.init_transactions(STILL_S)
    admin = AdminClient(client_options(address, place.kafka.options("index")))
    for future in admin.create_topics([NewTopic("anything", 1, 1)]).values():
        with pytest.raises(KafkaException, match="TOPIC_AUTHORIZATION_FAILED"):
            future.result(STILL_S)
    for future in admin.delete_topics([EVENTS]).values():
        with pytest.raises(KafkaException, match="TOPIC_AUTHORIZATION_FAILED"):
            future.result(STILL_S)


def first_of(place: Installation, role: str, topic: str, group: str = "tidewatch-reader-x") -> bytes | None:
    options = client_options(place.kafka.address, place.kafka.options(role))
    consumer = Consumer({**options, "group.id": group, "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    try:
        message = consumer.poll(STILL_S)
        assert message is not None
        if (error := message.error()) is not None:
            raise KafkaException(error)
        return message.value()
    finally:
        consumer.close()


def test_who_is_not_let_in_is_told_why(place: Installation) -> None:
    right, mutual = place.kafka.address, place.kafka.mutual
    by_number = right.replace("localhost", "127.0.0.1")  # a name that is not in the certificate
    scram = place.kafka.options("reader")
    cases = [
        (right, place.kafka.options("reader", sasl_password="wrong"), "invalid credentials"),
        (right, place.kafka.options("reader", ssl_ca_location=...), "certificate verify failed"),
        (by_number, scram, "certificate verify failed"),
        (mutual, {"security.protocol": "SSL", "ssl.ca.location": str(place.authority.file)}, "does not answer"),
    ]

    def told(address: str, options: dict[str, Any]) -> str:
        with pytest.raises(UnreachableError) as refusal:
            Broker(address, options).topics(timeout_s=4.0)
        return str(refusal.value)

    with ThreadPoolExecutor() as pool:
        for (address, _, why), said in zip(cases, pool.map(lambda case: told(*case[:2]), cases), strict=True):
            assert why in said
            assert address in said
            assert place.kafka.passwords["reader"] not in said


async def test_faust_knows_the_broker_by_its_name_and_its_authority(place: Installation) -> None:
    port = int(place.kafka.address.rpartition(":")[2])

    async def shakes_hands(host: str, **changes: Any) -> None:
        login = faust_credentials(place.kafka.options("index", **changes))
        assert isinstance(login, faust.SASLCredentials)
        assert login.ssl_context is not None
        _, writer = await asyncio.open_connection(host, port, ssl=login.ssl_context)
        writer.close()

    await shakes_hands("localhost")
    await shakes_hands("127.0.0.1", ssl_endpoint_identification_algorithm="none")
    await shakes_hands("localhost", ssl_ca_location=..., ssl_ca_pem=place.authority.file.read_text())
    with pytest.raises(ssl.SSLCertVerificationError, match="IP address mismatch"):
        await shakes_hands("127.0.0.1")
    with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer"):
        await shakes_hands("localhost", ssl_ca_location=...)
