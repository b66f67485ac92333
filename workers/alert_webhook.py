"""A webhook of anyone's: news of alerts as JSON, signed."""

from __future__ import annotations

import asyncio
import hmac
import random
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator

import aiohttp
import msgspec
import orjson

from workers.alert_call import ANSWER_S, REFUSED, Caller, Done, Pause, backoff_s, pause
from workers.alert_notice import Notice

TRIES = 10  # of one call: about six minutes
MAX_QUEUE = 1_000
IDLE_S = 60.0
SIGNATURE = "X-Tidewatch-Signature"


class Webhook:
    """One POST of JSON for every alert that fires and for every one that resolves, in order, each tried TRIES times.

    With a secret, the header X-Tidewatch-Signature is `sha256=` and the HMAC-SHA256 of the body in hex (`signature`).
    """

    def __init__(
        self,
        url: str,
        secret: str = "",
        *,
        clock: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
        pause: Pause = pause,
        done: Done | None = None,
    ) -> None:
        """Errors: ValueError for what is no address."""
        self._caller = Caller("webhook", url, clock, done)
        self.name, self.counts = self._caller.name, self._caller.counts
        self._secret, self._draw, self._pause = secret.encode(), draw, pause
        self._queue: OrderedDict[str, bytes] = OrderedDict()  # by id: the same news is not queued twice
        self._wake = asyncio.Event()

    def __repr__(self) -> str:
        """Neither the secret, nor what stands before the @ of the address."""
        return repr(self._caller)

    def tell(self, notice: Notice, *, known: bool = False) -> None:
        """Queue it; the oldest gives way when MAX_QUEUE wait."""
        if known:
            return
        name = "/".join((*notice.key, str(notice.revision), notice.state))
        self._queue[name] = orjson.dumps({"schema": 1, "id": name, **msgspec.to_builtins(notice)})
        if len(self._queue) > MAX_QUEUE:
            self._queue.popitem(last=False)
            self._caller.drop(f"over {MAX_QUEUE} wait")
        self._wake.set()

    async def run(self) -> None:
        """See the head of this file."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_S)) as session:
            while True:
                self._wake.clear()
                for name, body in self._waiting():
                    await self._deliver(session, name, body)
                await self._pause(self._wake, IDLE_S)

    def _waiting(self) -> Iterator[tuple[str, bytes]]:
        while self._queue:
            yield next(iter(self._queue.items()))

    async def _deliver(self, session: aiohttp.ClientSession, name: str, body: bytes) -> None:
        """Try until it is taken, refused, given up, or has given way to newer ones."""
        headers = {SIGNATURE: signature(self._secret, body)} if self._secret else {}
        for attempt in range(1, TRIES + 1):
            status = await self._caller.post(session, body, headers)
            if 200 <= status < 300:
                break
            if status in REFUSED or attempt == TRIES:
                self._caller.drop(f"refused with {status}" if status in REFUSED else f"failed {TRIES} times")
                break
            await self._pause(None, backoff_s(attempt, self._draw()))
            if name not in self._queue:
                return
        if self._queue.get(name) is body:
            del self._queue[name]


def signature(secret: bytes, body: bytes) -> str:
    """What stands in X-Tidewatch-Signature; a receiver compares it with `hmac.compare_digest`."""
    return "sha256=" + hmac.new(secret, body, "sha256").hexdigest()
