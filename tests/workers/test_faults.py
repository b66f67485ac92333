"""Whatever befalls ingest workers and Redis: nothing lost, nothing twice, and no revision ever goes back.

On a real Kafka and a real Redis, workers as processes of their own, while a feed plays duplicates, late events,
corrections, restatements and bad events. Each test ends with `settle`: see tests/workers/faults.py.
"""

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from state.errors import FencedError
from state.flush import FlushBatch, flush
from state.keys import Offset, Partition, Token
from state.ownership import acquire
from tests.waiting import eventually
from tests.workers.faults import PARTITIONS, Trial
from workers.local import Servers


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with Servers(tmp_path_factory.mktemp("servers")) as both:
        yield both


@pytest.fixture
def trial(servers: Servers, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Trial]:
    with Trial(servers, tmp_path, f"{request.config.option.hypothesis_seed}/{request.node.name}") as trial:
        yield trial


def test_ingest_workers_are_killed_in_mid_batch(trial: Trial) -> None:
    """Each of them at least once; what was read and not flushed is read again by the next owner."""
    trial.workers(ingest=2, index=1)
    trial.feed()
    for _ in range(3):
        trial.flows()
        owners = eventually(lambda: [name for name in trial.running("ingest") if trial.owned(name)])
        victim = trial.random.choice(owners)
        trial.stop_in_mid_batch(victim)
        trial.crew.kill(victim)
        trial.start("ingest")
    eventually(trial.shared_out, said=lambda: trial.logs("ingest"))
    trial.flows()
    trial.settle()


def test_a_rebalance_while_events_flow(trial: Trial) -> None:
    """One worker, three, one again: each partition is given up after its last flush, and taken over from there."""
    trial.workers(ingest=1, index=1)
    trial.feed()
    for n in (3, 1, 2):
        trial.flows()
        trial.workers(ingest=n, index=1)
    trial.flows()
    trial.settle()


def test_two_workers_fight_over_a_partition(trial: Trial) -> None:
    """A zombie: asleep for longer than its session, its share is another's when it wakes up and writes. It gives in."""
    trial.workers(ingest=2, index=1)
    trial.feed()
    trial.flows()
    zombie, other = trial.random.sample(trial.running("ingest"), 2)
    share = trial.owned(zombie)
    trial.stop_in_mid_batch(zombie)
    eventually(lambda: trial.owned(other) == set(range(PARTITIONS)), said=lambda: trial.logs("ingest"))
    trial.flows()
    trial.signal(zombie, signal.SIGCONT)
    gave_in = eventually(lambda: trial.lines(zombie, "lost=True", "] stopped owning"), said=lambda: trial.logs("ingest"))
    assert share
    trial.note(f"{zombie} gave in: {gave_in}, {trial.lines(zombie, '] refused')}")
    eventually(trial.shared_out, said=lambda: trial.logs("ingest"))
    trial.flows()
    trial.settle()


def test_a_rival_with_a_token_of_its_own(trial: Trial) -> None:
    """Somebody acquires partitions again and again beside their worker: one of both is refused, and writes nothing."""
    trial.workers(ingest=1, index=1)
    [worker] = trial.running("ingest")
    trial.feed()

    async def fight(partition: Partition) -> None:
        async with Redis.from_url(trial.servers.redis, decode_responses=True) as client:
            token = Token(f"rival-{trial.random.random()}")
            at = (await acquire(client, partition, token)).offset
            await asyncio.to_thread(eventually, lambda: trial.redis.hget(f"{{tw:{partition}}}:meta", "epoch") != token)
            wrong = FlushBatch(at, Offset(at + 1), None, b'[["cells:2021-01:110000","dti.cloud/all",1]]', b"[]", b"{}")
            with pytest.raises(FencedError):
                await flush(client, partition, token, wrong)

    trial.flows()
    for _ in range(2):
        for partition in range(PARTITIONS):
            before = len(trial.lines(worker, "] refused"))
            asyncio.run(fight(Partition(partition)))
            assert len(trial.lines(worker, "] refused")) > before
    assert all("another owner (rival-" in line for line in trial.lines(worker, "] refused"))
    trial.flows()
    trial.settle()


def test_redis_goes_back_while_events_flow(trial: Trial) -> None:
    """Its data are replaced by an earlier copy: the workers read again what it lost, and no revision names less."""
    trial.workers(ingest=2, index=1)
    workers = trial.running("ingest")
    trial.feed()
    for round in (1, 2):
        trial.flows()
        copy, then = trial.copy_redis()
        trial.flows()
        assert sum(trial.offsets().values()) > sum(then.values())
        trial.restore_redis(copy)
        eventually(
            lambda n=round: sum(len(trial.lines(name, "it lost its last writes")) for name in workers) >= n,
            said=lambda: trial.logs("ingest"),
        )
        trial.flows()
    trial.settle()


def test_redis_goes_back_and_no_event_comes(trial: Trial) -> None:
    """Owners watch: an idle partition is read again as well, and nothing needs to be published for it."""
    trial.workers(ingest=2, index=1)
    trial.feed()
    trial.flows()
    copy, then = trial.copy_redis()
    trial.flows()
    ends, revision = trial.settle().redis_offsets, trial.watcher.revision
    behind = {p for p in ends if then[p] < ends[p]}
    assert behind
    seen: dict[int, int] = {}
    trial.restore_redis(copy)
    seen.update(trial.offsets())
    eventually(lambda: trial.offsets() == ends, said=lambda: trial.logs("ingest"))
    assert trial.settle().revision == revision
