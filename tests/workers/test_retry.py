"""Waiting for a server: how often, how long, what is said, and what the health says meanwhile. No time passes here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from redis.exceptions import ConnectionError as RedisAway
from redis.exceptions import ResponseError
from structlog.testing import capture_logs

from state.errors import FencedError
from stream.errors import UnreachableError
from workers.health import Health
from workers.retry import FIRST_S, LAST_S, until_done


class Server:
    """Fails with each of `errors` in turn, then answers; `waits` are the pauses between."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.waits: list[float] = []
        self.health = Health("test", clock=lambda: 0.0)
        self.health.turn()
        self.problems: list[str | None] = []

    async def __call__(self) -> str:
        if self.errors:
            raise self.errors.pop(0)
        return "answer"

    async def sleep(self, wait_s: float) -> None:
        self.waits.append(wait_s)
        self.problems.append(self.health.problem())

    def ask(self, stopping: Callable[[], bool] = lambda: False) -> Awaitable[str]:
        return until_done("Redis", self, self.health, stopping=stopping, sleep=self.sleep)


async def test_an_answer_is_an_answer():
    server = Server()
    with capture_logs() as logs:
        assert await server.ask() == "answer"
    assert (logs, server.waits, server.health.problem()) == ([], [], None)


async def test_one_failure_is_no_news():
    """A connection that broke while it was idle."""
    server = Server(RedisAway("closed"))
    with capture_logs() as logs:
        assert await server.ask() == "answer"
    assert (logs, server.waits, server.problems) == ([], [FIRST_S], [None])


async def test_it_is_said_once_when_it_begins_and_once_when_it_ends():
    server = Server(
        RedisAway("closed"), ResponseError("OOM"), UnreachableError("no"), OSError("nobody"), TimeoutError()
    )
    with capture_logs() as logs:
        assert await server.ask() == "answer"
    assert [(entry["event"], entry["server"]) for entry in logs] == [("waiting", "Redis"), ("answers again", "Redis")]
    assert "OOM" in logs[0]["reason"]
    assert server.problems[1:] == [
        "waiting for Redis: ResponseError: OOM",
        "waiting for Redis: UnreachableError: no",
        "waiting for Redis: OSError: nobody",
        "waiting for Redis: TimeoutError: ",
    ]
    assert server.health.problem() is None


async def test_the_back_off_doubles_up_to_its_bound():
    server = Server(*(RedisAway("closed") for _ in range(10)))
    await server.ask()
    assert server.waits == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0, 2.0, 2.0]
    assert max(server.waits) == LAST_S


@pytest.mark.parametrize("error", [FencedError(1, "other"), ValueError("a defect"), asyncio.CancelledError()])
@pytest.mark.parametrize("after", [0, 3])
async def test_what_does_not_pass_is_raised_at_once(error: BaseException, after: int):
    server = Server(*(RedisAway("closed") for _ in range(after)), error)  # type: ignore[arg-type]
    with pytest.raises(type(error)):
        await server.ask()
    assert len(server.waits) == after
    assert server.health.problem() is None, "nobody waits any more"


async def test_a_worker_that_ends_does_not_wait():
    ending = iter([False, False, True])
    server = Server(*(RedisAway("closed") for _ in range(9)))
    with capture_logs() as logs, pytest.raises(RedisAway):
        await server.ask(lambda: next(ending))
    assert len(server.waits) == 2
    assert [entry["event"] for entry in logs] == ["waiting"], "nothing answers again"
    assert server.health.problem() is None


async def test_several_wait_and_it_is_said_once():
    """Whoever goes on first does not make the worker look well: the others still wait."""
    health, gates = Health("test", clock=lambda: 0.0), [asyncio.Event() for _ in range(3)]
    health.turn()

    async def flush(gate: asyncio.Event) -> None:
        if not gate.is_set():
            raise ResponseError("READONLY")

    async def a_moment(_s: float) -> None:
        await asyncio.sleep(0)

    with capture_logs() as logs:
        tasks = [asyncio.create_task(until_done("Redis", lambda g=g: flush(g), health, sleep=a_moment)) for g in gates]
        for gate, task in zip(gates, tasks, strict=True):
            while health.problem() is None:
                await asyncio.sleep(0)
            assert health.problem() == "waiting for Redis: ResponseError: READONLY"
            gate.set()
            await task
    assert health.problem() is None
    assert [entry["event"] for entry in logs] == ["waiting", "answers again"]


async def test_a_success_of_one_that_never_waited_changes_nothing():
    """Reading is possible, writing is not: the watch of an idle partition succeeds all the time."""
    waiting, reading = Server(*(ResponseError("OOM") for _ in range(3))), Server()
    reading.health = waiting.health

    async def sleep(_s: float) -> None:
        await reading.ask()
        waiting.problems.append(waiting.health.problem())

    await until_done("Redis", waiting, waiting.health, sleep=sleep)
    assert waiting.problems == [None, *["waiting for Redis: ResponseError: OOM"] * 2]


def test_health_tells_first_what_cannot_be_mended():
    now = [100.0]
    health = Health("test", stalled_s=15.0, clock=lambda: now[0])
    assert health.problem() == "starting"
    health.turn()
    assert health.problem() is None
    now[0] += 15.0
    assert health.problem() is None
    now[0] += 1.0
    assert health.problem() == "no progress for 16 s"
    assert health.waits("Kafka", "no", anew=True)
    assert health.waits("Redis", "neither", anew=True)
    assert health.problem() == "waiting for Kafka: no; waiting for Redis: neither"
    health.failed = "the log no longer holds it"
    assert health.problem() == "the log no longer holds it"
