"""Redis's data as files: copied while it runs, and put back under it, which takes it back in time."""

from __future__ import annotations

import shutil
from pathlib import Path

from workers.local.redis import RedisServer

NAMES = ("appendonly.aof", "appendonlydir")


def copy_data(server: RedisServer, to: Path) -> None:
    """Copy what is on its disk now to the new folder `to`."""
    to.mkdir(parents=True)
    for name in NAMES:
        _copy(server.folder / name, to / name)


def put_data_back(server: RedisServer, copy: Path | None) -> None:
    """Kill the server, put an earlier copy back (None: nothing at all), and start it."""
    if server.running():
        server.kill()
    for name in NAMES:
        here = server.folder / name
        if here.is_dir():
            shutil.rmtree(here)
        here.unlink(missing_ok=True)
        if copy is not None:
            _copy(copy / name, here)
    server.start()


def _copy(there: Path, here: Path) -> None:
    if there.is_dir():
        shutil.copytree(there, here)
    elif there.exists():
        shutil.copyfile(there, here)
