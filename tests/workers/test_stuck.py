"""A task that hangs shows: by name, after `stalled_s`, and not before; one that has nothing to do does not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from index.cells import CellStore
from state.keys import Partition
from stream.ends import Ends
from stream.errors import UnreachableError
from stream.messages import ControlVersion
from stream.published import Published
from tests.shops import shops
from tests.workers.scraped import Scrape
from workers.health import Health
from workers.hub import Hub
from workers.metrics import page
from workers.metrics_index import IndexMetrics
from workers.probe import Probe
from workers.runner import SystemRunner
from workers.settings import Settings

STALLED_S = 15.0
BOUND_S = 10.0


class Clock:
    """Stands still until it is set."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def until(condition: Callable[[], Any]) -> None:
    async def look() -> None:
        while not condition():
            await asyncio.sleep(0)

    await asyncio.wait_for(look(), BOUND_S)


def test_on_watch_and_at_rest():
    clock = Clock()
    health = Health("index", clock=clock)
    health.turn("feed")
    health.turn("systems a")
    clock.now += STALLED_S
    health.turn("feed")
    assert health.problem() is None
    clock.now += 1
    assert health.problem() == "no progress for 16 s (systems a)"
    health.rest("systems a")
    assert health.problem() is None, "nothing to do is no trouble"
    clock.now += 1000
    assert health.problem() == "no progress for 1001 s (feed)"
    seen = Scrape(page(health.registry).decode())
    assert seen.value("tidewatch_worker_still_seconds", task="feed") == 1001
    assert seen.value("tidewatch_worker_ready") == 0


async def test_a_hub_whose_read_hangs():
    clock, hanging = Clock(), asyncio.Event()
    health = Health("index", clock=clock)
    hub = Hub(cast(Any, None), [Partition(0)], health)

    async def read() -> list[Any]:
        if clock.now > 100.0:
            hanging.set()
            await asyncio.Event().wait()
        clock.now += 1
        return []

    async def silent_gaps() -> list[Partition]:
        return []

    hub._feed = cast(Any, SimpleNamespace(read=read, silent_gaps=silent_gaps, applied={}))
    task = asyncio.create_task(hub.run())
    await asyncio.wait_for(hanging.wait(), BOUND_S)
    assert health.problem() is None
    clock.now += STALLED_S + 1
    assert health.problem() == "no progress for 16 s (feed)"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert health.problem() is None, "what has ended does not hang"


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


@pytest.mark.parametrize("where", ["initialise", "publish"])
async def test_a_system_that_hangs(monkeypatch: pytest.MonkeyPatch, where: str):
    clock, hanging = Clock(), asyncio.Event()
    health = Health("index", clock=clock)

    class Publisher:
        def __init__(self, *_: object, **__: object) -> None: ...

        async def initialise(self) -> None:
            await self._hang("initialise")

        async def publish(self, _records: object) -> None:
            await self._hang("publish")

        async def _hang(self, here: str) -> None:
            if here == where:
                hanging.set()
                await asyncio.Event().wait()

        def hurry(self) -> None: ...

        def close(self) -> None: ...

    monkeypatch.setattr("workers.runner.Publisher", Publisher)
    monkeypatch.setattr("workers.runner.read_back", lambda *_: Published())
    hub = Hub(cast(Any, None), [], health)
    hub.catalogue, hub.cells = shops(), CellStore(shops())
    hub._feed = cast(Any, SimpleNamespace(applied={}))
    control = ControlVersion(system="s", version=1, definition=DEFINITION, author="", reason="", at="")
    metrics = IndexMetrics(health.registry, lambda: [runner])
    runner = SystemRunner(Settings(), hub, control, health, metrics, clock=clock)
    task = asyncio.create_task(runner.run())
    await asyncio.wait_for(hanging.wait(), BOUND_S)
    assert health.problem() is None
    clock.now += STALLED_S + 1
    assert health.problem() == "no progress for 16 s (systems s)"
    seen = Scrape(page(health.registry).decode())
    assert seen.value("tidewatch_index_running", system="s") == 0
    assert seen.value("tidewatch_worker_still_seconds", task="systems") == 16
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_system_with_nothing_to_do_is_not_watched(monkeypatch: pytest.MonkeyPatch):
    clock = Clock()
    health = Health("index", clock=clock)

    class Publisher:
        def __init__(self, *_: object, **__: object) -> None: ...

        async def initialise(self) -> None: ...

        async def publish(self, _records: object) -> None: ...

        def hurry(self) -> None: ...

        def close(self) -> None: ...

    monkeypatch.setattr("workers.runner.Publisher", Publisher)
    monkeypatch.setattr("workers.runner.read_back", lambda *_: Published())
    hub = Hub(cast(Any, None), [], health)
    hub.catalogue, hub.cells = shops(), CellStore(shops())
    hub._feed = cast(Any, SimpleNamespace(applied={}))
    control = ControlVersion(system="s", version=1, definition=DEFINITION, author="", reason="", at="")
    runner = SystemRunner(Settings(), hub, control, health, IndexMetrics(health.registry, lambda: []), clock=clock)
    task = asyncio.create_task(runner.run())
    await until(lambda: runner.standing.running)
    await until(lambda: "systems s" not in health._turned)
    clock.now += 10_000
    assert health.problem() is None
    runner.stop()
    await asyncio.wait_for(task, BOUND_S)


class Asked:
    """A Kafka that answers or not, as told."""

    def __init__(self, *answers: bool) -> None:
        self.answers = list(answers)

    def ask(self, partitions: list[int], _timeout_s: float) -> dict[int, int]:
        if not self.answers.pop(0):
            raise UnreachableError("no answer")
        return dict.fromkeys(partitions, 7)

    def without_markers(self, _position: object, _ends: object) -> dict[int, int]:
        return {}


@pytest.mark.parametrize(
    ("answers", "problems"),
    [
        # One failure is no news; from the second on it is, until there is an answer.
        ((True, False, True), [None, None, None]),
        ((True, False, False, False, True), [None, None, "no answer", "no answer", None]),
    ],
)
async def test_the_probe(monkeypatch: pytest.MonkeyPatch, answers: tuple[bool, ...], problems: list[str | None]):
    health, told, seen = Health("index"), list[dict[int, int]](), list[str | None]()
    ends = Asked(*answers)
    probe = Probe(cast(Ends, ends), lambda: {0: 5}, lambda e, _at: told.append(e), health, wall=lambda: 50.0)

    async def pause(_seconds: float) -> None:
        seen.append(health.waiting.get("Kafka"))
        if not ends.answers:
            probe.stop()

    monkeypatch.setattr(probe, "_pause", pause)
    await asyncio.wait_for(probe.run(), BOUND_S)
    assert seen == problems
    assert told == [{0: 7}] * sum(answers)
