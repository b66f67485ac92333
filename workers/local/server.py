"""What the local Kafka and the local Redis have in common: a folder, a port, and one child process at a time."""

from __future__ import annotations

import signal
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypedDict

from workers.local.jars import Progress
from workers.local.ports import claim
from workers.local.process import ChildProcess


class ServerOptions(TypedDict, total=False):
    """What LocalServer takes beside the folder; see there."""

    port: int | None
    settings: Mapping[str, object] | None
    keep_open: Sequence[int]
    progress: Progress


class LocalServer(ABC):
    """A server that can be started, killed and started again on the same folder and the same port.

    Not for use from two threads at once.
    """

    name: str
    start_s: float  # the most that a start may take, seconds
    stop_s: float  # the patience after SIGTERM, seconds

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        settings: Mapping[str, object] | None = None,
        keep_open: Sequence[int] = (),
        progress: Progress = lambda line: None,
    ) -> None:
        """Starts nothing yet.

        `folder` is made if absent, and what is in it is used again; `port` None takes a free one; `settings` go over
        ours, by the server's own names; `keep_open`: file descriptors that the child inherits; `progress` gets a line
        per long step.
        Raises ChooseAnotherError when the port is taken.
        """
        self.folder = folder
        self.port = claim(port, self.name)
        self.settings = dict(settings or {})
        self.progress = progress
        self._keep_open = keep_open
        self._child: ChildProcess | None = None

    @property
    def pid(self) -> int:
        """Process id of the server that was started last. Raises RuntimeError when none was."""
        return self._started().pid

    @property
    def log(self) -> Path:
        """The file that holds what the server says."""
        return self.folder / f"{self.name.lower()}.log"

    def running(self) -> bool:
        """Whether the process is alive (it may be deaf, see `kill` with SIGSTOP)."""
        return self._child is not None and self._child.running()

    def start(self) -> None:
        """Start on the folder and port, and return when it serves.

        Raises a LocalError: its class says what to do. RuntimeError when it is running already.
        """
        if self.running():
            raise RuntimeError(f"{self.name} is running already, as process {self.pid}")
        self.folder.mkdir(parents=True, exist_ok=True)
        command = self._prepare()
        claim(self.port, self.name)
        self.progress(f"starting {self.name} on port {self.port}")
        self._child = ChildProcess(self.name, command, self.log, cwd=self.folder, keep_open=self._keep_open)
        self._wait_until_serving(self._child)

    @abstractmethod
    def _prepare(self) -> Sequence[str | Path]:
        """Write the configuration, and return the command."""

    @abstractmethod
    def _wait_until_serving(self, child: ChildProcess) -> None: ...

    def check(self) -> None:
        """Raises ReadItsLogError, with the end of the log, when the server has ended by itself."""
        self._started().check()

    def stop(self) -> None:
        """End it in good order; returns when it is gone. Does nothing when it is not running."""
        if self._child is not None:
            self._child.stop(self.stop_s)

    def kill(self, sig: int = signal.SIGKILL) -> None:
        """Send `sig`: by default the one that leaves it no last word, and then return when it is gone."""
        if sig == signal.SIGKILL:
            self._started().kill()
        else:
            self._started().send(sig)

    def send(self, sig: int) -> None:
        """Send `sig`, and wait for nothing: SIGSTOP, SIGCONT."""
        self._started().send(sig)

    def restart(self) -> None:
        """Stop it if it runs, and start it. Raises what `start` raises."""
        self.stop()
        self.start()

    def _started(self) -> ChildProcess:
        if self._child is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._child
