"""A disk of limited size under a server's data, which can be filled: a tmpfs where we may mount, else a limit on files.

What a kill -9 leaves of a server's data stays; it goes when the trial ends.
"""

from __future__ import annotations

import os
import resource
import subprocess
from pathlib import Path

SIZE_MB = 512  # far above what a trial writes to one broker; taken only as it is used
NAME = "tidewatch-chaos"
CHUNK = bytes(1 << 20)
COMMAND_S = 10


class LimitedDisk:
    """The folder `at`. `mount`, then `fill` and `free` as often as wished, `unmount`."""

    def __init__(self, at: Path) -> None:
        self.at = at
        self.mounted = False
        self._filler = at / "filler"
        self._limited: tuple[int, tuple[int, int]] | None = None  # process and its limits of before

    def mount(self) -> None:
        """Mount it if that is allowed here."""
        self.at.mkdir(parents=True, exist_ok=True)
        _unmount_of_the_dead()
        command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m", f"{NAME}-{os.getpid()}", str(self.at)]
        try:
            done = subprocess.run(command, capture_output=True, timeout=COMMAND_S, check=False)
        except FileNotFoundError:
            return
        self.mounted = done.returncode == 0

    def fill(self, pid: int) -> str:
        """No further byte can be written: `disk` if the disk is full, `limit` if process `pid` may not."""
        if not self.mounted:
            before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            self._limited = pid, before
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, before[1]))
            return "limit"
        with self._filler.open("wb", buffering=0) as filler:
            try:
                while filler.write(CHUNK) == len(CHUNK):
                    pass
                while filler.write(b"x"):
                    pass
            except OSError:
                pass
        return "disk"

    def free(self) -> None:
        """There is room again. Does nothing where there is."""
        self._filler.unlink(missing_ok=True)
        if self._limited is not None:
            (pid, before), self._limited = self._limited, None
            try:
                resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
            except ProcessLookupError:
                pass

    def unmount(self) -> None:
        """Give it back, with all that lies on it."""
        if self.mounted:
            subprocess.run(["umount", "-l", str(self.at)], capture_output=True, timeout=COMMAND_S, check=True)
            self.mounted = False


def _unmount_of_the_dead() -> None:
    """Disks of earlier trials that were killed: their process is gone."""
    for line in Path("/proc/mounts").read_text().splitlines():
        name, where, *_ = line.split()
        if name.startswith(f"{NAME}-") and not Path("/proc", name.rpartition("-")[2]).exists():
            subprocess.run(["umount", "-l", where], capture_output=True, timeout=COMMAND_S, check=False)
