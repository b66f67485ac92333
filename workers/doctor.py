"""`tidewatch doctor`: looks at everything that Tidewatch stands on, changes nothing, and says what to do.

Needs no worker to run. What cannot be seen because something before it does not answer is left out.
"""

from __future__ import annotations

import asyncio
import platform
import sys
import time
from collections.abc import Callable

from confluent_kafka import KafkaException, libversion

from state.errors import StateError
from stream.errors import StreamError
from stream.topics import EVENTS, partitions_of_topic
from workers.doctor_kafka import kafka_findings
from workers.doctor_redis import redis_findings
from workers.doctor_work import work_findings
from workers.finding import Finding, Level, fail, ok
from workers.masked import masked
from workers.metrics import package_version
from workers.redis_client import make_redis
from workers.retry import PASSING
from workers.settings import Settings

OLDEST_PYTHON = (3, 11)


async def examine(settings: Settings, wall: Callable[[], float] = time.time) -> list[Finding]:
    """All findings, in the order in which they build on each other. `wall`: UTC, seconds since 1970."""
    found = [_versions()]
    kafka = asyncio.to_thread(lambda: list(kafka_findings(settings, wall)))
    try:
        redis = make_redis(settings.redis)
    except ValueError as error:
        do = "set TIDEWATCH_REDIS to redis://host:6379/0, or one of the forms in workers/redis_client.py"
        return [*found, *await kafka, fail("redis", masked(f"{settings.redis}: {error}"), do)]
    try:
        of_kafka, of_redis = await asyncio.gather(kafka, redis_findings(redis, settings.redis, wall))
        found += [*of_kafka, *of_redis]
        if not any(f.level == Level.FAIL and f.check in ("kafka", "topics", "redis") for f in found):
            try:
                partitions = await asyncio.to_thread(_partitions, settings)
                found += await work_findings(settings, redis, partitions, wall)
            except (StreamError, StateError, KafkaException, *PASSING) as error:
                found.append(fail("work", masked(str(error)), "mend that, and run doctor again"))
    finally:
        await redis.aclose()
    return found


def _versions() -> Finding:
    what = f"Tidewatch {package_version()}, Python {platform.python_version()}, librdkafka {libversion()[0]}"
    if sys.version_info < OLDEST_PYTHON:
        return fail("versions", what, "run it with Python 3.11 or newer")
    return ok("versions", what)


def _partitions(settings: Settings) -> list[int]:
    """Of `indicator-events`, as they are. Blocking. Errors: UnreachableError."""
    return partitions_of_topic(settings.kafka, EVENTS, settings.kafka_options)
