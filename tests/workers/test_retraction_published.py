"""What is published after a retraction is what is published in a world that never had the events, bit for bit.

Random definitions and events, as verify and the engine are held against each other: cities, days and levels that only
the wrong source wrote, and in every other world drops of everybody. Both worlds have somebody else's event at the end
of each partition: no event can take time back.
"""

from __future__ import annotations

import json
import random
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import pytest

from index.catalogue import Catalogue as EngineCatalogue
from tests.workers import test_verify_world as worlds
from tests.workers.test_verify_against_engine import both, compare
from workers.retraction.changes import DONE
from workers.retraction.ledger import Ledger
from workers.retraction.plan import make_plan
from workers.retraction.selection import Selection
from workers.verify.accept import Judge
from workers.verify.catalogue import parse_catalogue
from workers.verify.checks import Checks
from workers.verify.published import Published

SEEDS = 8
NOW_MS = 2 * 10**12
Sent = list[tuple[int, dict[str, Any]]]  # partition, event


class Partitions:
    """Stands for the generator that spreads events over partitions: in the order that is given."""

    def __init__(self, sent: Sent) -> None:
        self._partitions = iter([partition for partition, _ in sent])

    def randrange(self, _: int) -> int:
        return next(self._partitions)


def published(data: dict[str, Any], text: str, sent: Sent) -> Published:
    found, system = both(data, text, (event for _, event in sent), Partitions(sent))  # type: ignore[arg-type]
    report = compare(found, system)
    assert not report.differences, report.differences[:3]
    return found


def compensated(data: dict[str, Any], sent: Sent, selection: Selection) -> Sent:
    """The world, and the retraction behind it."""
    ledger, known = Ledger(selection), parse_catalogue(data)
    judges = {p: Judge(p, Checks(known), ledger.accepted, ()) for p in (0, 1)}
    for offset, (p, event) in enumerate(sent):
        judges[p].record(offset, NOW_MS, None, json.dumps(event).encode())
    plan = make_plan(ledger, judges, NOW_MS)
    assert plan.messages
    assert {row.outcome for row in plan.rows} == {DONE}
    return sent + [(p, event) for p, _, value in plan.messages for event in json.loads(value)]


@cache
def played(seed: int) -> tuple[Published, Published, Published]:
    """What is published of a world, of one that never had the events of `s`, and after these were taken back."""
    rng = random.Random(seed)
    data = worlds.catalogue(rng)
    text = worlds.definition(rng, EngineCatalogue.from_json(json.dumps(data)))
    sent: Sent = []
    lonely = rng.choice("abcdefg")
    made = worlds.events(rng)
    for event in worlds.with_drops(rng, made) if seed % 2 else made:
        p = rng.randrange(2)
        if event["city"] == lonely:  # nobody else knows it
            event["source"] = "s"
        sent.append((p, event))
        if rng.random() < 0.2:
            sent.append((p, event))  # a repeat
    last = max((event["at"] for _, event in sent), key=datetime.fromisoformat)
    for p in (0, 1):
        sent.append((p, sent[0][1] | {"source": "b", "seq": p, "at": last}))
    without = [(p, event) for p, event in sent if event["source"] != "s"]
    mended = compensated(data, sent, Selection("s"))
    return published(data, text, sent), published(data, text, without), published(data, text, mended)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_index_values_growths_and_ranks(seed: int) -> None:
    _, right, mended = played(seed)
    assert mended.updates == right.updates
    assert mended.tables == right.tables


def test_the_worlds_are_not_hollow() -> None:
    """In most of them the events moved what is published."""
    assert sum(played(seed)[0].updates != played(seed)[1].updates for seed in range(SEEDS)) >= SEEDS / 2


OPEN = """
system = "t"
version = 1
title = "an open quarter"
groups = ["area", "all"]
nation = "all:X"
base = "2021Q1"
grains = ["quarter"]
[tree]
children = ["run", "pay"]
weights = [0.5, 0.5]
"""


def test_growth_to_date_of_an_open_quarter() -> None:
    """Which counts day by day: the compensation lies on the days of the events, and none where they name a period."""
    data = worlds.catalogue(random.Random(1)) | {"mergers": []}
    sent: Sent = []
    for day in range(135):
        at = (datetime(2021, 1, 1, 12) + timedelta(days=day)).isoformat() + "Z"
        event = {"seq": day, "city": "a", "indicator": "run", "op": "add", "value": day % 7 + 1, "at": at}
        for indicator, more in ("run", {}), ("pay", {"industry": "food", "seq": day + 500}):
            sent.append((0, event | {"source": "t", "indicator": indicator} | more))
            if day % 3 == 0:
                sent.append((day % 2, event | {"source": "s", "indicator": indicator, "value": 1000 + day} | more))
        if day == 70:
            sent.append((0, event | {"source": "s", "seq": 1000, "period": "2021Q2"}))
    without = [(p, event) for p, event in sent if event["source"] != "s"]
    whole, right = published(data, OPEN, sent), published(data, OPEN, without)
    mended = published(data, OPEN, compensated(data, sent, Selection("s")))
    assert mended.updates == right.updates
    assert whole.updates["a", "2021Q2"]["growth"]["to_date"] is None, "an amount without days"
    assert right.updates["a", "2021Q2"]["growth"]["to_date"] is not None
    assert right.updates["a", "2021Q2"]["days"] == 44
