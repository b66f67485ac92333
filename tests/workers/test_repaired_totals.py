"""Dead letters repaired and sent again give the totals of a world in which the events had been right from the start.

Two cities get the same events: one right, the other with some spoilt in every way; the spoilt ones carry the truth in a
field of their own, and a program puts it back. Then rebuild, backup and restore are run on what came of it.
"""

import json
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.workers.desk import PARTITIONS, Desk, event

RIGHT, SPOILT = "330100", "330200"
EVENTS = 60
SPOILS: list[dict[str, Any]] = [
    {"city": "999999"}, {"indicator": "dti.none"}, {"industry": "none"}, {"op": "take"}, {"value": "3"},
    {"value": 1e300}, {"value": 0.001}, {"at": "2022-13-01T00:00:00+08:00"}, {"at": "2990-01-01T00:00:00+08:00"},
    {"period": "2022Q7"}, {"at": 7},
]  # fmt: skip
REPAIR = """#!/usr/bin/env python3
import json, sys
event = json.load(sys.stdin)
event.update(event.pop("truth"))
print(json.dumps(event))
"""


def rows_of(desk: Desk, city: str) -> Counter[str]:
    """Every cell and day cell of a city, over all partitions."""
    out: Counter[str] = Counter()
    for p in range(PARTITIONS):
        for row in desk.redis.smembers(f"{{tw:{p}}}:rows"):
            if row.endswith(f":{city}"):
                for name, text in desk.redis.hgetall(f"{{tw:{p}}}:{row}").items():
                    out[f"{row.removesuffix(city)} {name}"] += int(text)
    return out


def test_totals_are_as_if_nothing_had_been_wrong(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    seed = f"{pytestconfig.option.hypothesis_seed}/repaired"
    print(f"seed {seed}")
    random = Random(seed)
    program = tmp_path / "repair"
    program.write_text(REPAIR)
    program.chmod(0o755)
    with Desk(tmp_path) as desk:
        desk.start("ingest")
        desk.ready("ingest")
        right, spoilt, broken = [], [], 0
        for i in range(EVENTS):
            truth: dict[str, Any] = {
                "value": random.randint(-900, 900) / 100,
                "at": f"2022-{random.randint(1, 12):02d}-{random.randint(1, 28):02d}T08:00:{i:02d}+08:00",
            }
            if random.random() < 0.3:
                truth["period"] = random.choice(("2022", "2022H1", "2022Q3", "2022-05"))
            right.append(event(source="right", seq=i, city=RIGHT, **truth))
            wrong = random.choice(SPOILS) if random.random() < 0.4 else {}
            broken += bool(wrong)
            told = {
                "city": SPOILT,
                "indicator": "dti.ecommerce",
                "industry": None,
                "op": "add",
                "period": None,
                **truth,
            }
            spoilt.append(event(**{"source": "spoilt", "seq": i, "city": SPOILT, **truth, **wrong, "truth": told}))
        desk.send(right, partition=0)
        desk.send(spoilt, partition=0)
        desk.passed()
        assert desk.counts()["accepted"] == 2 * EVENTS - broken
        assert rows_of(desk, SPOILT) != rows_of(desk, RIGHT)

        for accepted, duplicates in ((2 * EVENTS, 0), (2 * EVENTS, broken)):  # the second time nothing is new
            done = desk.tidewatch("dlq", "replay", "--repair", str(program), "--json")
            assert done == {"letters": broken, "sent": broken, "unreadable": []}
            desk.sent = ends(desk)
            desk.passed()
            assert (desk.counts()["accepted"], desk.counts()["duplicate"]) == (accepted, duplicates)
            assert rows_of(desk, SPOILT) == rows_of(desk, RIGHT)
        assert len(desk.letters()) == broken, "a repair writes no letter"

        assert desk.tidewatch("rebuild", "--json")["right"]
        file = tmp_path / "saved"
        for command in (("rebuild",), ("backup", str(file)), ("restore", str(file), "--replace")):
            print(desk.tidewatch(*command))
        desk.send([event(source="right", seq=EVENTS)])
        desk.passed()
        assert desk.counts()["accepted"] == 2 * EVENTS + 1, "the worker was refused, and goes on"
        assert desk.end("ingest") == 0


def ends(desk: Desk) -> dict[int, int]:
    """The next offset of each partition of the log."""
    from stream.ends import Ends

    return Ends(desk.servers.kafka).ask(list(range(PARTITIONS)))


def test_a_reason_that_is_none_lists_those_there_are() -> None:
    from typer.testing import CliRunner

    from workers.cli import main

    for command in ("list", "replay"):
        done = CliRunner().invoke(main, ["dlq", command, "--reason", "unknown-cty"], env={"COLUMNS": "400"})
        assert done.exit_code == 2
        assert "unknown-cty is no reason" in done.output
        assert "unknown-city" in done.output
        assert json.dumps(done.output).count("stale-sequence") == 1
