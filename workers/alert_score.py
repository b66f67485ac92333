"""What a play's alerts were worth: which were due to a planted drop, which drops were heard, and how late.

An alert that fires is **right** where real falls took at least NOTED of what it is about (its entity, its node) in some
seven days of the quarter before it; a silence, where its entity or source was made silent. All others are false, and so
is a fall that fires because of a silence, a holiday, a spike. What is held back counts neither way.

A fall is **heard** where an alert of a fall fires while it lasts or within HEARD days, about an entity that it took
NOTED of. It must be heard where it takes `LARGE` or more from its own entity (of one indicator: from that indicator).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from index.rules.rule import SILENCE
from workers.alert_play import Fired
from workers.scenario.daily import Floats
from workers.scenario.drops import FALLS, SILENT, Plant
from workers.scenario.planted import Planted

LARGE, NOTED = 0.20, 0.05
LOOK_BACK, HEARD = 92, 7


@dataclass(frozen=True)
class Heard:
    """A plant and the first alert that heard of it; `fall`: the most that it took in seven days. `required`: LARGE."""

    plant: Plant
    fall: float
    required: bool
    by: Fired | None
    large: int  # the day on which it had taken LARGE in a day (a slide: later than its first)

    @property
    def delay_days(self) -> int | None:
        """Days of event time from the first day's start to the watermark at which the alert fired."""
        return None if self.by is None else self.by.day + 1 - self.plant.first


@dataclass
class Tally:
    """Of one rule."""

    right: int = 0
    false: int = 0
    held: int = 0
    delays: list[int] | None = None


@dataclass(frozen=True)
class Score:
    """`rules`: by name, of those that said anything; `false`: the alerts that were due to nothing."""

    rules: dict[str, Tally]
    heard: list[Heard]
    false: list[Fired]
    silences: list[Heard]


class _Scorer:
    def __init__(self, planted: Planted) -> None:
        self._planted, self._days = planted, planted.days
        self._falls: dict[tuple[str, str | None], Floats] = {}

    def members(self, entity: str) -> set[int]:
        frame = self._days.frame
        if entity in frame.groups:
            return set(frame.groups[entity].tolist())
        return {frame.codes.index(entity)} if entity in frame.codes else set()

    def fall(self, entity: str, node: str | None) -> Floats:
        """By day; a node that is no indicator counts as the whole."""
        node = node if node in self._days.indicators else None
        key = entity, node
        if key not in self._falls:
            members = sorted(self.members(entity))
            chosen = None if node is None else [self._days.indicators.index(node)]
            nothing = np.zeros(self._planted.n)
            self._falls[key] = self._planted.true_fall(members, chosen) if members else nothing
        return self._falls[key]

    def is_right(self, fired: Fired) -> bool:
        alert = fired.alert
        if alert.type == SILENCE:
            return any(self.is_about_silence(plant, fired) for plant in self._planted.plants if plant.kind in SILENT)
        before = self.fall(alert.entity, alert.node)[max(0, fired.day - LOOK_BACK) : fired.day + 1]
        return bool(len(before)) and float(before.max()) >= NOTED

    def is_about_silence(self, plant: Plant, fired: Fired) -> bool:
        alert = fired.alert
        if not plant.first <= fired.day <= plant.last + 1:
            return False
        if alert.entity.startswith("source:") or plant.kind == "source":
            source = alert.entity.startswith("source:") and alert.entity == plant.entity
            what = alert.node is None or alert.node in {self._days.indicators[i] for i in plant.indicators}
            return source or (what and bool(self.members(alert.entity) & set(plant.cities)))
        return bool(self.members(alert.entity) & set(plant.cities))

    def heard(self, plant: Plant, fired: Sequence[Fired]) -> Heard:
        silent = plant.kind in SILENT
        node = self._days.indicators[plant.indicators[0]] if len(plant.indicators) == 1 else None
        own = self.fall(plant.entity, node) if not silent else np.zeros(self._planted.n)
        during = own[plant.first : plant.last + 1]
        first = next((one for one in fired if self._hears(plant, one, node)), None)
        # a fall at once is large from its first day; the mean of seven days shows it later
        large = plant.first
        if plant.kind == "slide":
            large = plant.first + int(np.argmax(during >= LARGE)) if (during >= LARGE).any() else plant.last
        fall = float(during.max()) if not silent else 1.0
        return Heard(plant, fall, fall >= LARGE, first, large)

    def _hears(self, plant: Plant, fired: Fired, node: str | None) -> bool:
        if fired.held:
            return False
        if plant.kind in SILENT:
            return fired.alert.type == SILENCE and self.is_about_silence(plant, fired)
        if fired.alert.type == SILENCE or not plant.first <= fired.day <= plant.last + HEARD:
            return False
        about = fired.alert.node
        if node is not None and about in self._days.indicators and about != node:
            return False
        if not self.members(fired.alert.entity) & set(plant.cities):
            return False
        since = self.fall(fired.alert.entity, about)[plant.first : fired.day + 1]
        return bool(len(since)) and float(since.max()) >= NOTED


def score(planted: Planted, fired: Sequence[Fired]) -> Score:
    """Judge the alerts of one play."""
    scorer, rules = _Scorer(planted), defaultdict[str, Tally](Tally)
    false = []
    for one in fired:
        tally = rules[one.alert.rule]
        if one.held:
            tally.held += 1
        elif scorer.is_right(one):
            tally.right += 1
        else:
            tally.false += 1
            false.append(one)
    heard = [scorer.heard(plant, fired) for plant in planted.plants if plant.kind in FALLS]
    silences = [scorer.heard(plant, fired) for plant in planted.plants if plant.kind in SILENT]
    for plant in (each.plant for each in (*heard, *silences)):
        for rule, days in _first_by_rule(scorer, plant, fired):
            tally = rules[rule]
            tally.delays = [*(tally.delays or ()), days]
    return Score(dict(rules), heard, false, silences)


def _first_by_rule(scorer: _Scorer, plant: Plant, fired: Sequence[Fired]) -> Iterator[tuple[str, int]]:
    """Days until each rule that heard of the plant did."""
    node = scorer._days.indicators[plant.indicators[0]] if len(plant.indicators) == 1 else None
    said = set()
    for one in fired:
        if one.alert.rule not in said and scorer._hears(plant, one, node):
            said.add(one.alert.rule)
            yield one.alert.rule, one.day + 1 - plant.first
