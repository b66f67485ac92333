"""Redis in a trial: what all forms of it have in common, and the form with one server, behind a proxy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.chaos.brokers import start_all, wake_all
from tests.chaos.proxy import Network, Proxy
from tests.waiting import NotInTimeError, eventually
from tests.workers.redis_copy import copy_data, put_data_back
from workers.local.jars import Progress
from workers.local.redis import RedisServer

ANSWER_S = 2.0
KNOWN_S = 20.0  # for an old primary to learn that it is a replica now; ten where Sentinels tell it
HEAL_S = 60.0  # some seconds usual: a Sentinel looks at an old primary for ten before it demotes it


class Redises(ABC):
    """`servers[i]` hold data; `url` for workers, `direct` for the trial (both as TIDEWATCH_REDIS)."""

    servers: list[RedisServer]
    proxies: list[Proxy]
    url: str
    direct: str

    @abstractmethod
    def start(self) -> None:
        """Start all, and return when they serve as one."""

    @abstractmethod
    def primary(self, partition: int) -> int:
        """Index of the server that takes writes of `{tw:partition}`. Waits while there is none."""

    @abstractmethod
    def replicas(self, index: int) -> list[int]:
        """Indices of the running replicas of a primary."""

    @abstractmethod
    def _fail_over(self, index: int, *, kill: bool) -> int:
        """See `fail_over`; `index` has a replica."""

    def fail_over(self, index: int, *, kill: bool = False) -> int:
        """A replica takes over from primary `index`, by order, or because that is killed; returns whose turn it is.

        Replicas that lagged follow it from then on. Errors: LookupError where none follows `index`.
        """
        try:  # one that has just started may not know yet that it is a replica
            eventually(lambda: self.replicas(index), KNOWN_S if len(self.servers) > 1 else 0.0)
        except NotInTimeError:
            raise LookupError(f"redis {index} has no replica that runs") from None
        now = self._fail_over(index, kill=kill)
        for each in range(len(self.servers)):
            holds(lambda each=each: self._follow(each))
        return now

    def _follow(self, index: int) -> bool:
        return bool(self.ask(index, "CONFIG", "SET", "masterauth", ""))

    @abstractmethod
    def whole(self) -> bool:
        """Whether all serve as one, with every replica in step."""

    def others(self) -> list[RedisServer]:
        """Processes that hold no data (Sentinels)."""
        return []

    def end(self) -> None:
        """Kill all."""
        for server in [*self.others(), *self.servers]:
            if server.running():
                server.kill()

    def ask(self, index: int, *command: str | int) -> Any:
        """One command to one server. Errors: OSError where it does not answer, redis.ResponseError."""
        return ask(self.servers[index].port, *command)

    def set_memory_limit(self, index: int, limit_bytes: int | None) -> None:
        """`maxmemory`; None: no limit. Below what is used, every write is refused."""
        self.ask(index, "CONFIG", "SET", "maxmemory", limit_bytes or 0)

    def lag(self, index: int) -> list[int]:
        """The replicas of primary `index` get nothing more from it until `fail_over` or `heal`; returns them.

        Their link is closed, and with a password that nobody asked for they cannot open it again.
        """
        found = self.replicas(index)
        for replica in found:
            self.ask(replica, "CONFIG", "SET", "masterauth", "lags")
        self.ask(index, "CLIENT", "KILL", "TYPE", "replica")
        for replica in found:
            eventually(lambda replica=replica: self.info(replica)["master_link_status"] == "down", HEAL_S)
        return found

    def info(self, index: int) -> dict[str, str]:
        """INFO replication of one server."""
        lines = self.ask(index, "INFO", "replication").splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def copy(self, index: int, to: Path) -> Path:
        """A copy of the server's data as they are on its disk now."""
        copy_data(self.servers[index], to)
        return to

    def put_back(self, index: int, copy: Path | None) -> None:
        """The server dies, an earlier copy of its data is put back (None: nothing at all), and it starts."""
        put_data_back(self.servers[index], copy)

    def heal(self) -> None:
        """No fault, all at work, replicas in step. Errors: a LocalError, NotInTimeError."""
        for proxy in self.proxies:
            proxy.heal()
        every = [*self.servers, *self.others()]
        wake_all(every)
        start_all(every)
        for index in range(len(self.servers)):
            eventually(lambda index=index: self._lift(index), HEAL_S)
        eventually(lambda: holds(self.whole), HEAL_S, self.standing)

    def _lift(self, index: int) -> bool:
        self.set_memory_limit(index, None)
        return self._follow(index)

    def standing(self) -> str:
        """Who is what, for a message."""

        def one(index: int) -> str:
            try:
                return str(self.info(index))
            except (OSError, redis.RedisError) as error:
                return repr(error)

        return "\n".join(f"redis {index}: {one(index)}" for index in range(len(self.servers)))


class OneRedis(Redises):
    """One server; workers reach it through a proxy."""

    def __init__(self, folder: Path, network: Network, progress: Progress) -> None:
        """Starts nothing yet."""
        self.servers = [RedisServer(folder / "redis-0", progress=progress)]
        self.proxies = [network.proxy(self.servers[0].port)]
        self.url = f"redis://{self.proxies[0].address}/0"
        self.direct = self.servers[0].url

    def start(self) -> None:
        """It serves when it has started."""
        start_all(self.servers)

    def primary(self, partition: int) -> int:
        """There is only one."""
        return 0

    def replicas(self, index: int) -> list[int]:
        """None."""
        return []

    def _fail_over(self, index: int, *, kill: bool) -> int:
        """Never called: there is nobody to take over."""
        raise NotImplementedError

    def whole(self) -> bool:
        """Whether it answers."""
        return bool(self.ask(0, "PING"))


def ask(port: int, *command: str | int) -> Any:
    """One command to the server at a port of loopback. Errors: OSError where it does not answer, ResponseError."""
    client = redis.Redis(
        port=port,
        protocol=2,
        decode_responses=True,
        socket_timeout=ANSWER_S,
        socket_connect_timeout=ANSWER_S,
        retry=Retry(NoBackoff(), 0),
    )
    # The client's own reading of replies is left out: what is asked is looked at in few places, and by its raw form.
    client.response_callbacks.clear()
    try:
        return client.execute_command(*command)
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise OSError(f"Redis at port {port}: {error}") from None
    finally:
        client.close()


def holds(condition: Callable[[], object]) -> bool:
    """Whether it is true; false where a server that is asked does not answer, or refuses."""
    try:
        return bool(condition())
    except (OSError, redis.ResponseError):
        return False
