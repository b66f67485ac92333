"""What is planted, what the judge says of it, and the command: plays without any server."""

from __future__ import annotations

import json
import random
from datetime import date
from typing import Any

import numpy as np
import pytest

from index.catalogue import Catalogue
from index.rules import Alert
from index.rules.alert import FIRING, HELD
from workers.alert_play import Fired
from workers.alert_score import score
from workers.alert_trial import SCENARIOS, SYSTEM, plan
from workers.scenario import load
from workers.scenario.daily import Daily, daily
from workers.scenario.drops import AFTER, FALLS, KINDS, REST, WARM_UP, Plant, draw
from workers.scenario.planted import CellRows, Planted
from workers.scenario.planted_events import PlantedEvents
from workers.settings import Settings

SEED = random.SystemRandom().randrange(2**32)


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    print(f"seed {SEED}")
    return Catalogue.load(Settings().catalogue)


@pytest.fixture(scope="module")
def days(catalogue: Catalogue) -> Daily:
    return daily(load(catalogue, SYSTEM), np.random.default_rng(SEED))


def city(days: Daily, first: int, last: int, size: float, kind: str = "city", where: int = 7) -> Plant:
    return Plant(kind, days.frame.codes[where], (where,), tuple(range(8)), first, last, size)


def test_days_add_up_to_the_scenario(days: Daily, catalogue: Catalogue) -> None:
    totals = load(catalogue, SYSTEM).totals
    assert days.day(0) == date(2021, 1, 1)
    assert len(days) == (date(2023, 4, 1) - date(2021, 1, 1)).days
    first = days.amounts[:90].sum(axis=0)
    wanted = np.stack([totals.amounts[code][0].sum(axis=1) for code in days.indicators], axis=1)
    assert np.abs(first.sum(axis=0) / wanted.sum(axis=0) - 1).max() < 0.02
    assert abs(days.weights.sum() - 1) < 1e-12


@pytest.mark.parametrize("kind", KINDS)
def test_a_plant_is_drawn_by_its_seed_and_within_bounds(days: Daily, kind: str) -> None:
    drawn = [draw(days, [kind] * 3, np.random.default_rng(SEED)) for _ in range(2)]
    assert drawn[0] == drawn[1]
    for plant in drawn[0]:
        assert WARM_UP <= plant.first <= plant.last < len(days) - AFTER
        assert plant.cities
        assert plant.indicators
        if kind in FALLS:
            assert 0.2 <= plant.size <= 0.8


def test_plants_keep_away_from_each_other(days: Daily) -> None:
    plants = draw(days, ["city", "province", "slide", "dip", "still"] * 3, np.random.default_rng(SEED))
    for one in plants:
        for other in plants:
            if one is not other and set(one.cities) & set(other.cities):
                assert one.first > other.last + REST or other.first > one.last + REST


def test_what_cannot_be_drawn_is_refused(days: Daily) -> None:
    with pytest.raises(ValueError, match="no kind of plant 'earthquake'"):
        draw(days, ["earthquake"], np.random.default_rng(SEED))
    with pytest.raises(ValueError, match="no room"):
        draw(days, ["source"] * 200, np.random.default_rng(SEED))
    with pytest.raises(ValueError, match="no scenario 'earthquake'; there are mixed, quiet"):
        plan("earthquake", 1, Catalogue.load(Settings().catalogue))


def test_a_fall_takes_what_it_says_and_nothing_is_lost_but_that(days: Daily) -> None:
    plant = city(days, 200, 230, 0.3)
    planted, quiet = Planted(days, [plant], 260), Planted(days, [], 260)
    assert np.array_equal(planted.amounts[:200], quiet.amounts[:200])
    assert np.abs(planted.amounts[200:231, 7] / quiet.amounts[200:231, 7] - 0.7).max() < 1e-4
    assert np.array_equal(np.delete(planted.amounts, 7, axis=1), np.delete(quiet.amounts, 7, axis=1))
    fall = planted.true_fall([7], None)
    assert fall[:200].max() == 0
    assert fall[206:231] == pytest.approx(0.3)
    assert planted.true_fall(range(351), None).max() < 0.1


def test_what_is_silent_comes_late_and_whole(days: Daily) -> None:
    plants = [city(days, 200, 204, 1.0, "still"), city(days, 230, 231, 0.5, "quarter", where=9)]
    planted = Planted(days, plants, 260)
    sent = np.zeros_like(planted.amounts)
    for day, reports in enumerate(planted.reports()):
        for report in reports:
            sent[report.of_day] += report.amounts
        if 200 <= day <= 204:
            assert not reports[0].amounts[7].any()
        if day == 205:
            assert [report.of_day for report in reports] == [205, 200, 201, 202, 203, 204]
    assert np.array_equal(sent, planted.amounts)
    assert planted.true_fall([7, 9], None).max() == 0


def test_cells_and_events_say_the_same(days: Daily, catalogue: Catalogue) -> None:
    planted = Planted(days, [city(days, 3, 5, 1.0, "still")], 8)
    number = catalogue.indicator_index
    industries = {code: catalogue.industry_codes[number[code]][0] for code in days.indicators}
    cells = CellRows(days, {code: f"{code}/{industry}" for code, industry in industries.items()})
    events, rows, summed = PlantedEvents(days, industries), dict[str, dict[str, int]](), dict[tuple[str, str], int]()
    last: dict[str, int] = {}
    for reports in planted.reports():
        for row in cells.add(reports):
            rows.setdefault(row[0], {}).update(zip(row[1::2], row[2::2], strict=True))
        for key, value in events.messages(reports):
            event: dict[str, Any] = json.loads(value)
            assert event["city"] == key.decode()
            assert event["seq"] == last.get(event["source"], 0) + 1
            last[event["source"]] = event["seq"]
            cents = round(event["value"] * 100)
            for name in (
                (f"cells:{event['at'][:7]}:{event['city']}", f"{event['indicator']}/{event['industry']}"),
                (f"days:{event['at'][:7]}:{event['city']}", f"{event['indicator']}@{event['at'][:10]}"),
            ):
                summed[name] = summed.get(name, 0) + cents
    assert summed == {(row, field): value for row, fields in rows.items() for field, value in fields.items()}


def fired(day: int, entity: str, *, rule: str = "drop", node: str | None = None, state: str = FIRING) -> Fired:
    kind = "silence" if rule == "silence" else "drop"
    alert = Alert(
        system=SYSTEM, rule=rule, type=kind, severity="page", entity=entity, node=node, period="2021Q3", state=state,
        value=-0.3, bound=-0.13, since_us=0, at_us=0, revision=day,
    )  # fmt: skip
    return Fired(alert, day, 0.01)


def test_the_judge_knows_right_from_false(days: Daily) -> None:
    code, other = days.frame.codes[7], days.frame.codes[300]
    plants = [
        city(days, 200, 230, 0.3),
        city(days, 200, 205, 1.0, "still", where=300),
        city(days, 180, 180, 0.6, "dip", 50),
    ]
    planted = Planted(days, plants, 300)
    judged = score(planted, [
        fired(150, code), fired(203, code), fired(204, other), fired(202, other, rule="silence"),
        fired(181, days.frame.codes[50]), fired(203, other, state=HELD),
    ])  # fmt: skip
    assert [(f.day, f.alert.entity) for f in judged.false] == [(150, code), (204, other), (181, days.frame.codes[50])]
    (heard,) = judged.heard
    assert (heard.required, heard.delay_days) == (True, 4)
    (silence,) = judged.silences
    assert silence.delay_days == 3
    assert judged.rules["drop"].held == 1
    assert (judged.rules["drop"].right, judged.rules["drop"].false) == (1, 3)


def test_a_fall_that_nobody_hears_is_missed(days: Daily) -> None:
    small, large = city(days, 200, 230, 0.1), city(days, 200, 230, 0.25, where=9)
    judged = score(Planted(days, [small, large], 300), [fired(240, large.entity), fired(210, "nation:CN")])
    assert [(h.required, h.by) for h in judged.heard] == [(False, None), (True, None)]


def test_every_scenario_has_a_plan(catalogue: Catalogue) -> None:
    for scenario in SCENARIOS:
        planted = plan(scenario, SEED, catalogue)
        assert planted.n > 250
        assert bool(planted.plants) == (scenario != "quiet")
