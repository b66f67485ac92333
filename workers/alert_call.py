"""One POST of JSON to a server that may be away: counted, said once when it goes and once when it is back."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import aiohttp
import structlog

from workers.masked import masked, origin

log = structlog.get_logger(__name__)

ANSWER_S = 10.0
FIRST_S, LAST_S = 1.0, 60.0  # back-off
REFUSED = (400, 413, 422)  # the content is at fault: trying again does not help

Pause = Callable[[asyncio.Event | None, float], Awaitable[None]]
Done = Callable[[str, str, float], None]  # output, outcome (sent, failed), seconds until it was answered


async def pause(wake: asyncio.Event | None, seconds: float) -> None:
    """Wait `seconds`, or less where `wake` is set before."""
    if wake is None:
        await asyncio.sleep(seconds)
        return
    try:
        await asyncio.wait_for(wake.wait(), seconds)
    except TimeoutError:
        pass


def backoff_s(failures: int, draw: float) -> float:
    """How long to wait after so many failures in a row (1, 2, ...); `draw` in [0, 1) spreads it over its upper half."""
    return min(LAST_S, FIRST_S * 2.0 ** min(failures - 1, 10)) * (0.5 + draw / 2)


class Caller:
    """POSTs JSON, and keeps the books: counts, and one line when a server goes away and one when it is back."""

    def __init__(self, name: str, url: str, clock: Callable[[], float], done: Done | None) -> None:
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise ValueError(f"TIDEWATCH_{name.upper()}: {origin(url)!r} is no http:// or https:// address")
        self.name, self.counts, self.failures = name, Counter[str](), 0
        self._url, self._clock, self._done, self._full = url, clock, done, False
        parts = urlsplit(url)
        self._secret = [part for part in (url, parts.path.strip("/"), parts.query) if part]  # for some servers they are

    def __repr__(self) -> str:
        return f"{self.name}({origin(self._url)})"

    def _shown(self, reason: str) -> str:
        """What a server or library said, without the address that it may repeat."""
        for part in self._secret:
            reason = reason.replace(part, "***")
        return masked(reason)

    async def post(self, session: aiohttp.ClientSession, body: bytes, headers: dict[str, str]) -> int:
        """The status of the answer, 0 where there was none (the reason is logged); never raises."""
        began = self._clock()
        try:
            async with session.post(
                self._url, data=body, headers={"Content-Type": "application/json", **headers}, allow_redirects=False
            ) as answer:
                status, reason = answer.status, f"HTTP {answer.status} {(await answer.content.read(200))!r}"
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            status, reason = 0, f"{type(error).__name__}: {error}"
        good = 200 <= status < 300
        outcome = "sent" if good else "failed"
        self.counts[outcome] += 1
        if self._done is not None:
            self._done(self.name, outcome, self._clock() - began)
        if good:
            if self.failures:
                log.info("answers again", output=self.name, failed=self.failures)
            self.failures = 0
        else:
            self.failures += 1
            if self.failures == 1:
                log.warning(
                    "notification failed",
                    output=self.name,
                    address=origin(self._url),
                    reason=self._shown(reason),
                    action="trying again; the topic alerts has all of it",
                )
        return status

    def drop(self, why: str) -> None:
        """Count a notice that is given up; said at the first of them."""
        self.counts["dropped"] += 1
        if not self._full:
            self._full = True
            log.error("notice dropped", output=self.name, reason=why, action="further ones are only counted")
