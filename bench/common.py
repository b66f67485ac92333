"""What every bench needs: the machine in words, CPU seconds, medians, tables, a fresh pair of servers."""

from __future__ import annotations

import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson
import redis
from confluent_kafka import libversion
from rich.console import Console
from rich.table import Table

from state.keys import META, key
from workers.crew import Crew
from workers.local.servers import Servers
from workers.prepare import prepare_topics
from workers.settings import Settings

SYSTEM = "dti-2023"
notes = Console(stderr=True, width=max(100, Console(stderr=True).width))
_TICKS = os.sysconf("SC_CLK_TCK")
_PACKAGES = ("aiokafka", "confluent-kafka", "faust-streaming", "hiredis", "msgspec", "numpy", "orjson", "redis")


def note(line: str) -> None:
    """One line to standard error."""
    notes.print(line, markup=False, highlight=False)


def emit(result: dict[str, Any]) -> None:
    """The JSON line, the last of standard output."""
    sys.stdout.write(orjson.dumps(result, option=orjson.OPT_NON_STR_KEYS).decode() + "\n")
    sys.stdout.flush()


def machine() -> dict[str, Any]:
    """CPU model, cores that this process may use, memory, and the load averages of now (1, 5, 15 min)."""
    return {
        "cpu": _from_proc("/proc/cpuinfo", "model name") or platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(int((_from_proc("/proc/meminfo", "MemTotal") or "0 kB").split()[0]) / 2**20, 1),
        "system": f"{platform.system()} {platform.release()}",
        "load": load(),
    }


def load() -> list[float]:
    """Load averages of 1, 5 and 15 minutes: above the number of cores, others were at work too."""
    return [round(x, 2) for x in os.getloadavg()]


def _from_proc(path: str, name: str) -> str | None:
    try:
        with open(path, encoding="utf-8") as lines:
            return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), None)
    except OSError:
        return None


def versions(redis_url: str | None = None) -> dict[str, str]:
    """Versions of Python, of the libraries on the hot path, and of the Redis server."""
    found = {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}}
    found["librdkafka"] = libversion()[0]
    if redis_url:
        with redis.Redis.from_url(redis_url) as client:
            found["redis-server"] = str(client.info("server")["redis_version"])
    return found


def cpu_s(pid: int) -> float:
    """CPU seconds (user and system, all threads) that a process has used so far; 10 ms resolution. Linux."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def median(values: Sequence[float]) -> float:
    """The median; 0.0 of nothing."""
    return statistics.median(values) if values else 0.0


def spread(values: Sequence[float], form: str = ",.0f") -> str:
    """Lowest to highest, for people."""
    return f"{min(values):{form}} .. {max(values):{form}}" if values else "-"


def percentile(ordered: Sequence[float], part: float) -> float:
    """Nearest-rank percentile of ascending values, `part` in 0..1; NaN of nothing."""
    if not len(ordered):
        return float("nan")
    return float(ordered[min(len(ordered) - 1, max(0, -int(-part * len(ordered) // 1) - 1))])


def verdict(good: bool) -> str:
    """A mark for the table."""
    return "[green]met[/green]" if good else "[red]missed[/red]"


def table(title: str, *columns: str) -> Table:
    """A table whose columns but the first are right-aligned."""
    made = Table(title=title, title_justify="left")
    for i, name in enumerate(columns):
        made.add_column(name, justify="left" if i == 0 else "right")
    return made


def say_machine(about: dict[str, Any], of: dict[str, str]) -> None:
    """The footer under every table."""
    note(
        f"{about['cpu']}, {about['cores']} cores, {about['memory_gib']} GiB, {about['system']}, load {about['load']}; "
        + ", ".join(f"{name} {number}" for name, number in of.items())
    )


@dataclass
class Bed:
    """A fresh Kafka, a fresh Redis, their topics, and a crew for workers."""

    servers: Servers
    crew: Crew
    settings: Settings

    @property
    def kafka(self) -> str:
        """Kafka's address."""
        return self.servers.kafka

    @property
    def redis(self) -> str:
        """Redis's URL."""
        return self.servers.redis


@contextmanager
def bed(partitions: int) -> Iterator[Bed]:
    """Servers in a temporary folder, ended and removed afterwards. Errors: LocalError, StreamError."""
    given = Settings()
    with (
        tempfile.TemporaryDirectory(prefix="tidewatch-bench-") as folder,
        Servers(Path(folder) / "servers", progress=note) as servers,
        Crew(
            Path(folder) / "workers",
            servers.kafka,
            servers.redis,
            {"TIDEWATCH_CATALOGUE": str(given.catalogue), "TIDEWATCH_SYSTEMS": str(given.systems)},
        ) as crew,
    ):
        settings = given.model_copy(
            update={
                "kafka": servers.kafka, "redis": servers.redis, "partitions": partitions, "kafka_options": {},
            }
        )  # fmt: skip
        prepare_topics(settings)
        yield Bed(servers, crew, settings)


class Positions:
    """Cheap looks at where the partitions stand in Redis: one pipeline a look."""

    def __init__(self, url: str, partitions: Sequence[int]) -> None:
        """Connects on first use."""
        self._client = redis.Redis.from_url(url, decode_responses=True)
        self._partitions = list(partitions)

    def clear(self) -> None:
        """Remove everything that Redis holds (it is the bench's own server)."""
        self._client.flushdb()

    def look(self) -> tuple[bool, dict[int, int]]:
        """(every partition has an owner's token, next offset per partition)."""
        pipe = self._client.pipeline(transaction=False)
        for partition in self._partitions:
            pipe.hmget(key(partition, META), "epoch", "offset")
        found = pipe.execute()
        return (
            all(epoch for epoch, _ in found),
            {p: int(offset or 0) for p, (_, offset) in zip(self._partitions, found, strict=True)},
        )

    def close(self) -> None:
        """Give the connection back."""
        self._client.close()
