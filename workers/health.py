"""Whether a worker is alive and makes progress: /healthz, /readyz and /metrics on one port.

`/healthz` is 200 while the event loop turns and nothing has failed for good; `/readyz` is 200 only while work goes on:
not while the worker waits for Kafka or Redis, and not when what it should do has stood still.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Health:
    """What the worker says of itself. `stalled_s`: no turn of the main loop for so long counts as standing still."""

    name: str
    stalled_s: float = 15.0
    clock: Callable[[], float] = time.monotonic
    failed: str | None = None
    ready: bool = False
    waiting: dict[str, str] = field(default_factory=dict)
    _waiters: Counter[str] = field(default_factory=Counter)
    _turned: float = 0.0

    def turn(self) -> None:
        """The main loop came round."""
        self._turned = self.clock()
        self.ready = True

    def waits(self, what: str, reason: str, *, anew: bool) -> bool:
        """Another task (`anew`), or one that does already, waits for server `what`. Returns whether it is the first.

        Several may: that one goes on while another cannot (reading is possible, writing is not) does not make it well.
        """
        self.waiting[what] = reason
        self._waiters[what] += anew
        return anew and self._waiters[what] == 1

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
        still = self.clock() - self._turned
        return f"no progress for {still:.0f} s" if still > self.stalled_s else None


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
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})
