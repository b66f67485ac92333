"""The side streams of the scenario dti-2022: data for every other system, as the catalogue wants them."""

from itertools import islice

import numpy as np
import pytest

from index.catalogue import Catalogue
from index.definition import Definition
from index.periods import Period
from tests.workers.scenario_engine import LAST, Q, the_catalogue, the_scenario
from workers.prepare import definition_files
from workers.scenario import Play, Rates, Scenario, days_of, iter_batches
from workers.scenario.columns import Rows
from workers.settings import REPOSITORY


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return the_catalogue()


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return the_scenario()


def test_side_streams_speak_of_all_indicators_of_the_other_systems(scenario: Scenario, catalogue: Catalogue) -> None:
    daily, side = (
        {code for code, _ in whats} for whats in (scenario.daily_whats, [w for w, _, _ in scenario.side.whats])
    )
    assert daily | side == {indicator.code for indicator in catalogue.indicators}
    assert not daily & side
    assert {code.split(".")[0] for code in daily} == {"dti"}
    assert 100_000 < len(scenario.side.rows) < 150_000


def test_each_indicator_carries_what_the_catalogue_says(scenario: Scenario, catalogue: Catalogue) -> None:
    for (code, industry), op, decimals in scenario.side.whats:
        j = catalogue.indicator_index[code]
        indicator = catalogue.indicators[j]
        assert op == {"flow": "add", "stock": "set"}[indicator.kind]
        assert decimals == indicator.decimals
        assert (industry or "all") in catalogue.industry_codes[j]


def test_every_base_period_has_data(scenario: Scenario, catalogue: Catalogue) -> None:
    """Or a system would have no value at all."""
    side = scenario.side
    have: dict[str, set[Period]] = {code: set() for code, _ in scenario.daily_whats}
    have = {code: {Period.parse(q) for q in Q} for code in have}
    for what, period in set(zip(side.rows.what.tolist(), side.rows.period.tolist(), strict=True)):
        have.setdefault(side.whats[what][0][0], set()).add(Period.parse(side.periods[period]))
    for path in definition_files(REPOSITORY / "systems"):
        definition = Definition.load(path, catalogue)
        leaves = {node.name.partition("/")[0] for node in definition.tree.nodes if node.leaf >= 0}
        for code in leaves:
            assert have[code], f"{path.name}: no data of {code}"
            if getattr(definition, "base", None) is not None:
                held = {above for period in have[code] for above in period.ancestors()}
                assert definition.base in held, f"{path.name}: no {code} in {definition.base.name}"


def test_laiwu_reports_until_it_is_part_of_jinan(scenario: Scenario, catalogue: Catalogue) -> None:
    (line,) = catalogue.mergers
    assert line.code not in scenario.frame.codes
    position = scenario.codes.index(line.code)
    rows = scenario.side_rows()
    periods = {scenario.periods[p] for p in rows.period[rows.city == position].tolist()}
    assert {"2017", "2018"} <= periods
    assert all(Period.parse(p).first_day() < Period.parse(line.month).first_day() for p in periods)


def test_side_events_are_sent_after_their_period_and_within_the_play(scenario: Scenario) -> None:
    rows: Rows = scenario.side_rows()
    ends = np.array([Period.parse(name).successor.first_day() for name in scenario.periods])
    assert (rows.at // 86_400 >= ends[rows.period]).all()
    first, last = (Period.parse(q).first_day() for q in (Q[0], LAST))
    assert first <= rows.at.min() // 86_400
    assert rows.at.max() // 86_400 < last + 90


def test_the_daily_play_does_not_depend_on_the_side_streams(scenario: Scenario, catalogue: Catalogue) -> None:
    """Whatever is added beside them, the daily events of a seed stay as they are."""
    bare = Scenario(scenario.given, scenario.totals)
    play = Play(seed=5, rates=Rates.none(), density=0.05, days=70, cities=20)

    def daily(made: Scenario) -> list[bytes]:
        messages = [m.value for batch in islice(iter_batches(made, play), 90) for m in batch.messages]
        return [value for value in messages if b'"indicator":"dti.' in value]

    assert daily(scenario) == daily(bare)


def test_days_of_a_play_are_what_the_progress_bar_counts_to(scenario: Scenario) -> None:
    play = Play(rates=Rates.none(), density=0.01, cities=3)
    *_, closing = iter_batches(scenario, play)
    assert (closing.day - scenario.first).days + 1 == days_of(scenario)
