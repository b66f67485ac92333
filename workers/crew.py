"""Workers as processes of their own, beside servers of our own: for the demo, the tests and the benches."""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from workers.local.process import ChildProcess
from workers.settings import REPOSITORY

END_S = 20.0  # a worker that is asked to end flushes what it has decoded; then it is killed


class Crew:
    """Ingest and index workers against one Kafka and one Redis. They die with this process, and `stop` ends them."""

    def __init__(self, folder: Path, kafka: str, redis: str, env: Mapping[str, str] | None = None) -> None:
        """`folder`: where their logs go, `<name>.log`; `env`: further variables (`TIDEWATCH_...`)."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._env = {"TIDEWATCH_KAFKA": kafka, "TIDEWATCH_REDIS": redis, **(env or {})}
        self.workers: dict[str, ChildProcess] = {}

    def start(self, name: str, *command: str, env: Mapping[str, str] | None = None) -> ChildProcess:
        """Start `tidewatch <command>` under `name`; a name is used once at a time."""
        worker = ChildProcess(
            name,
            [sys.executable, "-m", "workers", *command],
            self.folder / f"{name}.log",
            cwd=REPOSITORY,
            env={**self._env, **(env or {})},
        )
        self.workers[name] = worker
        return worker

    def check(self) -> None:
        """Raises ReadItsLogError, with the end of its log, when a worker has ended by itself."""
        for worker in self.workers.values():
            worker.check()

    def log(self, name: str) -> str:
        """What a worker has written so far."""
        return (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")

    def kill(self, name: str) -> None:
        """SIGKILL, and forget."""
        self.workers.pop(name).kill()

    def end(self, name: str) -> int:
        """Ask to end, wait, and forget; returns the exit code."""
        worker = self.workers.pop(name)
        worker.stop(END_S)
        return worker.returncode

    def stop(self) -> None:
        """End all; the signals go out first, so that they end together."""
        for worker in self.workers.values():
            worker.send(signal.SIGTERM)
        for name in list(self.workers):
            self.end(name)

    def __enter__(self) -> Self:
        """Nothing is running yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all."""
        self.stop()
