"""A TCP proxy that can be a bad network: slow, silent, cut, or cut in the middle of an answer; for all, or one process.

    with Network() as network:
        proxy = network.proxy(target_port)     # listens on proxy.port
        proxy.slow(0.2)
        proxy.cut(pid=worker.pid)
        proxy.heal()

All proxies of a network share one thread with an event loop of its own; every method returns when it is in force.
Faults add up until `heal`. A client whose server does not listen is hung up on.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeVar

from tests.chaos.owners import owns
from workers.local.ports import HOST, claim

CHUNK_BYTES = 64 << 10
CALL_S = 10.0  # a bound on what the loop may take for one order; some ms usual
T = TypeVar("T")


@dataclass(slots=True)
class Fault:
    """One thing that is wrong; `pid` None: for everybody. `left`: how often it still strikes (`drop`)."""

    kind: str  # slow, silent, cut, drop
    pid: int | None
    delay_s: float = 0.0
    left: int = 0


class Connection:
    """One client's connection and ours to the server."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter | None) -> None:
        self.client, self.server = client, server
        self._port: int = client.get_extra_info("peername")[1]
        self._owners: dict[int, bool] = {}

    def is_of(self, pid: int | None) -> bool:
        """Whether process `pid` is the client; None is everybody."""
        if pid is None:
            return True
        if pid not in self._owners:
            self._owners[pid] = owns(pid, self._port)
        return self._owners[pid]

    def reset(self) -> None:
        """End both sides at once, with what is under way lost."""
        for writer in (self.client, self.server):
            if writer is None or writer.transport.is_closing():
                continue
            held = writer.get_extra_info("socket")
            if held is not None:
                held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()


class Proxy:
    """One listening port and the server behind it. Made by `Network.proxy`."""

    def __init__(self, network: Network, target: int, port: int | None) -> None:
        self.target, self.port = target, claim(port, "a proxy")
        self._network = network
        self._faults: list[Fault] = []
        self._connections: set[Connection] = set()
        self._changed = asyncio.Event()
        self._listener: asyncio.Server | None = None

    @property
    def address(self) -> str:
        """`host:port` for clients."""
        return f"{HOST}:{self.port}"

    # --- orders, from any thread --------------------------------------------------------------------------------------

    def slow(self, delay_s: float, pid: int | None = None) -> None:
        """Every piece of an answer (up to 64 KiB) comes so much later."""
        self._order(Fault("slow", pid, delay_s=delay_s))

    def black_hole(self, pid: int | None = None) -> None:
        """Connections stand and are accepted, and nothing passes in either direction until `heal`; then it goes on."""
        self._order(Fault("silent", pid))

    def cut(self, pid: int | None = None) -> None:
        """Connections are reset, and new ones as soon as they are made."""
        self._order(Fault("cut", pid))

    def drop_mid_response(self, times: int = 1, pid: int | None = None) -> None:
        """The next `times` answers break off in the middle: half of the bytes, then a reset."""
        self._order(Fault("drop", pid, left=times))

    def heal(self) -> None:
        """No fault any more; what was held back goes on."""
        self._network.call(self._heal)

    def faulty(self) -> bool:
        """Whether a fault is in force (a `drop` that has struck is not)."""
        return self._network.call(lambda: any(fault.kind != "drop" or fault.left for fault in self._faults))

    def drops_left(self) -> int:
        """How many answers are still to be broken off."""
        return self._network.call(lambda: sum(fault.left for fault in self._faults if fault.kind == "drop"))

    def connected(self) -> int:
        """How many connections stand."""
        return self._network.call(lambda: len(self._connections))

    # --- in the loop --------------------------------------------------------------------------------------------------

    def _order(self, fault: Fault) -> None:
        def act() -> None:
            self._faults.append(fault)
            self._tell()
            if fault.kind == "cut":
                for connection in [c for c in self._connections if c.is_of(fault.pid)]:
                    connection.reset()

        self._network.call(act)

    def _heal(self) -> None:
        self._faults.clear()
        self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def listen(self) -> None:
        """Begin to accept."""
        self._listener = await asyncio.start_server(self._accepted, HOST, self.port, limit=CHUNK_BYTES)

    def shut(self) -> None:
        """Accept no more, and end what stands."""
        if self._listener is not None:
            self._listener.close()
        for connection in list(self._connections):
            connection.reset()

    def _fault(self, kind: str, connection: Connection) -> Fault | None:
        return next((f for f in self._faults if f.kind == kind and connection.is_of(f.pid)), None)

    async def _accepted(self, from_client: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        connection = Connection(client, None)
        try:
            if self._fault("cut", connection):
                return
            try:
                from_server, connection.server = await asyncio.open_connection(HOST, self.target, limit=CHUNK_BYTES)
            except OSError:
                return
            if self._fault("cut", connection):  # ordered while we connected
                return
            self._connections.add(connection)
            ways = [
                asyncio.ensure_future(self._pass(connection, from_client, connection.server, answers=False)),
                asyncio.ensure_future(self._pass(connection, from_server, client, answers=True)),
            ]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        finally:
            self._connections.discard(connection)
            connection.reset()

    async def _pass(
        self, connection: Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool
    ) -> None:
        """Until one side hangs up. A client that closes has nothing more to read, so both sides end together."""
        try:
            while data := await reader.read(CHUNK_BYTES):
                while self._fault("silent", connection):
                    await self._changed.wait()
                if answers:
                    slow = self._fault("slow", connection)
                    if slow:
                        await self._unless_healed(slow)
                    drop = next(
                        (f for f in self._faults if f.kind == "drop" and f.left and connection.is_of(f.pid)), None
                    )
                    if drop and len(data) > 1:
                        drop.left -= 1
                        writer.write(data[: len(data) // 2])
                        await writer.drain()
                        await asyncio.sleep(0)  # what was written is with the kernel; the reset comes behind it
                        return
                writer.write(data)
                await writer.drain()
        except OSError:
            return

    async def _unless_healed(self, slow: Fault) -> None:
        deadline = asyncio.get_running_loop().time() + slow.delay_s
        while slow in self._faults:
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                return
            try:
                await asyncio.wait_for(self._changed.wait(), left)
            except TimeoutError:
                return


class Network:
    """The thread in which proxies live. A context manager."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxies", daemon=True)
        self._proxies: list[Proxy] = []

    def proxy(self, target: int, port: int | None = None) -> Proxy:
        """A new proxy in front of port `target`, listening on `port` (None: a free one)."""
        made = Proxy(self, target, port)
        asyncio.run_coroutine_threadsafe(made.listen(), self._loop).result(CALL_S)
        self._proxies.append(made)
        return made

    def call(self, do: Callable[[], T]) -> T:
        """`do()` in the loop's thread; its result."""

        async def doing() -> T:
            return do()

        return asyncio.run_coroutine_threadsafe(doing(), self._loop).result(CALL_S)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hang up on everybody, and end the thread."""

        async def end() -> None:
            for proxy in self._proxies:
                proxy.shut()
            others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(CALL_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CALL_S)
        self._loop.close()
