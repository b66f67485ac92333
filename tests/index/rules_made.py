"""A small world for the rules: cities in provinces in regions, two indicators, and days of flows as revisions."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from index.catalogue import Catalogue, Entity, Indicator, Limits, Permission
from index.definition import Definition
from index.rules import Published, World

N_PROVINCES, PER_PROVINCE = 4, 4
CITIES = [f"{p}{c}" for p in range(N_PROVINCES) for c in range(PER_PROVINCE)]
PROVINCES = [f"province:{p}" for p in range(N_PROVINCES)]
NATION = "nation:all"
INDICATORS = ("made.pay", "made.cloud")
DEFINITION = """
system = "made"
version = 1
title = "made"
base = "2021Q1"
grains = ["quarter"]
groups = ["province", "nation"]
nation = "nation:all"
grace_s = 0
[tree]
children = ["made.pay", "made.cloud"]
weights = [0.5, 0.5]
"""


def catalogue() -> Catalogue:
    entities = [Entity(c, "city", c) for c in CITIES]
    entities += [Entity(p, "province", p) for p in PROVINCES] + [Entity(NATION, "nation", "all")]
    members = {p: tuple(c for c in CITIES if c[0] == p[-1]) for p in PROVINCES} | {NATION: tuple(CITIES)}
    return Catalogue(
        name="made",
        version=1,
        timezone="UTC",
        base_kind="city",
        years=(2020, 2030),
        limits=Limits(),
        entities=tuple(entities),
        members=members,
        indicators=tuple(Indicator(i, i, i, "flow", "CNY", 2) for i in INDICATORS),
        sources=(Permission("pay-*", "made.pay"), Permission("cloud-*", "made.cloud")),
    ).checked("made")


def world() -> World:
    made = catalogue()
    return World.of(made, Definition.parse(DEFINITION, made, "made"))


class Feed:
    """Flows by day -> one revision a day. `scale`: (city or province, indicator or None, first day, last, factor)."""

    def __init__(
        self, days: int, *, noise: float = 0.02, seed: int = 1, weekend: float = 0.6, first: str = "2022-01-03",
        changes: tuple[tuple[str, str | None, int, int, float], ...] = (),
    ) -> None:  # fmt: skip
        self.world = world()
        rng = np.random.default_rng(seed)
        self.first = int((np.datetime64(first) - np.datetime64("1970-01-01")).astype(int))
        flows = 10.0 * np.exp(rng.normal(0.0, noise, (days, len(CITIES), len(INDICATORS))))
        sizes = 1.0 + np.arange(len(CITIES)) % PER_PROVINCE
        self.flows = flows * sizes[None, :, None]
        for day in range(days):
            if (self.first + day + 3) % 7 >= 5:  # 1970-01-01 was a Thursday
                self.flows[day] *= weekend
        for entity, indicator, begin, end, factor in changes:
            cities = [CITIES.index(self.world.codes[row]) for row in self.world.members_of(entity)]
            nodes = range(len(INDICATORS)) if indicator is None else [INDICATORS.index(indicator)]
            for node in nodes:
                self.flows[begin : end + 1, cities, node] *= factor

    def revisions(self) -> list[Published]:
        return [self.revision(day) for day in range(len(self.flows))]

    def revision(self, day: int, *, number: int | None = None, sources: dict[str, int] | None = None) -> Published:
        """All that is so at the end of a day."""
        epoch = self.first + day
        period = self.world.period_of_day(epoch)
        begin = max(0, period.first_day() - self.first)
        sums = self.flows[begin : day + 1].sum(axis=0)
        updates = [self.update(code, period.name, sums[self._cities(code)].sum(axis=0)) for code in self.world.codes]
        end_us = self.world.calendar.start_of_day_us(epoch + 1)
        return Published(day + 1 if number is None else number, end_us, updates, sources=sources or {})

    def _cities(self, code: str) -> list[int]:
        return [CITIES.index(self.world.codes[row]) for row in self.world.members_of(code)]

    @staticmethod
    def update(entity: str, period: str, nodes: Any, status: str = "provisional", **more: Any) -> Any:
        values = [float(v) for v in nodes]
        fields = {
            "entity": entity, "period": period, "status": status, "value": 0.5 * values[0] + 0.5 * values[1],
            "coverage": 1.0, "nodes": dict(zip(INDICATORS, values, strict=True)),
            "growth": {"pop": None, "yoy": None, "mean_yoy": None, "to_date": None}, "days": None,
        }  # fmt: skip
        return SimpleNamespace(**{**fields, **more})
