"""Wrong aggregates, while events flow: rebuild names what differs, mends it, and the index follows by a revision.

On a real Kafka and a real Redis, workers as processes of their own. Each trial ends with `settle`: see
tests/workers/faults.py.
"""

import subprocess
from contextlib import suppress

import redis

from tests.waiting import eventually
from tests.workers.commands import RUN_S, begin, run
from tests.workers.faults import PARTITIONS, STILL_S, Trial


def plant(trial: Trial, partition: int) -> set[str]:
    """Make one thing of each kind wrong; the kinds. Workers are restarted by the caller, so that they believe it."""
    server, tag = trial.redis, f"{{tw:{partition}}}:"
    rows = sorted(server.smembers(f"{tag}rows"))
    cells = [row for row in rows if row.startswith("cells:")]
    wrong, missing, unlisted = trial.random.sample(cells, 3)
    server.hincrby(tag + wrong, trial.random.choice(sorted(server.hkeys(tag + wrong))), 1_000_000)
    server.delete(tag + missing)
    server.srem(f"{tag}rows", missing, unlisted)
    day = trial.random.choice([row for row in rows if row.startswith("days:")])
    server.hincrby(tag + day, sorted(server.hkeys(tag + day))[0], 7)
    server.hset(f"{tag}cells:2021-01:110000x", "dti.cloud/all", 5)  # of no city, and unlisted
    extra = next(f"cells:2022-12:{city}" for city in trial.catalogue.cities if f"cells:2022-12:{city}" not in rows)
    server.hset(tag + extra, "dti.ecommerce/all", 12345)
    server.sadd(f"{tag}rows", extra)
    # Windows that have forgotten: what comes twice counts twice from here on.
    for source, window in server.hgetall(f"{tag}seq").items():
        server.hset(f"{tag}seq", source, f"{window.partition(':')[0]}:1")
    server.hincrby(f"{tag}counts", "accepted", 3)
    server.hincrby(f"{tag}meta", "watermark", -1000)
    return {"cell", "day", "window", "count", "watermark", "key"}


def test_what_is_wrong_is_named_and_mended_while_events_flow(trial: Trial) -> None:
    trial.workers(ingest=1, index=1)
    trial.feed(days_per_second=4, density=0.2)
    trial.flows(1500)
    found = run(trial, "rebuild")
    assert found["right"], found
    assert [each["partition"] for each in found["partitions"]] == list(range(PARTITIONS))

    trial.workers(ingest=0, index=0)
    victim = max(range(PARTITIONS), key=lambda p: trial.redis.scard(f"{{tw:{p}}}:rows"))
    kinds, chosen = plant(trial, victim), ("--partition", str(victim))
    trial.workers(ingest=1, index=1)
    trial.flows()
    other = str((victim + 1) % PARTITIONS)
    assert run(trial, "rebuild", "--dry-run", "--partition", other)["right"]
    seen = run(trial, "rebuild", "--dry-run", *chosen, code=1)["partitions"][0]
    assert not seen["swapped"]
    assert kinds - {"watermark"} <= set(seen["kinds"]), seen  # the next event mends a watermark that is too low
    index, loads = trial.running("index")[0], len(trial.lines(trial.running("index")[0], "loaded again"))

    # Killed anywhere: whoever reads and writes goes on.
    for _ in range(2):
        process = begin(trial, "rebuild", *chosen, "--dry-run" if trial.random.random() < 0.3 else "--json")
        with suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=trial.random.uniform(1.0, 3.0))
        process.kill()
        process.communicate()
        trial.flows(events=100)
    # Two at once: one mends, or neither has to.
    both = [begin(trial, "rebuild", *chosen, "--json") for _ in range(2)]
    codes = [(p.communicate(timeout=RUN_S), p.returncode)[1] for p in both]
    assert set(codes) <= {0, 1}
    trial.flows()
    assert run(trial, "rebuild")["right"]
    eventually(lambda: len(trial.lines(index, "loaded again")) > loads, STILL_S, lambda: trial.logs("index"))
    trial.settle()
    before = state(trial)
    assert run(trial, "rebuild")["right"]
    assert state(trial) == before, "a right partition is not written to"


def state(trial: Trial) -> dict[str, bytes | None]:
    """Every key, as Redis would save it."""
    with redis.Redis.from_url(trial.servers.redis) as raw:
        return {name.decode(): raw.dump(name) for name in raw.keys("*")}
