"""Clients of Redis from its URL: one server, a Sentinel's primary, or a Cluster; for the event loop, or blocking.

Both kinds come of one reading of the URL, so whatever a worker can reach, `verify` and the other commands can.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import redis
import redis.asyncio
import redis.asyncio.cluster
import redis.asyncio.sentinel
import redis.cluster
import redis.sentinel
from redis.asyncio.retry import Retry as AsyncRetry
from redis.asyncio.sentinel import MasterNotFoundError as AsyncMasterNotFoundError
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError

from workers.masked import masked

# Above any flush or load that makes sense; a server that is silent for longer is away, and is tried again.
SOCKET_TIMEOUT_S = 10.0
CONNECT_TIMEOUT_S = 3.0
# A Sentinel answers from memory; one that does not is passed over for the next.
SENTINEL_TIMEOUT_S = 1.0

T = TypeVar("T")


class _Closed:
    """Of a Cluster's client: commands side by side share a node, and one that fails closes the connections of all.
    Whoever was about to write then met an AttributeError of redis-py, which nothing takes for a trouble that passes.
    """

    async def _send_packed_command(self, command: Any) -> None:
        if getattr(self, "_writer", None) is None:
            raise redis.ConnectionError("the connection was closed, since another command on this node failed")
        await super()._send_packed_command(command)  # type: ignore[misc]


class _NodeConnection(_Closed, redis.asyncio.Connection):  # type: ignore[misc]
    pass


class _SecuredNodeConnection(_Closed, redis.asyncio.SSLConnection):  # type: ignore[misc]
    pass


class _Primary(redis.asyncio.Redis):
    """Of a Sentinel; the connections to the Sentinels are closed with it."""

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        await super().aclose(close_connection_pool)
        pool: Any = self.connection_pool
        await pool.sentinel_manager.aclose()


class _BlockingPrimary(redis.Redis):
    def close(self) -> None:
        super().close()
        pool: Any = self.connection_pool
        for sentinel in pool.sentinel_manager.sentinels:
            sentinel.close()


class _Asking(redis.asyncio.sentinel.Sentinel):
    """Says in a line what redis-py says with all of its clients' options."""

    async def discover_master(self, service_name: str) -> tuple[str, int]:
        try:
            return await super().discover_master(service_name)  # type: ignore[no-any-return]
        except AsyncMasterNotFoundError:
            raise _nobody(self.sentinels, service_name) from None


class _BlockingAsking(redis.sentinel.Sentinel):
    def discover_master(self, service_name: str) -> tuple[str, int]:
        try:
            return super().discover_master(service_name)  # type: ignore[no-any-return, no-untyped-call]
        except MasterNotFoundError:
            raise _nobody(self.sentinels, service_name) from None


def _nobody(sentinels: list[Any], name: str) -> MasterNotFoundError:
    asked = [sentinel.connection_pool.connection_kwargs for sentinel in sentinels]
    places = ", ".join(f"{each['host']}:{each['port']}" for each in asked)
    return MasterNotFoundError(f"none of the Sentinels {places} answers and names a primary {name!r} that is up")


def make_redis(url: str, *, timeout_s: float = SOCKET_TIMEOUT_S) -> redis.asyncio.Redis:
    """Client of `redis://`, `rediss://`, `unix://`, `redis+cluster://host:port[,host:port]` (any nodes; they tell of
    the others) or `redis+sentinel://host:port[,host:port]/db?master=name` (the Sentinels). Connects on first use.

    TLS: `rediss` for `redis`; `?ssl_ca_certs=FILE` names the authority. `user:password@` before the first host are for
    the servers; Sentinels with users of their own: `&sentinel_username=...&sentinel_password=...`.

    Errors: ValueError for another form, without the password.
    """
    common = {"decode_responses": True, "socket_timeout": timeout_s, "health_check_interval": 0}
    return _refusing(url, lambda: _asyncio(url, common))


def make_blocking_redis(url: str, *, timeout_s: float = SOCKET_TIMEOUT_S, decode: bool = True) -> redis.Redis:
    """The same, for code without an event loop; `decode`: answers are text, not bytes."""
    return _refusing(url, lambda: _blocking(url, {"decode_responses": decode, "socket_timeout": timeout_s}))


def _refusing(url: str, make: Callable[[], T]) -> T:
    try:
        return make()
    except ValueError:  # whose text may hold any part of the URL
        raise ValueError(
            f"TIDEWATCH_REDIS: {masked(url)} is not redis://[user:password@]host:port/db, rediss://, unix://, "
            "redis+cluster:// or redis+sentinel://; encode special characters of a password (%2F for /)"
        ) from None


def _asyncio(url: str, common: dict[str, Any]) -> Any:
    # Retrying is ours (workers.retry): it is said, counted, and ends when the worker ends.
    common = common | {"socket_connect_timeout": CONNECT_TIMEOUT_S}
    never = AsyncRetry(NoBackoff(), 0)
    if _scheme(url).endswith("+cluster"):
        first, others = _cluster(url)
        nodes = [redis.asyncio.cluster.ClusterNode(host, port) for host, port in others]
        client: Any = redis.asyncio.RedisCluster.from_url(first, startup_nodes=nodes, retry=never, **common)
        secured = client.connection_kwargs["connection_class"] is redis.asyncio.SSLConnection
        kind = _SecuredNodeConnection if secured else _NodeConnection
        client.connection_kwargs["connection_class"] = kind  # of the nodes that the cluster will tell of
        for node in client.startup_nodes:
            node.connection_class = kind
        return client
    if _scheme(url).endswith("+sentinel"):
        found = _sentinels(url)
        asked: Any = _Asking(found.places, sentinel_kwargs=found.asking | {"retry": never})
        return asked.master_for(found.master, redis_class=_Primary, retry=never, **found.primary, **common)
    return redis.asyncio.Redis.from_url(url, retry=never, **common)


def _blocking(url: str, common: dict[str, Any]) -> Any:
    common = common | {"socket_connect_timeout": CONNECT_TIMEOUT_S}
    never = Retry(NoBackoff(), 0)
    if _scheme(url).endswith("+cluster"):
        first, others = _cluster(url)
        return redis.RedisCluster.from_url(
            first, startup_nodes=[redis.cluster.ClusterNode(host, port) for host, port in others], **common
        )
    if _scheme(url).endswith("+sentinel"):
        found = _sentinels(url)
        asked: Any = _BlockingAsking(found.places, sentinel_kwargs=found.asking | {"retry": never})  # type: ignore[no-untyped-call]
        return asked.master_for(found.master, redis_class=_BlockingPrimary, retry=never, **found.primary, **common)
    return redis.Redis.from_url(url, retry=never, **common)


def _scheme(url: str) -> str:
    return url.partition("://")[0]


def _cluster(url: str) -> tuple[str, list[tuple[str, int]]]:
    """The URL with the first node only, and where the other nodes are. Errors: ValueError."""
    parts = urlsplit(url.replace("+cluster", "", 1))
    first, *others = parts.netloc.split(",")
    pairs = [place.rpartition(":") for place in others]
    return parts._replace(netloc=first).geturl(), [(host, int(port)) for host, _, port in pairs]


class _Sentinels(NamedTuple):
    """Where the Sentinels are, the name of the primary that they watch, and how each side is spoken to."""

    places: list[tuple[str, int]]
    master: str
    primary: dict[str, Any]  # arguments of the client: database, user, password, TLS
    asking: dict[str, Any]  # of those that ask the Sentinels, which have users of their own


def _sentinels(url: str) -> _Sentinels:
    """Errors: ValueError."""
    parts = urlsplit(url.replace("+sentinel", "", 1))
    user, at, hosts = parts.netloc.rpartition("@")
    pairs = [place.rpartition(":") for place in hosts.split(",")]
    places = [(host, int(port)) for host, _, port in pairs]
    # Read by redis-py, so that every option of TLS means what it means with one server.
    read: dict[str, Any] = dict(parse_url(parts._replace(netloc=f"{user}{at}{pairs[0][0]}").geturl()))
    secured = read.pop("connection_class", None) is not None
    for name in ("host", "port"):
        read.pop(name, None)
    master = read.pop("master", "mymaster")
    own = {"username": read.pop("sentinel_username", None), "password": read.pop("sentinel_password", None)}
    tls = {name: value for name, value in read.items() if name.startswith("ssl_")} | ({"ssl": True} if secured else {})
    short = {"socket_timeout": SENTINEL_TIMEOUT_S, "socket_connect_timeout": SENTINEL_TIMEOUT_S}
    return _Sentinels(places, master, read | tls, own | tls | short)
