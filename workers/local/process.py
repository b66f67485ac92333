"""One child process: bound to its parent's life, its output in a log file, ended by its own id and in no other way.

Invariant: `pid` is that of a child which this process has not yet reaped, so a signal never reaches a stranger who was
given the same number.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path

from workers.local.errors import ReadItsLogError

GUARD = Path(__file__).with_name("guard.py")
POLL_S = 0.02  # between two looks at a condition; short beside the 0.1 s (Redis) and 1 s (Kafka) that a start takes
LOG_LINES = 25  # of a failed server's log that go into the error

_launches: queue.SimpleQueue[tuple[Callable[[], subprocess.Popen[bytes]], Future[subprocess.Popen[bytes]]]]
_launches = queue.SimpleQueue()
_launcher_lock = threading.Lock()
_launcher: threading.Thread | None = None


def _launch_forever() -> None:
    while True:
        launch, future = _launches.get()
        try:
            future.set_result(launch())
        except BaseException as error:
            future.set_exception(error)


def _on_launcher_thread(launch: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    """Linux sends the death signal when the *thread* that forked ends. So one thread forks, and lives to the end."""
    global _launcher
    with _launcher_lock:
        if _launcher is None or not _launcher.is_alive():  # not alive: we are in a forked copy, which has no threads
            _launcher = threading.Thread(target=_launch_forever, name="tidewatch-launcher", daemon=True)
            _launcher.start()
    future: Future[subprocess.Popen[bytes]] = Future()
    _launches.put((launch, future))
    return future.result()


class ChildProcess:
    """A running child. It dies at once when this Python process ends, however that ends (Linux)."""

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        log: Path,
        *,
        cwd: Path,
        keep_open: Sequence[int] = (),
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Start `command` (its first element an absolute path), output appended to `log`.

        `keep_open`: file descriptors that the child inherits (a lock that it then holds as long as it lives);
        `env`: variables besides ours.
        Raises OSError if the program cannot be started.
        """
        self.name = name
        self.log = log
        self._log_start = log.stat().st_size if log.exists() else 0
        guarded = [sys.executable, "-I", "-S", str(GUARD), str(os.getpid()), *map(str, command)]

        def launch() -> subprocess.Popen[bytes]:
            with log.open("ab") as output:
                return subprocess.Popen(
                    guarded,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    cwd=cwd,
                    pass_fds=keep_open,
                    env={**os.environ, **(env or {})},
                    # Ctrl-C at the terminal goes to this process only, which then ends its servers in its own order.
                    start_new_session=True,
                )

        self._popen = _on_launcher_thread(launch)

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._popen.pid

    @property
    def returncode(self) -> int:
        """Exit code; negative: the signal that ended it. Only after it has ended."""
        return int(self._popen.returncode)

    def running(self) -> bool:
        """Whether the child is alive."""
        return self._popen.poll() is None

    def check(self) -> None:
        """Raises ReadItsLogError, with the end of the log, when the child has ended."""
        if not self.running():
            raise ReadItsLogError(self._failure(f"ended with exit code {self._popen.returncode}"))

    def send(self, sig: int) -> None:
        """Send a signal, if the child is alive."""
        self._popen.send_signal(sig)  # polls first, so never to a reused id

    def wait(self, timeout_s: float) -> bool:
        """Wait at most `timeout_s` seconds for the child's end; whether it has ended."""
        try:
            self._popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def stop(self, timeout_s: float) -> None:
        """SIGTERM, at most `timeout_s` seconds of patience, then SIGKILL; returns when the child is gone."""
        self.send(signal.SIGTERM)
        self.send(signal.SIGCONT)  # one that is stopped would not hear it
        if not self.wait(timeout_s):
            self.kill()

    def kill(self) -> None:
        """SIGKILL; returns when the child is gone."""
        self.send(signal.SIGKILL)
        self._popen.wait()

    def wait_until(self, serving: Callable[[], bool], timeout_s: float) -> None:
        """Wait until `serving()`; raises ReadItsLogError if the child ends first, or after `timeout_s` seconds.

        A child that is late is killed: half a server helps nobody.
        """
        deadline = time.monotonic() + timeout_s
        while not serving():
            if self.wait(POLL_S):
                self.check()
            if time.monotonic() > deadline:
                self.kill()
                raise ReadItsLogError(self._failure(f"did not serve within {timeout_s:g} s, so it was ended"))

    def _failure(self, what: str) -> str:
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            lines = log.read().decode(errors="replace").splitlines()
        end = "\n".join(f"    {line}" for line in lines[-LOG_LINES:]) or "    (it wrote nothing)"
        return f"{self.name} {what}. The end of its log, {self.log}:\n{end}"
