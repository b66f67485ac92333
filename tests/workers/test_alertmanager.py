"""Our client and a real Alertmanager (Debian's prometheus-alertmanager), which notifies a receiver of the test."""

import asyncio
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from zlib import crc32

import aiohttp
import msgspec
import numpy as np
import pytest

from index.catalogue import Catalogue
from tests.workers.desk import PARTITIONS, STILL_S, Desk
from tests.workers.receiver import Receiver, seen
from tests.workers.test_alert_out import FIRING, running
from workers.alert_out import Alertmanager, Notice
from workers.drained import wait_until_drained
from workers.local.ports import free_port
from workers.scenario import Message, load
from workers.scenario.daily import daily
from workers.scenario.drops import Plant
from workers.scenario.planted import Planted
from workers.scenario.planted_events import PlantedEvents
from workers.settings import Settings

PROGRAM = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
pytestmark = pytest.mark.skipif(
    PROGRAM is None, reason="no alertmanager on the PATH; Debian: apt-get install prometheus-alertmanager"
)
EVERY_S = 0.2
CONFIG = """
route: {{receiver: test, group_by: [alertname, entity], group_wait: 50ms, group_interval: 100ms, repeat_interval: 1h}}
receivers: [{{name: test, webhook_configs: [{{url: "{url}/notified", send_resolved: true}}]}}]
"""


class Managed:
    """An Alertmanager and the receiver that it notifies."""

    def __init__(self, url: str, receiver: Receiver) -> None:
        self.url, self.receiver = url, receiver

    def notified(self) -> list[tuple[str, str, str]]:
        """(rule, entity, firing or resolved) of each alert in each notification, in order."""
        return [
            (alert["labels"]["alertname"], alert["labels"]["entity"], alert["status"])
            for body in self.receiver.bodies
            for alert in body["alerts"]
        ]

    async def held(self) -> list[dict[str, Any]]:
        """The alerts that Alertmanager lists."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.url}/api/v2/alerts") as answer:
            found: list[dict[str, Any]] = await answer.json()
            return found


@pytest.fixture
async def managed(tmp_path: Path) -> AsyncIterator[Managed]:
    assert PROGRAM is not None
    async with Receiver() as receiver:
        config, port = tmp_path / "alertmanager.yml", free_port()
        config.write_text(CONFIG.format(url=receiver.url))
        with (tmp_path / "log").open("wb") as log:
            process = subprocess.Popen(
                [PROGRAM, f"--config.file={config}", f"--storage.path={tmp_path / 'data'}",
                 f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="],
                stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        try:
            url = f"http://127.0.0.1:{port}"
            await _until_ready(url, process, tmp_path / "log")
            yield Managed(url, receiver)
        finally:
            process.terminate()
            process.wait(10)


async def _until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    async with aiohttp.ClientSession() as session, asyncio.timeout(20):
        while True:
            assert process.poll() is None, log.read_text()
            with suppress(aiohttp.ClientError):
                async with session.get(f"{url}/-/ready") as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.02)


def now(notice: Notice, **changes: Any) -> Notice:
    return msgspec.structs.replace(notice, since_s=time.time(), **changes)


async def test_an_alert_reaches_the_receiver_once_and_so_does_its_end(managed: Managed) -> None:
    client = Alertmanager(managed.url, every_s=EVERY_S)
    firing = now(FIRING)
    async with running(client):
        client.tell(firing)
        await seen(lambda: managed.notified())
        await seen(lambda: client.counts["sent"] >= 10)  # resent all the time
        assert managed.notified() == [("sharp-drop", "province:330000", "firing")]
        (held,) = await managed.held()
        assert held["annotations"]["runbook_url"] == "runbook"
        client.tell(msgspec.structs.replace(firing, state="resolved", ended_s=firing.since_s + 0.01))
        await seen(lambda: len(managed.notified()) == 2)
    assert managed.notified()[1] == ("sharp-drop", "province:330000", "resolved")
    assert client.counts["failed"] == 0


async def test_a_worker_that_takes_over_continues_the_same_alert(managed: Managed) -> None:
    firing = now(FIRING)
    for _ in range(2):  # the second one reads from the topic what fires
        client = Alertmanager(managed.url, every_s=EVERY_S)
        client.tell(firing, known=True)
        async with running(client):
            await seen(lambda client=client: client.counts["sent"] >= 3)
            await seen(lambda: managed.notified())
    assert managed.notified() == [("sharp-drop", "province:330000", "firing")]
    # nobody speaks of it any more: it lapses by itself
    await seen(lambda: managed.notified()[1:] == [("sharp-drop", "province:330000", "resolved")])


async def test_a_change_of_period_ends_the_old_and_tells_of_the_new(managed: Managed) -> None:
    client, firing = Alertmanager(managed.url, every_s=EVERY_S), now(FIRING)
    async with running(client):
        client.tell(firing)
        await seen(lambda: managed.notified())
        client.tell(msgspec.structs.replace(firing, period="2022Q3", since_s=firing.since_s + 0.01))
        await seen(lambda: sorted({n[2] for n in managed.notified()[1:]}) == ["firing", "resolved"])
        listed = {held["labels"]["period"] for held in await managed.held()}
    assert listed == {"2022Q3"}


# --- from an event to a notification ---

RULES = """
[[rule]]
name = "drop"
title = "a sharp drop"
type = "drop"
severity = "page"
kinds = ["city"]
fire = -0.3
clear = -0.15
span = "2d"
lag = "2d"
spans = 2
noise_days = "4d"
"""
CITIES = 12
FIRST, UNTIL = 95, 125  # days of the scenario that are played; the base quarter is stated at once
FALL = (110, 116, 0.6)  # first day, last day, by what part


@pytest.mark.servers
async def test_a_planted_drop_travels_from_an_event_to_a_notification_and_so_does_its_end(
    managed: Managed, tmp_path: Path
) -> None:
    systems = tmp_path / "systems"
    systems.mkdir()
    shutil.copy(Settings().systems / "dti-2023.toml", systems)
    (systems / "alerts.toml").write_text(RULES)
    env = {"TIDEWATCH_SYSTEMS": str(systems), "TIDEWATCH_ALERTMANAGER": managed.url}
    catalogue = Catalogue.load(Settings().catalogue)
    days = daily(load(catalogue, "dti-2023"), np.random.default_rng(5))
    fallen = Plant("city", days.frame.codes[3], (3,), tuple(range(8)), *FALL)
    planted = Planted(days, [fallen], UNTIL)
    planted.amounts[:, CITIES:] = 0
    number = catalogue.indicator_index
    events = PlantedEvents(days, {i: catalogue.industry_codes[number[i]][0] for i in days.indicators})
    with Desk(tmp_path / "desk") as desk:
        desk.start("ingest")
        desk.crew.start("index", "index", env=env)
        desk.crew.start("alert", "alert", env=env)

        def send(messages: list[Message]) -> None:
            for p in range(PARTITIONS):
                desk.send([m.value for m in messages if crc32(m.key) % PARTITIONS == p], partition=p)
            ends = {p: end for p, end in desk.sent.items() if end}
            wait_until_drained(
                desk.servers.kafka, desk.servers.redis, ends, ["dti-2023"], timeout_s=STILL_S, check=desk.crew.check
            )

        # day by day: the rules learn nothing of days that pass at once
        await asyncio.to_thread(send, events.whole(planted.amounts[:90].sum(axis=0), FIRST, "2021Q1"))
        for day, reports in enumerate(planted.reports()):
            if day >= FIRST:
                await asyncio.to_thread(send, events.messages(reports))
            if day == FALL[0] + 3:
                await seen(lambda: managed.notified(), 60)
        await seen(lambda: len(managed.notified()) == 2, 60)
        assert managed.notified() == [("drop", fallen.entity, "firing"), ("drop", fallen.entity, "resolved")]
        assert (await asyncio.to_thread(desk.end, "alert")) == 0, desk.crew.log("alert")
