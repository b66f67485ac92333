"""The data folder of one set of local servers, and the lock that keeps a second set out of it.

Invariant: the lock is held as long as this process *or any server that it started* is alive, because the servers
inherit the open file. So whoever gets the lock finds no server still writing there.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from workers.local.errors import ChooseAnotherError, InstallFirstError

LOCK = "lock"
# How long servers whose parent was killed may take to follow it (they get SIGKILL from the kernel; 0.1 s is usual).
DYING_S = 10.0


class DataFolder:
    """A folder owned by this process from `__init__` to `close`."""

    def __init__(self, path: Path) -> None:
        """Create the folder if need be and take its lock.

        Raises ChooseAnotherError when other local servers use it, InstallFirstError when it cannot be written.
        """
        self.path = path.expanduser().resolve()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self.fd = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise InstallFirstError(
                f"cannot write to the folder of the local servers, {self.path}: {error.strerror}. "
                "Choose another one (--dir, or TIDEWATCH_DIR)."
            ) from error
        try:
            self._take()
        except BaseException:
            os.close(self.fd)
            raise

    def _take(self) -> None:
        deadline = time.monotonic() + DYING_S
        while True:
            try:
                fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                owner = os.pread(self.fd, 32, 0).decode(errors="replace").strip()
                if _alive(owner) or time.monotonic() > deadline:
                    raise ChooseAnotherError(
                        f"the folder {self.path} is in use by the local servers of process {owner or '(unknown)'}. "
                        "End that one first (Ctrl-C where it runs), or choose another folder (--dir, or TIDEWATCH_DIR)."
                    ) from None
                time.sleep(0.05)
        os.ftruncate(self.fd, 0)
        os.pwrite(self.fd, f"{os.getpid()}\n".encode(), 0)

    def close(self) -> None:
        """Give the folder back. Its servers must have ended. May be called twice."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def _alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True
