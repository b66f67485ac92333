"""Faults of brokers, and between brokers and workers. One broker is down at a time: two must be in sync."""

from __future__ import annotations

import time

from tests.chaos.faults_redis import start
from tests.chaos.schedule import Fault
from tests.chaos.world import World

BETWEEN_S = 0.3  # broken answers
HALTS_S = 15.0  # a broker that cannot write ends itself; at most so long, while events flow
LOOK_S = 0.05


def which(world: World, fault: Fault) -> int:
    """Index of the broker that the target names."""
    what, _, rest = fault.target.partition("/")
    if what == "broker":
        return int(rest)
    if what == "leader":
        topic, _, partition = rest.rpartition("/")
        return world.setup.leader(topic, int(partition))
    if rest == "transactions":
        return world.setup.coordinator(f"tidewatch/{world.system}")
    return world.setup.group_coordinator(world.group if rest == "ingest" else f"tidewatch-{rest}")


def kill(world: World, fault: Fault) -> int:
    """kill -9; it starts again on the same log after `for_s`."""
    with world.broker_down:
        server = world.setup.brokers[which(world, fault)]
        server.kill()
        time.sleep(fault.for_s)
        start(server)
    return 1


def stop(world: World, fault: Fault) -> int:
    """A restart in good order."""
    with world.broker_down:
        server = world.setup.brokers[which(world, fault)]
        server.stop()
        time.sleep(fault.for_s)
        start(server)
    return 0


def disk(world: World, fault: Fault) -> int:
    """Its disk is full, which ends it. After `for_s` there is room again, and it is started."""
    with world.broker_down:
        index = which(world, fault)
        server = world.setup.brokers[index]
        world.setup.fill_disk(index)
        ends = time.monotonic() + HALTS_S
        while server.running() and time.monotonic() < ends:
            time.sleep(LOOK_S)
        time.sleep(fault.for_s)
        world.setup.free_disk(index)
        start(server)
    return 0


def slow(world: World, fault: Fault) -> int:
    """Answers to workers come late."""
    proxy = world.setup.kafka_proxies[which(world, fault)]
    proxy.slow(fault.more["delay_s"])
    time.sleep(fault.for_s)
    proxy.heal()
    return 0


def drop(world: World, fault: Fault) -> int:
    """Answers to workers break off in the middle."""
    proxy, ends = world.setup.kafka_proxies[which(world, fault)], time.monotonic() + fault.for_s
    while time.monotonic() < ends:
        proxy.drop_mid_response()
        time.sleep(BETWEEN_S)
    return 0


def cut(world: World, fault: Fault) -> int:
    """One worker does not reach it: its connections are reset, or stand and nothing passes."""
    proxy = world.setup.kafka_proxies[which(world, fault)]
    pid = world.workers.process(world.workers.slot(fault.more["worker"])).pid
    (proxy.cut if fault.more["how"] == "reset" else proxy.black_hole)(pid)
    time.sleep(fault.for_s)
    proxy.heal()
    return 0


STRIKES = {
    "broker-kill": kill,
    "broker-leader-kill": kill,
    "broker-coordinator-kill": kill,
    "broker-stop": stop,
    "broker-disk": disk,
    "broker-slow": slow,
    "broker-drop": drop,
    "broker-cut": cut,
}
