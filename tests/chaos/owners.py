"""Which process a connection on loopback belongs to, as the kernel's tables say (Linux)."""

from __future__ import annotations

import os
from pathlib import Path

LOOPBACK = "0100007F"  # 127.0.0.1 as /proc/net/tcp writes it


def owns(pid: int, port: int) -> bool:
    """Whether process `pid` holds the end of a TCP connection that has local port `port`; False where it is gone."""
    inode = _inode(port)
    return inode is not None and f"socket:[{inode}]" in _files(pid)


def connections(pid: int, to_port: int) -> int:
    """How many established TCP connections process `pid` holds to `to_port` of this machine."""
    held, wanted = _files(pid), f"{LOOPBACK}:{to_port:04X}"
    return sum(
        1 for _, remote, state, inode in _table() if remote == wanted and state == "01" and f"socket:[{inode}]" in held
    )


def _inode(port: int) -> str | None:
    wanted = f"{LOOPBACK}:{port:04X}"
    return next((inode for local, _, _, inode in _table() if local == wanted and inode != "0"), None)


def _table() -> list[tuple[str, str, str, str]]:
    """(local, remote, state, inode) of every TCP connection."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [(fields[1], fields[2], fields[3], fields[9]) for fields in lines]


def _files(pid: int) -> set[str]:
    found = set()
    try:
        for entry in os.scandir(f"/proc/{pid}/fd"):
            try:
                found.add(os.readlink(entry.path))
            except OSError:  # closed meanwhile
                continue
    except OSError:
        return set()
    return found
