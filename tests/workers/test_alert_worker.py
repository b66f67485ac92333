"""The alert worker on real servers: a planted drop fires once and resolves once, whatever is killed in the middle."""

from __future__ import annotations

import json
import random
import shutil
import threading
import urllib.request
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Message

from stream.alerts import read_alerts
from stream.messages import AlertMessage, decode_message
from stream.published import read_revision
from stream.tail import high_watermarks, read_to
from stream.topics import ALERTS, SYSTEM_PARTITIONS
from tests.waiting import eventually
from tests.workers.desk import Desk
from workers.local.ports import free_port
from workers.settings import REPOSITORY

pytestmark = pytest.mark.servers

SYSTEM = "dti-2023"
# One of a province each, so that no province stands for several.
CITIES = [
    "330100",
    "320100",
    "420100",
    "430100",
    "510100",
    "410100",
    "350200",
    "370200",
    "610100",
    "440300",
    "530100",
    "230100",
]
INDICATORS = [
    "dti.cloud", "dti.ai", "dti.payment", "dti.ecommerce", "dti.entertainment", "dti.procurement", "dti.rnd",
    "dti.collaboration",
]  # fmt: skip
WITH_INDUSTRY = {"dti.cloud", "dti.ai", "dti.payment", "dti.rnd", "dti.collaboration", "dti.procurement"}
FIRST, DROP_FROM, DROP_DAYS, DAYS = date(2021, 10, 1), 100, 24, 134
FALLS = "330100"
BOUND_S = 60.0


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    systems = tmp_path / "systems"
    systems.mkdir()
    for name in (f"{SYSTEM}.toml", "alerts.toml"):
        shutil.copy(REPOSITORY / "systems" / name, systems / name)
    with Desk(tmp_path) as desk:
        desk.env["TIDEWATCH_SYSTEMS"] = str(systems)
        desk.crew.stop()
        yield desk


class Feed:
    """A day at a time into partition 0, one source for all; with the same noise whatever is killed."""

    def __init__(self, desk: Desk, seed: int = 5) -> None:
        self.desk, self.rng, self.seq = desk, random.Random(seed), 0

    def _event(self, city: str, indicator: str, day: date, hour: int, value: float) -> dict[str, Any]:
        self.seq += 1
        event = {
            "source": "desk", "seq": self.seq, "city": city, "indicator": indicator, "op": "add",
            "value": round(value, 2), "at": f"{day.isoformat()}T{hour:02d}:30:00+08:00",
        }  # fmt: skip
        if indicator in INDUSTRIES:
            event["industry"] = "retail"
        return event

    def base(self) -> None:
        """What the index is measured against."""
        events = [
            self._event(city, indicator, date(2021, 2, 1), 12, 9000.0) for city in CITIES for indicator in INDICATORS
        ]
        self.send(events)

    def day(self, number: int, falls: float = 1.0) -> None:
        """One day of all cities; of FALLS by that factor."""
        day = FIRST + timedelta(days=number)
        weekly = 0.7 if day.weekday() >= 5 else 1.0
        events = []
        for place, city in enumerate(CITIES):
            for indicator in INDICATORS:
                value = (
                    100.0 * 1.2**-place * weekly * self.rng.lognormvariate(0, 0.03) * (falls if city == FALLS else 1.0)
                )
                events.append(self._event(city, indicator, day, 18, value))
        self.send(events)
        # One revision at least for each day: else, on a slow machine, many days are one, and nobody knows their flows.
        end_us = int(datetime(day.year, day.month, day.day, 10, 30, tzinfo=UTC).timestamp() * 1e6)
        eventually(lambda: self.published_us() >= end_us, BOUND_S, lambda: self.desk.crew.log("index")[-2000:])

    def published_us(self) -> int:
        """The watermark of the last revision."""
        revision = read_revision(self.desk.servers.kafka, SYSTEM)
        return 0 if revision is None else revision.watermark or 0

    def send(self, events: list[dict[str, Any]]) -> None:
        self.desk.send([json.dumps(events).encode()])
        self.desk.passed()


INDUSTRIES: set[str] = set()


@pytest.fixture(autouse=True)
def known_industries() -> None:
    from index.catalogue import Catalogue

    catalogue = Catalogue.load(REPOSITORY / "systems" / "catalogue")
    INDUSTRIES.update(i.code for i in catalogue.indicators if i.industries)


def start(desk: Desk, name: str = "alert") -> None:
    desk.ports[name] = free_port()
    desk.crew.start(name, "alert", env={**desk.env, "TIDEWATCH_HTTP_PORT": str(desk.ports[name])})


def history(desk: Desk) -> list[AlertMessage]:
    """Every alert that was ever committed, in order; a later one that only adds the cause is left out."""
    where = [(ALERTS, p) for p in range(SYSTEM_PARTITIONS)]
    out: list[AlertMessage] = []
    message: Message
    for message in read_to(desk.servers.kafka, high_watermarks(desk.servers.kafka, where)):
        key, value = (message.key() or b"").decode(), message.value()
        if value is None or key.startswith(("state/", "silence/")):
            continue
        alert = decode_message(AlertMessage, value, key)
        if alert.cause is None:
            out.append(alert)
    return out


def causes(desk: Desk, rule: str, entity: str) -> list[dict[str, Any]]:
    """The causes that were found of an alert, in order."""
    where = [(ALERTS, p) for p in range(SYSTEM_PARTITIONS)]
    out = []
    for message in read_to(desk.servers.kafka, high_watermarks(desk.servers.kafka, where)):
        key, value = (message.key() or b"").decode(), message.value()
        if value is not None and key.startswith(f"{rule}/{entity}/"):
            alert = decode_message(AlertMessage, value, key)
            if alert.cause is not None:
                out.append(alert.cause)
    return out


def metrics(desk: Desk) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{desk.ports['alert']}/metrics", timeout=5) as answer:
        return str(answer.read().decode())


def told(desk: Desk, *states: str) -> list[tuple[str, str, str]]:
    return [(a.rule, a.entity, a.state) for a in history(desk) if a.state in states]


def test_a_drop_fires_once_and_resolves_once_whatever_is_killed(desk: Desk):
    desk.start("ingest", **desk.env)
    desk.crew.start("index", "index", env=desk.env)
    start(desk)
    feed = Feed(desk)
    feed.base()
    killed = threading.Event()
    for number in range(DAYS):
        if number == 90:  # a window of days stands on the topic
            eventually(lambda: read_alerts(desk.servers.kafka).pieces, BOUND_S, lambda: desk.crew.log("alert")[-3000:])
            desk.crew.kill("alert")
            start(desk)
        feed.day(number, 0.6 if DROP_FROM <= number < DROP_FROM + DROP_DAYS else 1.0)
        if number == DROP_FROM + 8:
            eventually(
                lambda: (("drop", FALLS, "firing") in told(desk, "firing")), BOUND_S,
                lambda: f"{history(desk)} {desk.crew.log('alert')[-3000:]}",
            )  # fmt: skip
            desk.crew.kill("alert")
            killed.set()
            start(desk)
            why = eventually(lambda: causes(desk, "drop", FALLS), BOUND_S, lambda: desk.crew.log("alert")[-6000:])[-1]
    assert killed.is_set()
    eventually(
        lambda: ("drop", FALLS, "resolved") in told(desk, "resolved"), BOUND_S, lambda: desk.crew.log("alert")[-3000:]
    )
    drops = [alert for alert in history(desk) if alert.rule == "drop" and alert.entity == FALLS]
    assert [alert.state for alert in drops] == ["firing", "resolved"], drops
    assert drops[0].value < -0.13
    assert drops[0].period == "2022Q1"
    held = {(rule, entity) for rule, entity, _ in told(desk, "held")}
    assert ("drop", "province:330000") in held, "the province falls because of this city alone"
    others = [each for each in told(desk, "firing") if each[1] not in (FALLS, "province:330000")]
    assert others == []

    assert (why["period"], why["other"]) == ("2022Q1", "2021Q4")
    assert why["move"] < 0
    assert len(why["indicators"]) == 3
    assert all(part["move"] < 0 for part in why["indicators"])

    # one, though the province and the region were held with it
    eventually(lambda: 'tidewatch_alerts_transitions_total{rule="drop",to="resolved"} 1.0' in metrics(desk))
    text = metrics(desk)
    assert 'tidewatch_alerts_firing{rule="drop",severity="page"} 0.0' in text
    print("\n".join(line for line in text.splitlines() if "alerts_delay_seconds" in line or "evaluation" in line))
    listed = desk.tidewatch("alerts", "list", "--json")
    assert any(a["rule"] == "drop" and a["shown"] == "resolved" for a in listed["alerts"])
    desk.tidewatch("alerts", "silence", f"drop/{FALLS}", "--until", "8h", "--reason", "known", "--author", "test")
    assert f"drop/{FALLS}" in desk.tidewatch("alerts", "list", "--json")["silences"]
    assert desk.end("alert") == 0
