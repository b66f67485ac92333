"""A server of the test that takes POSTs of JSON and remembers them; and a clock that moves when the test says so."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from typing import Any, Self

from aiohttp import web


class Receiver:
    """`calls`: (headers, body bytes) in order. `answers`: statuses to give before 200 (0: hang up)."""

    def __init__(self) -> None:
        self.calls: list[tuple[dict[str, str], bytes]] = []
        self.answers: deque[int] = deque()

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/{path:.*}", self._take)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        self.calls.append((dict(request.headers), await request.read()))
        status = self.answers.popleft() if self.answers else 200
        if status == 0:
            assert request.transport is not None
            request.transport.close()
        return web.Response(status=status or 200, text="as the test says")

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(body) for _, body in self.calls]


class Clock:
    """`pause` waits until the test lets it go on: `waited` is for how long it would have."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0
        self._asked: asyncio.Queue[tuple[bool, float]] = asyncio.Queue()
        self._go: asyncio.Queue[None] = asyncio.Queue()

    def __call__(self) -> float:
        return self.now

    async def pause(self, wake: asyncio.Event | None, seconds: float) -> None:
        self._asked.put_nowait((wake is not None, seconds))
        await self._go.get()

    async def waited(self) -> tuple[bool, float]:
        """(whether news would end it, seconds) of the next pause."""
        return await asyncio.wait_for(self._asked.get(), 10)

    def go(self, seconds: float = 0.0) -> None:
        self.now += seconds
        self._go.put_nowait(None)


async def seen(condition: Any, timeout_s: float = 15.0) -> Any:
    """The first true result of `condition`, looked at between other tasks' turns."""
    async with asyncio.timeout(timeout_s):
        while not (result := condition()):
            await asyncio.sleep(0.02)
        return result
