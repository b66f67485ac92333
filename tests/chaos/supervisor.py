"""Keeps the workers of a world at work, as systemd would: whoever ends is started again after a short random time.

A worker is named by its slot, `ingest/0`; the process in it changes. A process that ends with an exit code of its own
is a failure of the product (a person would have to look): it is kept in `failures`, and started again all the same.
"""

from __future__ import annotations

import random
import re
import signal
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tests.waiting import eventually
from workers.crew import Crew
from workers.local.ports import HOST
from workers.local.process import ChildProcess

AGAIN_S = (0.1, 1.5)  # between a worker's end and its next start
LOOK_S = 0.03
ANSWER_S = 5.0
PATIENCE_S = 45.0  # of a worker that is asked to end: what Kubernetes grants, and as long as it may be asleep for
SERVES = re.compile(r"address=http://[^:]+:(\d+)/healthz")
TAIL = 4_000  # characters of a log


@dataclass
class Slot:
    """A place for one worker."""

    name: str
    random: random.Random
    wanted: bool = True
    process: ChildProcess | None = None
    log: str = ""
    starts: int = 0
    start_at: float = 0.0
    began: float = 0.0
    env: dict[str, str] = field(default_factory=dict)
    asked: bool = False  # to end, or killed, by us


class Supervisor:
    """`with Supervisor(...) as workers: workers.want("ingest", 2)`. All methods may be called from any thread."""

    def __init__(
        self, folder: Path, kafka: str, redis: str, env: Mapping[str, str], seed: str, note: Callable[[str], None]
    ) -> None:
        """Nobody is at work yet. `env`: of every worker."""
        self._crew = Crew(folder, kafka, redis, env)
        self._seed, self._note = seed, note
        self._slots: dict[str, Slot] = {}
        self._lock = threading.RLock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="supervisor")
        self.started = False
        self.failures: list[str] = []
        self.ends: Counter[str] = Counter()  # how workers ended, by role

    def __enter__(self) -> Self:
        """Begin to look."""
        self.started = True
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        """End everybody, in good order."""
        self._ended.set()
        self._thread.join()
        for slot in self._slots.values():
            if slot.process is not None:
                slot.process.send(signal.SIGCONT)
        self._crew.stop()

    def want(self, role: str, count: int) -> None:
        """From now on so many of that role: missing ones are started, superfluous ones asked to end."""
        surplus = []
        with self._lock:
            for number in range(count):
                name = f"{role}/{number}"
                slot = self._slots.get(name) or Slot(name, random.Random(f"{self._seed}/{name}"))
                self._slots[name], slot.wanted = slot, True
            for name, slot in self._slots.items():
                if name.startswith(f"{role}/") and int(name.partition("/")[2]) >= count and slot.wanted:
                    slot.wanted = False
                    surplus.append(name)
        self._end(surplus)

    def count(self, role: str) -> int:
        """How many of that role are wanted."""
        with self._lock:
            return sum(slot.wanted for name, slot in self._slots.items() if name.startswith(f"{role}/"))

    def slot(self, target: str) -> str:
        """The slot that a target names; where there are fewer now, another of them."""
        role, _, number = target.partition("/")
        return f"{role}/{int(number) % max(1, self.count(role))}"

    def process(self, name: str, timeout_s: float = 20.0) -> ChildProcess:
        """The process in a slot; waits until there is one."""

        def look() -> ChildProcess | None:
            with self._lock:
                process = self._slots[name].process
                return process if process is not None and process.running() else None

        return eventually(look, timeout_s)

    def kill(self, name: str) -> int:
        """SIGKILL; returns how many were killed."""
        process = self.process(name)
        with self._lock:
            if self._slots[name].process is process:
                self._slots[name].asked = True
        process.kill()
        return 1

    def stop(self, name: str) -> None:
        """Ask to end, and wait. One that does not end is a failure."""
        self._end([name])

    def _end(self, names: list[str]) -> None:
        asked: list[tuple[str, ChildProcess]] = []
        with self._lock:
            for name in names:
                slot = self._slots[name]
                if slot.process is not None:
                    slot.asked = True
                    slot.process.send(signal.SIGTERM)
                    asked.append((name, slot.process))
        for name, process in asked:
            if not process.wait(PATIENCE_S):
                self.failures.append(f"{name} did not end within {PATIENCE_S:.0f} s after SIGTERM\n{self.tail(name)}")
                process.kill()

    def send(self, name: str, number: int) -> ChildProcess:
        """Send a signal to whoever is in the slot; returns the process."""
        process = self.process(name)
        process.send(number)
        return process

    def change(self, name: str, env: Mapping[str, str]) -> None:
        """Variables of the worker's next starts, besides those of all."""
        with self._lock:
            self._slots[name].env = dict(env)

    def wake_all(self) -> None:
        """SIGCONT, and no variables of their own: everybody is as at first."""
        with self._lock:
            for slot in self._slots.values():
                slot.env = {}
                if slot.process is not None:
                    slot.process.send(signal.SIGCONT)

    def processes(self) -> dict[str, tuple[int, int]]:
        """Process id and HTTP port, by slot, of those that are alive."""
        with self._lock:
            return {
                name: (slot.process.pid, self._port(slot))
                for name, slot in sorted(self._slots.items())
                if slot.process is not None and slot.process.running()
            }

    def _port(self, slot: Slot) -> int:
        """Where it serves HTTP, by its log; 0 while it does not."""
        address = SERVES.search(self._crew.log(slot.log))
        return int(address[1]) if address else 0

    def serves(self, name: str) -> bool:
        """Whether the worker in a slot has come so far that it serves HTTP."""
        with self._lock:
            slot = self._slots[name]
            return slot.process is not None and slot.process.running() and self._port(slot) > 0

    def all_there(self) -> bool:
        """Whether every slot that is wanted has a process."""
        with self._lock:
            return all(slot.process is not None for slot in self._slots.values() if slot.wanted)

    def ready(self) -> bool:
        """Whether every worker that is wanted says on /readyz that it is at work. Errors: OSError, AssertionError."""
        assert self.all_there()
        for name, (_, port) in self.processes().items():
            assert port, f"{name} does not serve HTTP yet"
            try:
                with urllib.request.urlopen(f"http://{HOST}:{port}/readyz", timeout=ANSWER_S):
                    pass
            except urllib.error.HTTPError as refusal:
                raise AssertionError(f"{name}: {refusal.read()!r}") from None
        return True

    def check(self) -> None:
        """Assert that nobody has ended with an exit code of its own."""
        assert not self.failures, "\n".join(self.failures)

    def tail(self, name: str) -> str:
        """The end of the log of whoever is, or was last, in the slot."""
        slot = self._slots[name]
        return f"--- {slot.log}\n{self._crew.log(slot.log)[-TAIL:]}" if slot.log else ""

    def logs(self) -> str:
        """The ends of the logs of all that are at work."""
        return "\n".join(self.tail(name) for name in sorted(self._slots))

    def _run(self) -> None:
        while not self._ended.wait(LOOK_S):
            with self._lock:
                for slot in list(self._slots.values()):
                    self._look_after(slot)

    def _look_after(self, slot: Slot) -> None:
        role, now = slot.name.partition("/")[0], time.monotonic()
        if slot.process is not None and not slot.process.running():
            self._judge(slot, role)
            self._crew.workers.pop(slot.log, None)
            slot.process, slot.asked = None, False
            slot.start_at = now + slot.random.uniform(*AGAIN_S)
        if slot.process is None and slot.wanted and now >= slot.start_at:
            slot.starts += 1
            slot.log, slot.began = f"{role}-{slot.name.partition('/')[2]}.{slot.starts}", now
            slot.process = self._crew.start(slot.log, role, env={"TIDEWATCH_HTTP_PORT": "0", **slot.env})

    def _judge(self, slot: Slot, role: str) -> None:
        assert slot.process is not None
        code = slot.process.returncode
        self.ends[f"{role} {code}"] += 1
        fair = code in ((0, -signal.SIGKILL, -signal.SIGTERM) if slot.asked else (0,))
        if not fair:
            what = f"{slot.name} ended by itself with exit code {code}"
            self._note(what)
            self.failures.append(f"{what}\n{self.tail(slot.name)}")
        elif not slot.asked:
            self._note(f"{slot.name} ended by itself with exit code 0")
