"""Gates: where a worker of the product stops and waits until the player of a trace lets it do its next step.

Each stands right before one step of the protocol (a script, a read of the feed, a transaction) or before what begins
one (a read of the log, the wait for differences). Between two gates a worker runs as it is. The functions behind the
gates are the product's; `player_without` puts others there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

BOUND_S = 30.0  # of waiting for a worker to come to its next gate

_who: ContextVar[Gates] = ContextVar("whose step it is")


class Gates:
    """The gates of one worker. What runs in a context that `enter` made belongs to it, threads included."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.loop = asyncio.get_running_loop()
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self.failed: BaseException | None = None

    def task(self, coroutine: Any) -> asyncio.Task[Any]:
        """Run it as this worker."""
        token = _who.set(self)
        try:
            task = self.loop.create_task(coroutine)
        finally:
            _who.reset(token)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self.failed = task.exception()

    @property
    def at(self) -> set[str]:
        """The gates at which it waits."""
        return set(self._waiting)

    async def passing(self, name: str) -> dict[str, Any]:
        """Wait at `name`; what the player says."""
        self._waiting[name] = waiting = self.loop.create_future()
        return await waiting

    def passing_in_thread(self, name: str) -> dict[str, Any]:
        """The same, from another thread."""
        return asyncio.run_coroutine_threadsafe(self.passing(name), self.loop).result()

    def let(self, name: str, **how: Any) -> None:
        """Let it go on from `name`."""
        self._waiting.pop(name).set_result(how)

    def give_up(self, error: BaseException, *names: str) -> None:
        """Let what waits at `names` (none: everywhere) fail."""
        for name in names or tuple(self._waiting):
            waiting = self._waiting.pop(name, None)
            if waiting is not None:
                waiting.set_exception(error)

    async def comes_to(self, *names: str) -> str:
        """Wait until it waits at one of `names`; which."""
        await self.until(lambda: self.at & set(names), f"{self.name} comes to {' or '.join(names)}")
        return next(iter(self.at & set(names)))

    async def until(self, condition: Callable[[], Any], what: str) -> None:
        """Wait until `condition` holds, for at most BOUND_S. What its tasks failed with is raised."""
        await until(condition, lambda: f"{what}; it is at {sorted(self.at)}", lambda: self.failed)


def here() -> Gates:
    """The gates of the worker that runs now."""
    return _who.get()


async def until(
    condition: Callable[[], Any],
    what: Callable[[], str],
    failed: Callable[[], BaseException | None] = lambda: None,
    bound_s: float = BOUND_S,
) -> None:
    """Wait until `condition` holds. Raises AssertionError with `what` after `bound_s`, and what `failed` has."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + bound_s
    turns = 0
    while not condition():
        error = failed()
        if error is not None:
            raise AssertionError(f"{what()}: a task failed") from error
        assert loop.time() < deadline, f"not within {bound_s} s: {what()}"
        turns += 1
        await asyncio.sleep(0 if turns < 50 else 0.001)
