"""An ingest worker at a desk of its own: fresh servers, what is sent by position, and what became of each message.

    with Desk(folder) as desk:
        desk.start("ingest")
        at = desk.send([b"...", None], partition=1)     # positions: (partition, offset) of each message
        desk.passed()                                   # Redis has gone past all that was sent
        desk.letters()[1, at[0][1], 0]                  # the dead letter of message 0, element 0

Only what goes through Kafka and Redis is looked at: nothing of the worker but its exit code, its log and its HTTP port.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import redis
from confluent_kafka import Message, Producer

from stream.letters import Letter, letter_of
from stream.tail import high_watermarks, read_to
from stream.topics import DLQ, EVENT_BYTES, EVENTS
from tests.waiting import eventually
from workers.crew import Crew
from workers.local import Servers
from workers.local.ports import free_port
from workers.local.process import ChildProcess
from workers.prepare import prepare_topics
from workers.settings import REPOSITORY, Settings

PARTITIONS = 2
STILL_S = 60.0  # nothing moves for so long: it will not


def event(**changes: Any) -> bytes:
    """An ordinary event as JSON; `...` leaves a field out."""
    fields: dict[str, Any] = {
        "source": "desk",
        "seq": 1,
        "city": "330100",
        "indicator": "dti.ecommerce",
        "op": "add",
        "value": 1.25,
        "at": "2023-02-01T08:00:12+08:00",
        **changes,
    }
    return json.dumps(
        {k: v for k, v in fields.items() if v is not ...}, separators=(",", ":"), ensure_ascii=False
    ).encode()


class Desk:
    """Servers, and the workers started here."""

    def __init__(self, folder: Path) -> None:
        self.servers = Servers(folder / "servers")
        self.folder = folder

    def __enter__(self) -> Self:
        self.servers.start()
        self.settings = Settings(kafka=self.servers.kafka, redis=self.servers.redis, partitions=PARTITIONS)
        prepare_topics(self.settings)
        self.env = {
            "TIDEWATCH_KAFKA": self.servers.kafka,
            "TIDEWATCH_REDIS": self.servers.redis,
            "TIDEWATCH_PARTITIONS": str(PARTITIONS),
            "TIDEWATCH_SESSION_S": "6",
        }
        self.crew = Crew(self.folder / "workers", self.servers.kafka, self.servers.redis, self.env)
        self.redis = redis.Redis.from_url(self.servers.redis, decode_responses=True)
        self.producer = Producer(
            {"bootstrap.servers": self.servers.kafka, "message.max.bytes": EVENT_BYTES, "linger.ms": 5, "acks": "all"}
        )
        self.ports: dict[str, int] = {}
        self.sent = dict.fromkeys(range(PARTITIONS), 0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.crew.stop()
        self.redis.close()
        self.servers.stop()

    # --- workers ---

    def start(self, name: str, **env: str) -> ChildProcess:
        """Start an ingest worker in a group of its own; its health is served."""
        self.ports[name] = free_port()
        own = {"TIDEWATCH_GROUP": f"{name}-{uuid4()}", "TIDEWATCH_HTTP_PORT": str(self.ports[name])}
        return self.crew.start(name, "ingest", env={**own, **env})

    def get(self, name: str, path: str) -> tuple[int, dict[str, Any]]:
        """Status and JSON of a worker's HTTP. OSError while it does not listen."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[name]}{path}", timeout=5) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as refusal:
            return refusal.code, json.load(refusal)

    def ready(self, name: str) -> None:
        """Wait until the worker owns all partitions and says so."""
        eventually(lambda: self.get(name, "/readyz")[0] == 200, STILL_S, lambda: self.crew.log(name))
        eventually(lambda: len(self.lines(name, "acquired")) >= PARTITIONS, STILL_S, lambda: self.crew.log(name))

    def not_ready(self, name: str, server: str, why: str = "") -> str:
        """Wait until /readyz names `server` and `why`; /healthz is well all the same. Returns what it said."""

        def look() -> str:
            status, body = self.get(name, "/readyz")
            assert status == 503, body
            assert f"waiting for {server}" in body["problem"], body
            assert why in body["problem"], body
            return str(body["problem"])

        said = eventually(look, STILL_S, lambda: self.crew.log(name))
        assert self.get(name, "/healthz") == (200, {"worker": "ingest", "failed": None})
        return said

    def lines(self, name: str, *texts: str) -> list[str]:
        """Lines of a worker's log that hold all of `texts`."""
        return [line for line in self.crew.log(name).splitlines() if all(text in line for text in texts)]

    def end(self, name: str) -> int:
        """SIGTERM; the exit code. A worker that has to be killed gives a negative one."""
        return self.crew.end(name)

    def ended(self, name: str, timeout_s: float = STILL_S) -> int:
        """Wait until a worker has ended by itself; the exit code."""
        worker = self.crew.workers[name]
        eventually(lambda: not worker.running(), timeout_s, lambda: self.crew.log(name))
        return self.crew.workers.pop(name).returncode

    def signal(self, name: str, number: signal.Signals) -> None:
        self.crew.workers[name].send(number)

    # --- messages ---

    def send(
        self, values: Iterable[bytes | None], *, partition: int = 0, key: bytes | None = None, timestamp_ms: int = 0
    ) -> list[tuple[int, int]]:
        """Send messages to a partition, in order; returns where each stands, once all are acknowledged."""
        at: list[tuple[int, int]] = []

        def delivered(error: object, message: Message) -> None:
            assert error is None, error
            at.append((message.partition() or 0, message.offset() or 0))

        for value in values:
            more = {"timestamp": timestamp_ms} if timestamp_ms else {}
            self.producer.produce(EVENTS, value, key, partition, on_delivery=delivered, **more)
            self.producer.poll(0)
        assert self.producer.flush(STILL_S) == 0
        if at:
            self.sent[partition] = at[-1][1] + 1
        return at

    def passed(self, name: str = "ingest", timeout_s: float = STILL_S) -> None:
        """Wait until Redis has passed everything that was sent; the worker must be alive all the time."""

        def look() -> bool:
            self.crew.check()
            return all(self.offset(p) >= end for p, end in self.sent.items())

        eventually(look, timeout_s, lambda: self.crew.log(name)[-4000:])

    def offset(self, partition: int) -> int:
        """The next offset, as Redis has it."""
        return int(self.redis.hget(f"{{tw:{partition}}}:meta", "offset") or 0)

    def counts(self) -> Counter[str]:
        """Of all partitions."""
        total: Counter[str] = Counter()
        for p in range(PARTITIONS):
            total.update({name: int(n) for name, n in self.redis.hgetall(f"{{tw:{p}}}:counts").items()})
        return total

    def window(self, source: str, partition: int = 0) -> str | None:
        """What is stored of a source: `<highest seq>:<hex of those accepted below and including it>`."""
        return self.redis.hget(f"{{tw:{partition}}}:seq", source)

    def cell(self, field: str, row: str = "cells:2023-02:330100") -> int:
        """One cell, over all partitions."""
        return sum(int(self.redis.hget(f"{{tw:{p}}}:{row}", field) or 0) for p in range(PARTITIONS))

    def letters(self) -> dict[tuple[int, int, int], Letter]:
        """All dead letters by position: partition, offset, element."""
        found = {}
        for message in self._dead_letters():
            letter = letter_of(message)
            assert letter is not None, message.headers()
            assert (message.key() or b"").decode() == letter.key
            found[letter.partition, letter.offset, letter.element] = letter
        return found

    def _dead_letters(self) -> list[Message]:
        where = [(DLQ, p) for p in range(PARTITIONS)]
        return list(read_to(self.servers.kafka, high_watermarks(self.servers.kafka, where)))

    # --- commands ---

    def tidewatch(self, *command: str, given: bytes = b"") -> Any:
        """Run a command that must succeed; the JSON object of its last line, or what it printed."""
        return self.tidewatch_all(command, given=given)[0]

    def tidewatch_all(self, *commands: Sequence[str], given: bytes = b"") -> list[Any]:
        """The same of several commands at once."""
        env = {**os.environ, **self.env, "COLUMNS": "200"}
        pipe = subprocess.PIPE
        running = [
            subprocess.Popen(
                [sys.executable, "-m", "workers", *c], cwd=REPOSITORY, env=env, stdin=pipe, stdout=pipe, stderr=pipe
            )
            for c in commands
        ]
        results: list[Any] = []
        for command, process in zip(commands, running, strict=True):
            out, error = process.communicate(given, timeout=60)
            assert process.returncode == 0, error.decode()
            results.append(json.loads(out.splitlines()[-1]) if "--json" in command else out.decode())
        return results
