"""Plans: made from the seed alone, every kind early, never more at once than a set-up can bear."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.chaos.kinds import DOWN, DOWN_MOST, KINDS, possible
from tests.chaos.schedule import MIXES, Plan, brief_plan, make_plan, singles_plan
from tests.chaos.setups import NAMES


@pytest.fixture(params=NAMES)
def setup(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def seed() -> str:
    seed = str(random.SystemRandom().randrange(10**6))
    print(f"seed {seed}")
    return seed


def test_the_same_seed_gives_the_same_plan_and_it_can_be_kept(setup: str, seed: str, tmp_path: Path) -> None:
    plan = make_plan(setup, seed, 100)
    assert plan == make_plan(setup, seed, 100)
    assert plan.rounds != make_plan(setup, f"{seed}1", 100).rounds
    kept = tmp_path / "plan.json"
    kept.write_text(plan.dump())
    assert Plan.load(kept) == plan


def test_as_many_kills_as_asked_for_and_every_kind_early(setup: str, seed: str) -> None:
    plan = make_plan(setup, seed, 300)
    assert sum(each.kills for each in plan.rounds) >= 300
    early = {fault.kind for each in plan.rounds[:5] for fault in each.faults}
    assert early == {kind.name for kind in possible(setup)}


@pytest.mark.parametrize("mix", MIXES)
def test_rounds_bear_their_faults(setup: str, seed: str, mix: str) -> None:
    for each in make_plan(setup, seed, 300, mix=mix).rounds:
        names = [fault.kind for fault in each.faults]
        assert sum(name in DOWN for name in names) <= DOWN_MOST
        assert all(names.count(name) <= KINDS[name].most for name in names)
        assert [fault.at_s for fault in each.faults] == sorted(fault.at_s for fault in each.faults)
        assert all(0 <= fault.at_s <= each.seconds for fault in each.faults)


def test_what_the_machine_lacks_is_left_out_by_name(setup: str, seed: str) -> None:
    plan = make_plan(setup, seed, 300, lacking=frozenset({"cc"}))
    assert plan.lacking == ["cc"]
    assert not any(fault.kind.startswith("clock") for each in plan.rounds for fault in each.faults)


def test_a_brief_plan_holds_every_kind_of_the_first_set_up(seed: str) -> None:
    plan = brief_plan("a", seed, 3)
    faults = [fault for each in plan.rounds for fault in each.faults]
    assert len(faults) >= 30
    assert {fault.kind for fault in faults} == {kind.name for kind in possible("a")}
    assert plan == brief_plan("a", seed, 3)


def test_each_kind_alone(setup: str, seed: str) -> None:
    plan = singles_plan(setup, seed)
    assert sorted(fault.kind for each in plan.rounds for fault in each.faults) == sorted(
        k.name for k in possible(setup)
    )
    assert all(len(each.faults) == 1 for each in plan.rounds)
    assert plan == singles_plan(setup, seed)
