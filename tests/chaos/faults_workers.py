"""Faults of workers, and what is done to a system while it runs: more and fewer workers, definitions, catalogues."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import TypeVar

import msgspec

from stream.catalogue_log import catalogue_in_force, publish_catalogue
from stream.errors import OvertakenError, UnreachableError
from tests.chaos.schedule import Fault
from tests.chaos.world import World
from tests.waiting import NotInTimeError, eventually
from workers.define import apply, new_weights

T = TypeVar("T")
AT_WORK_S = 20.0  # a worker that starts
DONE_S = 240.0  # a person repeats a command that did not reach Kafka; three faults of the one broker can take 90 s


def kill(world: World, fault: Fault) -> int:
    """SIGKILL; the supervisor starts another."""
    return world.workers.kill(world.workers.slot(fault.target))


def stop(world: World, fault: Fault) -> int:
    """SIGTERM, and patience; the supervisor starts another."""
    world.workers.stop(world.workers.slot(fault.target))
    return 0


def zombie(world: World, fault: Fault) -> int:
    """Asleep for longer than its session; then it wakes up and goes on writing."""
    process = world.workers.send(world.workers.slot(fault.target), signal.SIGSTOP)
    time.sleep(fault.for_s)
    process.send(signal.SIGCONT)
    return 0


def clock(world: World, fault: Fault) -> int:
    """A worker whose wall clock is off by hours works for a while, in place of a killed one; then it is killed."""
    name = world.workers.slot(fault.target)
    off = {"LD_PRELOAD": str(world.clock()), "CHAOS_CLOCK_S": str(fault.more["hours"] * 3600)}
    world.workers.change(name, off)
    killed = world.workers.kill(name)
    try:
        eventually(lambda: world.workers.serves(name), AT_WORK_S)
    except NotInTimeError:
        pass  # killed by another fault again and again, or its servers are away
    time.sleep(fault.for_s)
    world.workers.change(name, {})
    return killed + world.workers.kill(name)


def scale(world: World, fault: Fault) -> int:
    """Ingest workers come and go in number while events flow; then as many as before."""
    before, counts = world.workers.count("ingest"), fault.more["counts"]
    for count in counts:
        world.workers.want("ingest", count)
        time.sleep(fault.for_s / len(counts))
    world.workers.want("ingest", before)
    return 0


def define(world: World, fault: Fault) -> int:
    """`define apply --weight platform=...`: the next version of the definition comes into force."""
    decide = new_weights(
        {"platform": fault.more["platform"]}, "the chaos trial", "a fault", world.catalogue, world.system
    )
    until_reached(lambda: apply(world.settings, world.system, decide))
    return 0


def upgrade(world: World, fault: Fault) -> int:
    """A new definition, and with it an index worker restarted in good order."""
    define(world, fault)
    return stop(world, fault)


def catalogue(world: World, fault: Fault) -> int:
    """The next version of the catalogue, in every partition of the log; it accepts what the one before did."""
    kafka, partitions = world.settings.kafka, list(range(world.partitions))

    def publish() -> None:
        held = [catalogue_in_force(kafka, p) for p in partitions]
        behind = [p for p, each in zip(partitions, held, strict=True) if each is None or each.version < new.version]
        publish_catalogue(kafka, new, behind)

    new = msgspec.structs.replace(world.catalogue, version=world.catalogue.version + 1).checked("chaos")
    world.catalogue = new
    until_reached(publish)
    return 0


def until_reached(command: Callable[[], T]) -> T:
    """Repeat a command until it reaches Kafka."""

    def once() -> tuple[T]:
        try:
            return (command(),)
        except (UnreachableError, OvertakenError) as error:
            raise OSError(str(error)) from None

    return eventually(once, DONE_S)[0]


STRIKES = {
    **{f"kill-{role}": kill for role in ("ingest", "index", "alert")},
    **{f"stop-{role}": stop for role in ("ingest", "index", "alert")},
    **{f"zombie-{role}": zombie for role in ("ingest", "index", "alert")},
    **{f"clock-{role}": clock for role in ("ingest", "index", "alert")},
    "scale": scale,
    "define": define,
    "upgrade": upgrade,
    "catalogue": catalogue,
}
