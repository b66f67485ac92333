"""A backup made while everything runs, and put back: over a live Redis, into an empty one, and where it must not be.

On a real Kafka and a real Redis, workers as processes of their own. The trial ends with `settle`: see
tests/workers/faults.py.
"""

from pathlib import Path

from state.keys import SCHEMA
from tests.waiting import eventually
from tests.workers.commands import run
from tests.workers.faults import PARTITIONS, STILL_S, Trial
from workers.local import Servers


def test_a_backup_goes_back_while_everything_runs(trial: Trial, tmp_path: Path) -> None:
    file = tmp_path / "state.backup"
    trial.workers(ingest=1, index=1)
    [worker] = trial.running("ingest")
    trial.feed(days_per_second=4, density=0.2)
    trial.flows()
    made = run(trial, "backup", str(file))
    assert file.stat().st_size == made["bytes"]
    then = {int(p): offset for p, offset in made["offsets"].items()}
    assert set(then) == set(range(PARTITIONS))
    trial.flows()

    # What is there is not taken away without being told to.
    refused = run(trial, "restore", str(file), code=1)["error"]
    assert "Redis is not empty" in refused
    assert "nothing written" in refused
    assert run(trial, "restore", str(file), "--replace", "--dry-run")["restored"] == 0
    assert not trial.lines(worker, "fenced")

    # Over a live Redis: it goes back, is read again, and nothing is published from below.
    trial.flows()
    assert sum(trial.offsets().values()) > sum(then.values())
    assert run(trial, "restore", str(file), "--replace")["restored"] == PARTITIONS
    assert len({trial.redis.hget(f"{{tw:{p}}}:meta", "lineage") for p in range(PARTITIONS)} - {None}) == PARTITIONS
    eventually(lambda: len(trial.lines(worker, "fenced")) >= PARTITIONS, STILL_S, lambda: trial.logs("ingest"))
    trial.flows()
    assert run(trial, "rebuild")["right"], "a backup is a state of the log"

    # Everything lost, nobody at work; and a Redis that another log filled. Then it goes on from the backup.
    trial.workers(ingest=0, index=0)
    trial.redis.hset("{tw:1}:meta", "schema", 9)
    assert "into an empty Redis" in run(trial, "restore", str(file), "--replace", code=1)["error"]
    trial.redis.flushall()
    damaged = tmp_path / "damaged.backup"
    whole = bytearray(file.read_bytes())
    whole[trial.random.randrange(len(whole))] ^= 1 << trial.random.randrange(8)
    damaged.write_bytes(whole)
    assert "nothing written" in run(trial, "restore", str(damaged), code=1)["error"]
    assert trial.redis.keys("*") == []
    assert run(trial, "restore", str(file))["restored"] == PARTITIONS
    assert trial.offsets() == then
    trial.workers(ingest=1, index=1)
    trial.flows()
    trial.settle()


def test_another_log_is_refused(own_servers: Servers, tmp_path: Path) -> None:
    """The topic is made anew under the same name: the offsets of the file mean nothing there."""
    file = tmp_path / "state.backup"
    with Trial(own_servers, tmp_path / "before", "before") as trial:
        run(trial, "backup", str(file))
    with Trial(own_servers, tmp_path / "anew", "anew") as trial:
        refused = run(trial, "restore", str(file), code=1)["error"]
        assert "made of another log" in refused, refused
        assert trial.redis.keys("*") == []
        trial.redis.hset("{tw:1}:meta", mapping={"offset": 1_000_000, "schema": SCHEMA})
        assert "its log ends at" in run(trial, "rebuild", "--partition", "1", code=2)["failed"]["1"]
