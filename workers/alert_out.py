"""Where alerts go besides the topic: Alertmanager's API v2, and a webhook.

    outputs = outputs_of(settings)
    output.tell(notice)        takes a note and returns: never waits, never fails, bounded in memory
    await output.run()         sends what was told until it is cancelled: one task each

The topic `alerts` is the truth; what is here is told after it is committed. A server that is away costs nothing but its
own news. Clock, randomness and pauses are passed in.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import aiohttp
import msgspec
import orjson

from workers.alert_call import ANSWER_S, REFUSED, Caller, Done, Pause, backoff_s, pause
from workers.alert_notice import LABELS, Labels, Notice, Output
from workers.alert_webhook import Webhook
from workers.settings import Settings

__all__ = ["Alertmanager", "Notice", "Output", "Webhook", "outputs_of"]

# Alertmanager forgets an alert 5 minutes after it last heard of it (its default `resolve_timeout`); we say ourselves
# until when it counts, LIVES times the interval: a worker that died leaves no alert behind for ever.
EVERY_S, LIVES = 60.0, 4
MAX_HELD, CHUNK = 10_000, 200


class Alertmanager:
    """Alertmanager's API v2. What fires is sent at once, and again every `every_s` while it does; what resolved, until
    it is acknowledged. Its labels are the alert's identity, so nothing here must be kept over a restart.
    """

    def __init__(
        self,
        url: str,
        *,
        every_s: float = EVERY_S,
        wall: Callable[[], float] = time.time,
        draw: Callable[[], float] = random.random,
        pause: Pause = pause,
        done: Done | None = None,
    ) -> None:
        """`url`: where Alertmanager is (with its route prefix, if any). Errors: ValueError for what is no address."""
        self._caller = Caller("alertmanager", url.rstrip("/") + "/api/v2/alerts", wall, done)
        self.name, self.counts = self._caller.name, self._caller.counts
        self._every_s, self._wall, self._draw, self._pause = every_s, wall, draw, pause
        self._firing: dict[Labels, Notice] = {}
        self._pending: dict[Labels, Notice] = {}
        self._labels: dict[tuple[str, ...], Labels] = {}  # of what fires
        self._wake = asyncio.Event()
        self._again_s = 0.0

    def __repr__(self) -> str:
        """Without what stands before the @ of the address."""
        return repr(self._caller)

    def tell(self, notice: Notice, *, known: bool = False) -> None:
        """Take a note; of one alert (its `key`) the last counts. One whose period or severity changed is
        resolved under the old labels."""
        key = notice.key
        before = self._labels.get(key)
        if notice.state == "firing":
            if before is not None and before != notice.labels:
                self._end(self._firing.pop(before), notice.since_s)
            elif before is None and len(self._firing) + len(self._pending) >= MAX_HELD:
                self._caller.drop(f"over {MAX_HELD} alerts at once")
                return
            self._labels[key] = notice.labels
            self._firing[notice.labels] = self._pending[notice.labels] = notice
        elif before is not None:
            del self._labels[key]
            self._end(self._firing.pop(before), notice.ended_s if notice.ended_s is not None else self._wall())
        elif not known and len(self._pending) < MAX_HELD:
            self._end(notice, notice.ended_s if notice.ended_s is not None else self._wall())
        self._wake.set()

    def _end(self, notice: Notice, ended_s: float) -> None:
        ended_s = max(ended_s, notice.since_s)
        self._pending[notice.labels] = msgspec.structs.replace(notice, state="resolved", ended_s=ended_s)

    async def run(self) -> None:
        """See the head of this file."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_S)) as session:
            while True:
                self._wake.clear()
                now = self._wall()
                if now >= self._again_s or now < self._again_s - self._every_s:  # or the clock was set back
                    self._pending = {**self._firing, **self._pending}
                    self._again_s = now + self._every_s
                if await self._send(session, list(self._pending.values())):
                    await self._pause(self._wake, max(0.0, self._again_s - self._wall()))
                else:
                    await self._pause(None, backoff_s(self._caller.failures, self._draw()))

    async def _send(self, session: aiohttp.ClientSession, notices: list[Notice]) -> bool:
        """Whether all were acknowledged, or refused for what they are (halves are tried: one must not stop others)."""
        for begin in range(0, len(notices), CHUNK):
            chunk = notices[begin : begin + CHUNK]
            until_s = self._wall() + self._every_s * LIVES
            status = await self._caller.post(session, orjson.dumps([_alert(n, until_s) for n in chunk]), {})
            if status in REFUSED and len(chunk) > 1:
                middle = len(chunk) // 2
                if not (await self._send(session, chunk[:middle]) and await self._send(session, chunk[middle:])):
                    return False
                continue
            if status in REFUSED:
                self._caller.drop(f"refused with {status}: {chunk[0].labels}")
                self._firing.pop(chunk[0].labels, None)
                self._labels.pop(chunk[0].key, None)
            elif not 200 <= status < 300:
                return False
            for notice in chunk:
                if self._pending.get(notice.labels) is notice:  # else it was told anew meanwhile
                    del self._pending[notice.labels]
        return True


def _alert(notice: Notice, until_s: float) -> dict[str, Any]:
    """The alert as Alertmanager's API v2 takes it. `until_s`: when it lapses unless we speak of it again."""
    notes = {"summary": notice.summary, "description": notice.description,
             "runbook_url": notice.runbook, "dashboard": notice.dashboard}  # fmt: skip
    ended_s = until_s if notice.ended_s is None else notice.ended_s
    return {
        "labels": {name: text for name, text in zip(LABELS, notice.labels, strict=True) if text},
        "annotations": {name: text for name, text in notes.items() if text},
        "startsAt": _rfc3339(min(notice.since_s, ended_s)),
        "endsAt": _rfc3339(ended_s),
    }


def _rfc3339(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def outputs_of(settings: Settings, done: Done | None = None) -> list[Output]:
    """The outputs that the settings name (Alertmanagers: each of several hears everything).

    `done` is told of each call. Errors: ValueError naming the setting.
    """
    made: list[Output] = [
        Alertmanager(url.strip(), done=done) for url in settings.alertmanager.split(",") if url.strip()
    ]
    if settings.webhook:
        made.append(Webhook(settings.webhook, settings.webhook_secret.get_secret_value(), done=done))
    return made
