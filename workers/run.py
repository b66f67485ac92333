"""What the commands `ingest`, `index` and `alert` do in their process, which loads what its own worker needs."""

from __future__ import annotations

import asyncio
import ctypes
import faulthandler
import gc
from typing import TYPE_CHECKING

from workers.app import make_app, run_app
from workers.health import Health
from workers.prepare import prepare_topics
from workers.redis_client import make_redis
from workers.retry import until_done
from workers.settings import Settings

if TYPE_CHECKING:
    from workers.ingest import IngestWorker

_M_ARENA_MAX = -8  # of malloc.h


def run_ingest(settings: Settings) -> int:
    """Run an ingest worker until a signal; returns the exit code."""
    from workers.connect import make_ingest

    prepare_process()
    health = Health("ingest")
    worker: IngestWorker | None = None
    ending = False

    async def run() -> None:
        nonlocal worker
        redis = make_redis(settings.redis)
        try:
            await until_done("Kafka", lambda: _topics(settings), health, stopping=lambda: ending)
            worker = make_ingest(settings, health, redis)
            if not ending:
                await worker.run()
        finally:
            await redis.aclose()

    def end() -> None:
        nonlocal ending
        ending = True
        if worker is not None:
            worker.stop()

    return run_app(make_app("ingest", settings, kafka=False), run, end, health, settings)


def run_index(settings: Settings) -> int:
    """Run an index worker until a signal; returns the exit code."""
    from workers.index import IndexWorker, attach_agent, publish_missing_definitions

    prepare_process()
    health = Health("index")
    ending = False
    app = make_app("index", settings, kafka=True)  # before the wait: what a person must mend is said at once
    wait_for_kafka(settings)
    redis = make_redis(settings.redis)
    worker = IndexWorker(settings, redis, health)
    attach_agent(app, worker)

    async def run() -> None:
        try:
            await until_done(
                "Kafka",
                lambda: asyncio.to_thread(publish_missing_definitions, settings),
                health,
                stopping=lambda: ending,
            )
            await worker.run()
        finally:
            await redis.aclose()

    def end() -> None:
        nonlocal ending
        ending = True
        worker.stop()

    return run_app(app, run, end, health, settings)


def run_alert(settings: Settings) -> int:
    """Run an alert worker until a signal; returns the exit code."""
    from workers.alert import AlertWorker, attach_alert_agent, rules_of
    from workers.alert_out import outputs_of

    prepare_process()
    health = Health("alerts")
    rules_of(settings)  # what a person must mend is said at once, whether Kafka answers or not
    outputs_of(settings, lambda *_: None)
    app = make_app("alerts", settings, kafka=True)
    wait_for_kafka(settings)
    redis = make_redis(settings.redis)
    worker = AlertWorker(settings, redis, health)
    attach_alert_agent(app, worker)

    async def run() -> None:
        try:
            await worker.run()
        finally:
            await redis.aclose()

    return run_app(app, run, worker.stop, health, settings)


def prepare_process() -> None:
    """Once at the start of a worker, before its first thread: a crash in native code leaves a stack in the log, garbage
    is collected seldom, and memory that was given back can be had again.
    """
    faulthandler.enable()
    share_arenas()
    collect_seldom()


def share_arenas() -> bool:
    """Let threads share two of the C library's arenas; whether this C library could be told (glibc).

    Each thread of a Kafka client takes an arena, up to eight a core, and what one freed no other has use for: a worker
    that begins its systems again and again grew by 80 MiB, with two by 30 (set-up a, `zombie-index` six times).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and mallopt(_M_ARENA_MAX, 2) == 1


def collect_seldom() -> None:
    """Look for cycles of garbage seldom: cells, columns and messages make none, and live in great numbers.

    Python's defaults walk them all after every 700 new ones, which takes up to 2.5 times the time of a large diff.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 20, 50)


def wait_for_kafka(settings: Settings) -> None:
    """Block until the topics are there; Faust's own client does not wait for a broker at its start.

    Ended by the signals' default action. Errors: CatalogueError, StreamError.
    """
    asyncio.run(until_done("Kafka", lambda: _topics(settings), Health("start")))


async def _topics(settings: Settings) -> None:
    await asyncio.to_thread(prepare_topics, settings)
