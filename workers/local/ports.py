"""Ports of the loopback address: free ones, and a clear word when one that was asked for is taken."""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path

from workers.local.errors import ChooseAnotherError

HOST = "127.0.0.1"

# Below the ranges from which Linux (32768 up) and others (49152 up) take the local ports of outgoing connections.
# A port out of those would be lost while its server restarts: a client that keeps trying to reconnect can be given that
# very port as its own, connect to itself, and hold it.
FREE_PORTS = range(20_000, 32_000)

# Ports that this process was given, each with its open lock file. A port is free for nobody else from the moment it is
# chosen, while its server starts, and while that is down between a kill and a restart, until this process ends.
_reserved: dict[int, int] = {}


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of the loopback address now."""
    with socket.socket() as probe:
        # as the servers do: a port whose last connections are still winding down (TIME_WAIT) is free
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def reserve(port: int) -> bool:
    """Whether this process now has `port` for itself, among all that choose theirs here; it keeps it to its end."""
    folder = Path(tempfile.gettempdir()) / f"tidewatch-ports-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        lock = os.open(folder / str(port), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:  # no place for locks: then only within this process
        known = port in _reserved
        _reserved[port] = -1
        return not known
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return False
    _reserved[port] = lock
    return True


def free_port(among: range = FREE_PORTS) -> int:
    """A port of the loopback address on which nobody listens, and that nobody else was given.

    Raises ChooseAnotherError when there is none.
    """
    for port in random.sample(among, min(200, len(among))):
        if is_free(port) and reserve(port):
            return port
    raise ChooseAnotherError(f"no free port found on {HOST} between {among[0]} and {among[-1]}")


def claim(port: int | None, what: str) -> int:
    """`port`, or a free one for None, on which `what` is to listen. Raises ChooseAnotherError if it is taken."""
    if port is None:
        return free_port()
    if not is_free(port):
        raise ChooseAnotherError(
            f"port {port} of {HOST}, where {what} is to listen, is in use by another program. "
            f"End that one (`ss -ltnp 'sport = :{port}'` names it), or choose another port."
        )
    return port
