"""Whether a worker that lives on through faults keeps what it should have given back: looked at from outside, at rest.

    leaks = Leaks()                                   # one for the whole run
    found = leaks.measure({"ingest/0": pid, ...}, ports={"ingest/0": 8001, ...}, cells=report.compared["cells"])
    found.failures, found.fields()

A process is compared with itself, from its second look on: what a worker needs for the first time it keeps (a pool's
threads, connections to a broker that became leader, Python's arenas). WARM looks are its warm-up, which begins anew
when it begins its system for the first and for the second time (a stand-by that takes over; an owner that reads back
what it published); the greatest of them is what it may have, plus, for good:

- MORE of each: threads (asyncio's pool of at most cores + 4, which fills as it is needed), descriptors, connections
  (redis-py's pool keeps as many as were ever busy at once; librdkafka one to each broker that it ever needed), tasks.
- Memory: RSS_MIB, which the allocators of Python, numpy and librdkafka move by without any leak, and CELL_BYTES for
  each cell that came since, as state grows with its data and with nothing else. Besides, from RISING steps on, the
  median step from look to look is at most STEP_MIB: a slow leak rises at every look, an arena grows now and then.

What a look counts is the least of LOOKS within a second or so, since a probe may be under way at any moment.
"""

from __future__ import annotations

import os
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

WARM = 2
MORE = {"threads": 8, "fds": 24, "tcp": 10, "tasks": 4}
RSS_MIB, CELL_BYTES = 48.0, 4096
RISING, STEP_MIB = 8, 1.0
LOOKS, BETWEEN_S = 4, 0.3
MIB = 1 << 20
PAGE = os.sysconf("SC_PAGE_SIZE")
TASKS, BEGUN = "tidewatch_worker_tasks ", "tidewatch_index_reconciles_total{"


@dataclass(frozen=True)
class Look:
    """One process. `rss`: MiB; `tasks`: None where its /metrics is not served; `begun`: how often it began a system, 2
    for more; `began`: tells a reused id.
    """

    pid: int
    began: int
    rss: float
    threads: int
    fds: int
    tcp: int
    tasks: int | None
    cells: int = 0
    begun: int = 0

    def fields(self) -> dict[str, Any]:
        """For the record."""
        return {
            "rss": round(self.rss, 1),
            "threads": self.threads,
            "fds": self.fds,
            "tcp": self.tcp,
            "tasks": self.tasks,
        }


@dataclass
class Found:
    """Of one round. `zombies`: dead and not reaped; `strays`: alive and nobody's; `files`: left in the workers' folder
    for temporary files.
    """

    looks: dict[str, Look] = field(default_factory=dict)
    zombies: list[str] = field(default_factory=list)
    strays: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def fields(self) -> dict[str, Any]:
        """For the record: `record.Round.leaks`."""
        workers = {name: look.fields() for name, look in self.looks.items()}
        return {
            "workers": workers, "zombies": len(self.zombies), "strays": len(self.strays), "files": len(self.files),
            "leaks": len(self.failures),
        }  # fmt: skip


class Leaks:
    """See the head of this file."""

    def __init__(
        self, *, mark: str = "", temporary: Path | None = None, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        """`mark`: a text in the environment of this run's workers and of no other process (`TIDEWATCH_KAFKA=...`);
        `temporary`: what their TMPDIR is.
        """
        self._mark, self._temporary, self._sleep = mark.encode(), temporary, sleep
        self._past: dict[tuple[int, int], list[Look]] = {}

    def measure(self, pids: Mapping[str, int], *, ports: Mapping[str, int] | None = None, cells: int = 0) -> Found:
        """Look at every process, by name; to be called at rest. `ports`: of /metrics; `cells`: that the state holds."""
        found = Found()
        for name, pid in pids.items():
            port = (ports or {}).get(name)
            looks = []
            for _ in range(LOOKS):
                looks.append(look_at(pid, port, cells))
                self._sleep(BETWEEN_S / len(pids))
            found.looks[name] = look = _least(looks)
            past = self._past.setdefault((look.pid, look.began), [])
            past.append(look)
            found.failures += [f"{name} (pid {pid}, look {len(past)}): {each}" for each in judge(past)]
        found.zombies, found.strays = _processes(set(pids.values()), self._mark)
        if self._temporary is not None:
            found.files = sorted(str(path) for path in self._temporary.rglob("*") if path.is_file())
        for what, listed in (("zombie", found.zombies), ("stray process", found.strays), ("file", found.files)):
            found.failures += [f"{what} left: {each}" for each in listed]
        return found


def judge(past: list[Look]) -> list[str]:
    """What the last look of a process has too much, against the process's earlier ones."""
    past = _in_role(past)
    if len(past) <= WARM:
        return []
    warm, now = past[:WARM], past[-1]
    wrong = []
    for what, more in MORE.items():
        counts = [getattr(look, what) for look in (*warm, now)]
        if None not in counts and counts[-1] > max(counts[:-1]) + more:
            wrong.append(f"{what}: {counts[-1]}, warm it had {max(counts[:-1])}, and {more} more are allowed")
    allowed = RSS_MIB + CELL_BYTES * (now.cells - warm[-1].cells) / MIB
    if now.rss > max(look.rss for look in warm) + allowed:
        history = ", ".join(f"{look.rss:.0f}" for look in past)
        wrong.append(f"memory: {now.rss:.0f} MiB, {allowed:.0f} more than warm are allowed; so far {history}")
    steps = [
        b.rss - a.rss - CELL_BYTES * (b.cells - a.cells) / MIB
        for a, b in zip(past[WARM - 1 :], past[WARM:], strict=False)
    ]
    if len(steps) >= RISING and median(steps) > STEP_MIB:
        wrong.append(f"memory rises by {median(steps):.1f} MiB from look to look (median of {len(steps)})")
    return wrong


def _in_role(past: list[Look]) -> list[Look]:
    """From where it had begun as often as it has."""
    return [look for look in past if look.begun == past[-1].begun]


def look_at(pid: int, port: int | None = None, cells: int = 0) -> Look:
    """One process now. Errors: OSError where it is gone."""
    proc = Path(f"/proc/{pid}")
    stat = (proc / "stat").read_text().rpartition(")")[2].split()
    links = []
    for entry in os.scandir(proc / "fd"):
        try:
            links.append(os.readlink(entry.path))
        except OSError:  # closed meanwhile
            continue
    told = {} if port is None else _told(port)
    sockets = {link[8:-1] for link in links if link.startswith("socket:[")}
    return Look(
        pid=pid,
        began=int(stat[19]),
        rss=int((proc / "statm").read_text().split()[1]) * PAGE / MIB,
        threads=int(stat[17]),
        fds=len(links),
        tcp=len(sockets & _tcp(proc)),
        tasks=told.get(TASKS),
        cells=cells,
        begun=min(2, told.get(BEGUN, 0)),
    )


def _tcp(proc: Path) -> set[str]:
    """Inodes of all TCP sockets that the process can see."""
    tables = [proc / "net" / name for name in ("tcp", "tcp6")]
    return {line.split()[9] for table in tables if table.exists() for line in table.read_text().splitlines()[1:]}


def _told(port: int) -> dict[str, int]:
    """Of its /metrics: sums of the samples that begin so; what has none is absent."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    out: dict[str, int] = {}
    for line in lines:
        for name in (TASKS, BEGUN):
            if line.startswith(name):
                out[name] = out.get(name, 0) + int(float(line.rpartition(" ")[2]))
    return out


def _least(looks: list[Look]) -> Look:
    last = looks[-1]
    tasks = [look.tasks for look in looks if look.tasks is not None]
    return Look(
        last.pid, last.began, min(look.rss for look in looks), min(look.threads for look in looks),
        min(look.fds for look in looks), min(look.tcp for look in looks), min(tasks, default=None), last.cells,
        last.begun,
    )  # fmt: skip


def _processes(known: set[int], mark: bytes) -> tuple[list[str], list[str]]:
    """Zombies among our children and theirs; and who bears the mark, and descends from no known process."""
    parents: dict[int, int] = {}
    zombies, marked = [], []
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        pid = int(entry.name)
        try:
            name, _, rest = Path(entry.path, "stat").read_text().rpartition(")")
            state, parent = rest.split()[:2]
            parents[pid] = int(parent)
            if state == "Z" and parents[pid] in (os.getpid(), *known):
                zombies.append(f"{name.partition('(')[2]} (pid {pid}) of {parent}")
            elif mark and pid != os.getpid() and mark in Path(entry.path, "environ").read_bytes().split(b"\0"):
                marked.append(pid)
        except OSError:  # ended meanwhile, or not ours
            continue
    return zombies, [f"pid {pid}" for pid in marked if not _descends(pid, known, parents)]


def _descends(pid: int, known: set[int], parents: Mapping[int, int]) -> bool:
    while pid > 1:
        if pid in known:
            return True
        pid = parents.get(pid, 0)
    return False
