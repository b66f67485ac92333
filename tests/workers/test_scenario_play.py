"""A play of the scenario, judged by the engine's own decoder, checks and windows: counts and totals are as told."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from itertools import islice
from zlib import crc32

import numpy as np
import pytest

from index.catalogue import Catalogue
from state.packing import unpack_period
from state.sequence import Verdict, Windows
from stream.events import decode
from stream.reasons import MALFORMED_TIME, NO_REASON, Reason
from stream.validate import Validator
from workers.scenario import Play, Rates, Scenario, iter_batches, load
from workers.scenario.bad import EVENT_BYTES, FORMS, JUMP, WINDOW
from workers.scenario.odd import FORMS as ODD_FORMS
from workers.scenario.play import Batch
from workers.settings import REPOSITORY

PARTITIONS = 3
SENT_MS = 1_800_000_000_000  # 2027: after the scenario, before the events from the future
MANY = Rates(duplicates=0.05, late=0.05, corrections=0.03, restatements=0.02, bad=0.03, odd=0.05)
VERDICTS = {int(Verdict.STALE): "rejected:stale-sequence", int(Verdict.BAD): "rejected:bad-sequence"}


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue.load(REPOSITORY / "systems" / "catalogue")


@pytest.fixture(scope="module", params=["dti-2023", "dti-2022"])
def scenario(catalogue: Catalogue, request: pytest.FixtureRequest) -> Scenario:
    return load(catalogue, request.param)


class Judge:
    """What an ingest worker per partition would accept, without servers."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self.validator = Validator(catalogue)
        self.windows = [Windows(catalogue.limits.window, catalogue.limits.jump) for _ in range(PARTITIONS)]
        self.counts: Counter[str] = Counter()
        self.sums: Counter[tuple[str, str, int, int]] = Counter()
        self.watermarks = [0] * PARTITIONS

    def take(self, batches: Iterable[Batch]) -> None:
        limits = self.catalogue.limits
        for batch in batches:
            for p in range(PARTITIONS):
                values = [m.value for m in batch.messages if crc32(m.key) % PARTITIONS == p]
                columns = decode(values, limits.message_bytes, limits.event_bytes)
                checked = self.validator.check(columns, np.full(len(columns), SENT_MS))
                self.counts.update(f"rejected:{reject.reason.code}" for reject in columns.rejects)
                for row in range(len(columns)):
                    self._row(p, int(checked.failed[row]), checked.valid, row)

    def _row(self, p: int, failed: int, valid, row: int) -> None:
        if failed != NO_REASON:
            reason = Reason.MALFORMED if failed == MALFORMED_TIME else Reason(failed)
            self.counts[f"rejected:{reason.code}"] += 1
            return
        source, seq = valid.sources[valid.source[row]], int(valid.seq[row])
        verdict = int(self.windows[p].judge(source, seq))
        if verdict == Verdict.NEW:
            self.windows[p].mark(source, seq)
            self.counts["accepted"] += 1
            self.watermarks[p] = max(self.watermarks[p], int(valid.at_us[row]))
            self._apply(valid, row)
        else:
            self.counts[VERDICTS.get(verdict, "duplicate")] += 1

    def _apply(self, valid, row: int) -> None:
        period = int(valid.period[row])
        day = date.fromordinal(date(1970, 1, 1).toordinal() + int(valid.day[row]))
        quarter = f"{day.year}Q{(day.month + 2) // 3}" if period < 0 else unpack_period(period).name
        code = self.catalogue.cities[int(valid.city[row])]
        key = (quarter, code, int(valid.indicator[row]), int(valid.industry[row]))
        self.sums[key] += int(valid.value[row])


def judged(catalogue: Catalogue, scenario: Scenario, play: Play) -> tuple[Judge, Counter[str]]:
    judge, kinds = Judge(catalogue), Counter()

    def counted() -> Iterable[Batch]:
        for batch in iter_batches(scenario, play):
            kinds.update(batch.kinds)
            yield batch

    judge.take(counted())
    return judge, kinds


def announced(kinds: Counter[str]) -> Counter[str]:
    """What the play says of itself, in the judge's words."""
    plain = Counter({kind: n for kind, n in kinds.items() if kind == "duplicate" or kind.startswith("rejected:")})
    plain["accepted"] = sum(kinds.values()) - sum(plain.values())
    return plain


@pytest.mark.parametrize("array", [1, 40])
def test_counts_and_totals_are_exact_with_every_fault(catalogue: Catalogue, scenario: Scenario, array: int):
    play = Play(seed=7, rates=MANY, density=0.3, array=array, cities=12)
    judge, kinds = judged(catalogue, scenario, play)
    assert judge.counts == announced(kinds)
    assert {f"rejected:{reason.code}" for reason in Reason} <= kinds.keys()
    assert {"event", "late", "correction", "restatement", "closing", "odd", "duplicate"} <= kinds.keys()
    for code, names in scenario.totals.industries.items():
        j = catalogue.indicator_index[code]
        for q, quarter in enumerate(scenario.totals.quarters):
            played = {city for when, city, indicator, _ in judge.sums if (when, indicator) == (quarter, j)}
            assert len(played) == 12
            for city in played:
                want = scenario.totals.amounts[code][q, scenario.frame.codes.index(city)]
                order = [catalogue.industry_index[j][name] for name in names] or [0]
                assert [judge.sums[quarter, city, j, k] for k in order] == want.tolist()


def test_closing_statements_pass_the_end_of_the_last_quarter(catalogue: Catalogue, scenario: Scenario):
    judge, _ = judged(catalogue, scenario, Play(density=0.01, cities=40, days=20, rates=Rates.none()))
    end = (scenario.first - date(1970, 1, 1)).days + 20
    assert all(mark / 86_400e6 > end + 3 for mark in judge.watermarks)


def test_same_seed_same_bytes_and_another_seed_other_bytes(scenario: Scenario):
    def first(seed: int) -> list[Batch]:
        return list(islice(iter_batches(scenario, Play(seed=seed, rates=MANY)), 5))

    assert first(3) == first(3)
    assert first(3) != first(4)


def test_days_come_in_order_and_hold_what_was_sent_on_them(scenario: Scenario):
    batches = list(islice(iter_batches(scenario, Play(days=30)), 40))
    assert [batch.day for batch in batches] == sorted(batch.day for batch in batches)
    assert batches[0].day == scenario.first
    assert all(batch.events == len(batch.messages) for batch in batches)


def test_default_play_has_over_half_a_million_accepted_events(scenario: Scenario):
    kinds = sum((batch.kinds for batch in iter_batches(scenario, Play())), Counter())
    # Beside the daily events of either scenario, dti-2022 has those of the other systems.
    assert 550_000 < announced(kinds)["accepted"] - len(scenario.side.rows) < 720_000
    assert {f"rejected:{reason.code}" for reason in Reason} <= kinds.keys()
    assert kinds["closing"] == 351


def test_arrays_hold_as_many_events_as_asked_for(scenario: Scenario):
    play = Play(array=100, density=0.5, days=60, rates=replace(Rates.none(), duplicates=0.01))
    batches = list(iter_batches(scenario, play))
    events, messages = sum(b.events for b in batches), sum(len(b.messages) for b in batches)
    assert events / messages > 70


def test_constants_are_the_catalogues(catalogue: Catalogue):
    assert (catalogue.limits.window, catalogue.limits.jump, catalogue.limits.event_bytes) == (
        WINDOW,
        JUMP,
        EVENT_BYTES,
    )


def test_forms_cover_every_reason():
    assert {form.reason for form in FORMS} == {reason.code for reason in Reason}
    assert len(ODD_FORMS) > 8


def test_unknown_scenario_is_named(catalogue: Catalogue):
    with pytest.raises(ValueError, match="no scenario 'x'; there are 'dti-2023', 'dti-2022'"):
        load(catalogue, "x")
