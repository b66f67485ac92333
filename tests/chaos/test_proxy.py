"""The proxies' faults, on a server that echoes."""

from __future__ import annotations

import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from tests.chaos.proxy import Network, Proxy
from tests.waiting import eventually


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while data := self.request.recv(65536):
            self.request.sendall(data)


class EchoServer(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A reset is what the proxy is for."""


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with EchoServer(("127.0.0.1", 0), Echo) as server, Network() as network:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield network.proxy(server.server_address[1])
        server.shutdown()
        thread.join()


def call(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=5)


def asked(client: socket.socket, text: bytes = b"0123456789") -> bytes:
    """What comes back until all of it has, or the connection is closed; a reset raises."""
    client.sendall(text)
    got = b""
    while len(got) < len(text) and (more := client.recv(65536)):
        got += more
    return got


def test_passes_everything(proxy: Proxy) -> None:
    with call(proxy) as client:
        for size in (1, 1000, 3_000_000):
            threading.Thread(target=client.sendall, args=(bytes(size),)).start()
            left = size
            while left:
                left -= len(client.recv(65536))
    eventually(lambda: proxy.connected() == 0)


def test_slow_then_healed(proxy: Proxy) -> None:
    with call(proxy) as client:
        proxy.slow(0.1)
        began = time.monotonic()
        assert asked(client) == b"0123456789"
        assert time.monotonic() - began >= 0.1
        proxy.slow(60)
        client.sendall(b"x")
        client.settimeout(0.05)
        with pytest.raises(TimeoutError):
            client.recv(1)
        proxy.heal()
        client.settimeout(5)
        assert client.recv(1) == b"x"


def test_black_hole_keeps_what_was_said(proxy: Proxy) -> None:
    with call(proxy) as before:
        assert asked(before, b"a") == b"a"
        proxy.black_hole()
        with call(proxy) as anew:
            for client in (before, anew):
                client.sendall(b"b")
                client.settimeout(0.05)
                with pytest.raises(TimeoutError):
                    client.recv(1)
            proxy.heal()
            for client in (before, anew):
                client.settimeout(5)
                assert client.recv(1) == b"b"


def test_drop_in_mid_response(proxy: Proxy) -> None:
    with call(proxy) as client, call(proxy) as other:
        proxy.drop_mid_response(2)
        for each in (client, other):
            each.sendall(b"0123456789")
            assert each.recv(100) == b"01234"
            with pytest.raises(ConnectionResetError):
                each.recv(100)
    assert proxy.drops_left() == 0
    with call(proxy) as client:
        assert asked(client) == b"0123456789"


OTHER = """
import socket, sys
client = None
for line in sys.stdin:
    try:
        client = client or socket.create_connection(("127.0.0.1", int(sys.argv[1])))
        client.sendall(b"x")
        print("passes" if client.recv(1) else "closed", flush=True)
    except OSError:
        client = None
        print("reset", flush=True)
"""


def test_cut_off_from_one_process(proxy: Proxy) -> None:
    with (
        call(proxy) as client,
        subprocess.Popen(
            [sys.executable, "-c", OTHER, str(proxy.port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as other,
    ):
        assert other.stdin is not None
        assert other.stdout is not None

        def says() -> str:
            assert other.stdin is not None
            assert other.stdout is not None
            other.stdin.write("\n")
            other.stdin.flush()
            return other.stdout.readline().strip()

        assert says() == "passes"
        proxy.cut(pid=other.pid)
        assert says() == "reset"
        assert says() == "reset"  # the new connection too
        assert asked(client) == b"0123456789"
        proxy.heal()
        eventually(lambda: says() == "passes")
        other.stdin.close()


def test_a_server_that_does_not_listen(proxy: Proxy) -> None:
    proxy.target = 1
    with pytest.raises(ConnectionResetError), call(proxy) as client:
        client.recv(1)
