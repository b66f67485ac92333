"""A revision whose offsets lie below the last one's is not published: its system reconciles, and waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from index.cells import CellStore
from state.keys import Offset, Partition
from stream.messages import ControlVersion, Revision, decode_message
from stream.published import Published
from stream.publisher import Record
from stream.topics import REVISIONS
from tests.shops import shops
from tests.workers.scraped import Scrape
from workers.health import Health
from workers.hub import Hub
from workers.metrics import page
from workers.metrics_index import IndexMetrics
from workers.runner import SystemRunner
from workers.settings import Settings

BOUND_S = 10.0
P, Q = Partition(0), Partition(1)
DEFINITION = """
system = "s"
version = 1
title = "t"
base = "2022"
grains = ["year"]
[tree]
children = ["till.visits"]
weights = [1]
"""


async def until(condition: Callable[[], Any]) -> None:
    async def look() -> None:
        while not condition():
            await asyncio.sleep(0)

    await asyncio.wait_for(look(), BOUND_S)


async def test_a_cut_that_went_back_is_not_published(monkeypatch: pytest.MonkeyPatch):
    """The hub adopts nothing lower; here something set it back all the same."""
    committed: list[Revision] = []

    class Publisher:
        def __init__(self, *_: object, **__: object) -> None: ...

        async def initialise(self) -> None: ...

        async def publish(self, records: list[Record]) -> None:
            for record in records:
                if record.topic == REVISIONS:
                    committed.append(decode_message(Revision, record.value or b"", "a test"))

        def hurry(self) -> None: ...

        def close(self) -> None: ...

    def read_back(*_: object) -> object:
        return Published(committed[-1] if committed else None)

    monkeypatch.setattr("workers.runner.Publisher", Publisher)
    monkeypatch.setattr("workers.runner.read_back", read_back)
    monkeypatch.setattr("workers.robust.clear", lambda *_: 0)  # it would ask Kafka
    health = Health("index")
    hub = Hub(cast(Any, None), [P, Q], health)
    hub.catalogue, hub.cells = shops(), CellStore(shops())
    applied = {P: Offset(7), Q: Offset(3)}
    hub._feed = cast(Any, SimpleNamespace(applied=applied))
    control = ControlVersion(system="s", version=1, definition=DEFINITION, author="", reason="", at="")
    metrics = IndexMetrics(health.registry, lambda: [runner])
    runner = SystemRunner(Settings(robustness="off"), hub, control, health, metrics)
    task = asyncio.create_task(runner.run())
    await until(lambda: committed)
    applied[P], applied[Q] = Offset(6), Offset(4)
    hub.wake("s")
    await until(lambda: "before the last revision" in health.waiting.get("s", ""))
    assert [revision.offsets for revision in committed] == [{"0": 7, "1": 3}]
    seen = Scrape(page(health.registry).decode())
    assert seen.value("tidewatch_index_reconciles_total", system="s", reason="backwards") == 1
    applied[P] = Offset(8)
    await until(lambda: len(committed) == 2)
    assert committed[1].offsets == {"0": 8, "1": 4}
    assert committed[1].revision == 2
    runner.stop()
    hub.wake("s")
    await asyncio.wait_for(task, BOUND_S)
