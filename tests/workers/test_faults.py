"""Whatever befalls ingest workers and Redis: nothing lost, nothing twice, and no revision ever goes back.

On a real Kafka and a real Redis, workers as processes of their own, while a feed plays duplicates, late events,
corrections, restatements and bad events. Each test ends with `settle`: see tests/workers/faults.py.
"""

import asyncio
import json
import re
import signal
import urllib.error
import urllib.request

import pytest
from redis.asyncio import Redis

from state.errors import FencedError
from state.flush import FlushBatch, flush
from state.keys import Offset, Partition, Token
from state.ownership import acquire
from tests.waiting import eventually
from tests.workers.faults import PARTITIONS, STILL_S, Trial

DENSE = 0.15  # of reports: batches of a hundred events, so that there is a middle to be caught in


def test_ingest_workers_are_killed_in_mid_batch(trial: Trial) -> None:
    """One after the other, with dead letters written and the batch not flushed; the next owner reads it again."""
    trial.workers(ingest=2, index=1)
    trial.feed(density=DENSE)
    for _ in range(3):
        trial.flows()
        owners = eventually(lambda: [name for name in trial.running("ingest") if trial.owned(name)], STILL_S)
        victim = trial.random.choice(owners)
        trial.stop_in_mid_batch(victim)
        trial.crew.kill(victim)
        trial.start("ingest")
    eventually(trial.shared_out, STILL_S, lambda: trial.logs("ingest"))
    trial.settle()


def test_a_rebalance_while_events_flow(trial: Trial) -> None:
    """One worker, three, one again: each partition is given up after its last flush, and taken over from there."""
    trial.workers(ingest=1, index=1)
    trial.feed()
    for n in (3, 1):
        trial.flows()
        trial.workers(ingest=n, index=1)
    trial.flows()
    trial.settle()


def test_a_rival_with_a_token_of_its_own(trial: Trial) -> None:
    """Somebody acquires partitions again and again beside their worker: whoever has the older token writes nothing."""
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
            before = len(trial.lines(worker, "another owner (rival-"))
            asyncio.run(fight(Partition(partition)))
            assert len(trial.lines(worker, "another owner (rival-")) > before
    trial.settle()


def test_a_zombie_gives_in(trial: Trial) -> None:
    """Asleep in mid-batch for longer than its session: what it writes when it wakes up is refused, and it lets go."""
    trial.workers(ingest=2, index=1)
    trial.feed(density=DENSE)
    trial.flows()
    zombie, other = trial.random.sample(trial.running("ingest"), 2)
    share = trial.owned(zombie)
    trial.stop_in_mid_batch(zombie)
    eventually(lambda: trial.owned(other) == set(range(PARTITIONS)), STILL_S, lambda: trial.logs("ingest"))
    trial.flows()
    trial.signal(zombie, signal.SIGCONT)
    eventually(lambda: len(trial.lines(zombie, "lost=True", "] stopped owning")) >= len(share), STILL_S)
    refused = trial.until_log(zombie, "fenced, Redis names another owner")
    trial.note(f"{zombie} had {share}: {refused}")
    eventually(trial.shared_out, STILL_S, lambda: trial.logs("ingest"))
    trial.settle()


def test_redis_goes_back_and_away_while_events_flow(trial: Trial) -> None:
    """To an earlier copy, then to nothing: what it lost is read again. Then it stays away: who should end, ends."""
    trial.workers(ingest=2, index=1)
    workers = trial.running("ingest")
    trial.feed()
    trial.flows()
    copy, then = trial.copy_redis()
    trial.flows()
    assert sum(trial.offsets().values()) > sum(then.values())
    for older, refusal in ((copy, "it lost its last writes"), (None, "another owner (none)")):
        trial.restore_redis(older)
        eventually(
            lambda said=refusal: any(trial.lines(name, said) for name in workers),
            STILL_S,
            lambda: trial.logs("ingest"),
        )
        trial.flows()
    trial.servers.redis_server.kill()
    for name in list(trial.crew.workers):
        trial.until_log(name, "] waiting ")
        assert trial.crew.end(name) == 0, trial.logs(name)
    trial.servers.redis_server.start()
    trial.workers(ingest=1, index=1)
    trial.settle()


def test_redis_goes_back_at_rest(trial: Trial) -> None:
    """No event comes, and yet all is read again; and nothing is published for it, nor for a restart at rest."""
    trial.workers(ingest=2, index=1)
    trial.feed()
    trial.flows()
    copy, then = trial.copy_redis()
    trial.flows()
    ends, revision = trial.settle().redis_offsets, trial.watcher.revision
    assert sum(then.values()) < sum(ends.values())

    trial.restore_redis(copy)
    eventually(lambda: trial.offsets() == ends, STILL_S, lambda: trial.logs("ingest"))

    trial.workers(ingest=2, index=0)
    trial.workers(ingest=2, index=1)

    trial.workers(ingest=0, index=0)
    trial.restore_redis(copy)
    assert sum(trial.offsets().values()) < sum(ends.values())
    name = trial.start("index", TIDEWATCH_HTTP_PORT="0")
    # It never publishes from before the last revision, however long nobody reads the log again.
    eventually(lambda: "until ingest caught up" in problem(trial, name), STILL_S, lambda: trial.logs(name))
    assert not trial.active()
    trial.workers(ingest=1, index=1)
    assert trial.settle().revision == revision


def problem(trial: Trial, name: str) -> str:
    """What a worker that serves HTTP says of itself on /readyz; empty where all is well, or it does not listen yet."""
    address = re.search(r"address=(http://\S+)/healthz", trial.crew.log(name))
    if address is None:
        return ""
    try:
        with urllib.request.urlopen(f"{address[1]}/readyz", timeout=5) as answer:
            return json.load(answer)["problem"] or ""
    except urllib.error.HTTPError as answer:
        return json.load(answer)["problem"]
