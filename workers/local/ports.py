"""Ports of the loopback address: free ones, and a clear word when one that was asked for is taken."""

from __future__ import annotations

import random
import socket

from workers.local.errors import ChooseAnotherError

HOST = "127.0.0.1"

# Below the ranges from which Linux (32768 up) and others (49152 up) take the local ports of outgoing connections.
# A port out of those would be lost while its server restarts: a client that keeps trying to reconnect can be given that
# very port as its own, connect to itself, and hold it.
FREE_PORTS = range(20_000, 32_000)


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


def free_port() -> int:
    """A port of the loopback address on which nobody listens. Raises ChooseAnotherError when there is none."""
    for port in random.sample(FREE_PORTS, 200):
        if is_free(port):
            return port
    raise ChooseAnotherError(f"no free port found on {HOST} among 200 between {FREE_PORTS[0]} and {FREE_PORTS[-1]}")


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
