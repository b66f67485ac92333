"""What each kind of fault does to a world. `strike` returns when the fault is over, and what it takes to undo is done.

Targets are resolved when the fault strikes: `leader/...` is whoever leads then. How many processes were killed is
returned, and may differ from the plan where the target was dead already.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.chaos import faults_brokers, faults_redis, faults_repair, faults_workers
from tests.chaos.schedule import Fault
from tests.chaos.world import World

Strike = Callable[[World, Fault], int]

STRIKES: dict[str, Strike] = {
    **faults_workers.STRIKES, **faults_repair.STRIKES, **faults_redis.STRIKES, **faults_brokers.STRIKES,
}  # fmt: skip


def strike(world: World, fault: Fault) -> int:
    """Let a fault happen, and end; returns how many processes it killed."""
    began = time.monotonic()
    killed = STRIKES[fault.kind](world, fault)
    world.note(f"{fault.kind} {fault.target} over after {time.monotonic() - began:.1f} s")
    return killed
