"""Whether a worker is alive and makes progress: /healthz, /readyz and /metrics on one port.

`/healthz` is 200 while the event loop turns and nothing has failed for good; `/readyz` is 200 only while work goes on:
not while the worker waits for Kafka or Redis, and not when one of its tasks has stood still.

A task is on watch from `turn` to `rest`: in between it must turn again within `stalled_s`, or it hangs. A task that
rests has nothing to do, and waits for as long as it takes.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import prometheus_client
import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry

from workers.metrics import Live, build_labels, page

log = structlog.get_logger(__name__)

SERVERS = ("Kafka", "Redis")


@dataclass(slots=True)
class Health:
    """What the worker says of itself. `stalled_s`: no turn of a task that is on watch for so long counts as hanging."""

    name: str
    stalled_s: float = 15.0
    clock: Callable[[], float] = time.monotonic
    failed: str | None = None
    ready: bool = False
    waiting: dict[str, str] = field(default_factory=dict)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    _waiters: Counter[str] = field(default_factory=Counter)
    _turned: dict[str, float] = field(default_factory=dict)
    _waits: prometheus_client.Counter = field(init=False)

    def __post_init__(self) -> None:
        """Declare what every worker's /metrics has."""
        self._waits = prometheus_client.Counter(
            "tidewatch_server_waits_total", "Waits for a server that began", ["server"], registry=self.registry
        )
        live = Live(self.registry)
        labels = ("worker", "version", "python", "schema")
        live.gauge("tidewatch_build_info", "1; which build runs", labels, lambda: [(build_labels(self.name), 1.0)])
        live.gauge(
            "tidewatch_worker_ready", "1 while /readyz answers 200", (), lambda: [((), float(self.problem() is None))]
        )
        live.gauge(
            "tidewatch_worker_failed", "1 when stopped for good", (), lambda: [((), float(self.failed is not None))]
        )
        live.gauge("tidewatch_worker_still_seconds", "Since a task's last turn", ("task",), self._still)
        live.gauge("tidewatch_worker_tasks", "asyncio tasks of the main loop", (), _tasks)
        live.gauge("tidewatch_server_waiting", "Tasks that wait for a server now", ("server",), self._waiting_tasks)
        live.register()

    def _still(self) -> Iterator[tuple[tuple[str, ...], float]]:
        now = self.clock()
        longest: dict[str, float] = {}
        for task, turned in self._turned.items():
            kind = task.partition(" ")[0]  # the tasks of the systems together: the label stays bounded
            longest[kind] = max(longest.get(kind, 0.0), now - turned)
        return iter([((task,), still) for task, still in longest.items()])

    def _waiting_tasks(self) -> Iterator[tuple[tuple[str, ...], float]]:
        return iter([((server,), float(self._waiters[server])) for server in SERVERS])

    def turn(self, task: str = "main") -> None:
        """A task came round: it is on watch until it rests. `task`: a word, or a word, a blank and which of them."""
        self._turned[task] = self.clock()
        self.ready = True

    def rest(self, task: str) -> None:
        """A task has nothing to do, or has ended."""
        self._turned.pop(task, None)

    def waits(self, what: str, reason: str, *, anew: bool) -> bool:
        """Another task (`anew`), or one that does already, waits for server `what`. Returns whether it is the first.

        Several may: that one goes on while another cannot (reading is possible, writing is not) does not make it well.
        """
        self.waiting[what] = reason
        self._waiters[what] += anew
        first = anew and self._waiters[what] == 1
        if first and what in SERVERS:
            self._waits.labels(what).inc()
        return first

    def goes_on(self, what: str) -> bool:
        """A task that waited for `what` does so no more. Returns whether nobody else does."""
        self._waiters[what] -= 1
        if self._waiters[what]:
            return False
        self.waiting.pop(what, None)
        return True

    def problem(self) -> str | None:
        """Why the worker is not making progress, None if it is."""
        if self.failed:
            return self.failed
        if self.waiting:
            return "; ".join(f"waiting for {what}: {why}" for what, why in sorted(self.waiting.items()))
        if not self.ready:
            return "starting"
        now = self.clock()
        still = {task: now - turned for task, turned in self._turned.items() if now - turned > self.stalled_s}
        where = {task: "" if task == "main" else f" ({task})" for task in still}
        return "; ".join(f"no progress for {s:.0f} s{where[task]}" for task, s in sorted(still.items())) or None


def _tasks() -> list[tuple[tuple[str, ...], float]]:
    try:
        return [((), float(len(asyncio.all_tasks())))]
    except RuntimeError:  # nobody scrapes from a loop
        return []


class HealthServer:
    """Serves a `Health` over HTTP. Loopback unless the settings say otherwise."""

    def __init__(self, health: Health, host: str, port: int) -> None:
        self._health, self._host, self._port = health, host, port
        self._runner: web.AppRunner | None = None

    async def start(self) -> int:
        """Listen; returns the port (the one chosen where 0 was asked for). Errors: OSError where it is taken."""
        app = web.Application()
        app.router.add_get("/healthz", self._alive)
        app.router.add_get("/readyz", self._ready)
        app.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port)
        await site.start()
        port: int = self._runner.addresses[0][1]
        log.info("http", worker=self._health.name, address=f"http://{self._host}:{port}/healthz")
        return port

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _alive(self, _request: web.Request) -> web.Response:
        failed = self._health.failed
        return web.json_response({"worker": self._health.name, "failed": failed}, status=503 if failed else 200)

    async def _ready(self, _request: web.Request) -> web.Response:
        problem = self._health.problem()
        body = {"worker": self._health.name, "problem": problem}
        return web.json_response(body, status=503 if problem else 200)

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=page(self._health.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})
