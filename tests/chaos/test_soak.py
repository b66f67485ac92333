"""The short soak: every kind of fault at least once, more than thirty in all, over real servers while events flow.

A new seed each time; it stands in pytest's header, and TIDEWATCH_SOAK_SEED=N repeats it. The long one is `make soak`.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.chaos.clock import lacking
from tests.chaos.kinds import KINDS, possible
from tests.chaos.schedule import Plan, brief_plan
from tests.chaos.soak import Outcome, keep, run

PLANS = Path(__file__).with_name("plans")
pytestmark = [pytest.mark.servers, pytest.mark.timeout(1200)]


def with_kept(plan: Plan) -> Plan:
    """And the rounds of that set-up which once failed (tests/chaos/plans), as far as this machine can play them.

    Those of set-up c take minutes each: `python -m tests.chaos.soak --plan-file tests/chaos/plans/NAME.json`.
    """
    rounds = list(plan.rounds)
    for path in sorted(PLANS.glob("*.json")):
        kept = Plan.load(path)
        lacks = any(KINDS[fault.kind].needs in plan.lacking for each in kept.rounds for fault in each.faults)
        if kept.setup == plan.setup and not lacks:
            rounds += [replace(each, number=len(rounds) + 1 + i) for i, each in enumerate(kept.rounds)]
    return replace(plan, rounds=rounds)


def soaked(plan: Plan, folder: Path) -> Outcome:
    """Play a plan; where something does not hold, its round is printed, to be played again."""
    outcome = run(plan, folder / "soak", folder / "record.jsonl.gz", what="short")
    if outcome.failure is not None:
        print(keep(plan, outcome, folder / "plan").read_text())
    assert outcome.failure is None, f"set-up {plan.setup}, seed {plan.seed}: {outcome.failure}"
    return outcome


def test_one_broker_one_redis(tmp_path: Path) -> None:
    """Set-up a: all that it knows, and what once failed on it."""
    without = lacking()
    outcome = soaked(with_kept(brief_plan("a", os.environ["TIDEWATCH_SOAK_SEED"], 3, lacking=without)), tmp_path)
    assert outcome.faults >= 30
    assert outcome.kinds == {kind.name for kind in possible("a", without)}


def test_three_brokers_and_redis_with_replicas(tmp_path: Path) -> None:
    """Set-up b: a round of it, with what set-up a has not."""
    outcome = soaked(brief_plan("b", os.environ["TIDEWATCH_SOAK_SEED"], 1, lacking=lacking()), tmp_path)
    assert outcome.kinds > {"redis-failover", "redis-lagging"}
