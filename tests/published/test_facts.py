"""published_facts.csv: 365 stated facts. Each follows from other printed figures, or contradicts them (errata), or
stands in `fact_reasons` with the reason why nothing printed leads to it.

A printed figure stands for all numbers that round to it. A fact is reproduced when what follows from the others, with
all that their rounding allows, meets what it stands for; exact counts stand for themselves.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from index.periods import Period
from tests.published.dei import DIMENSIONS, LOST_SCORE, SCORES, WEIGHTS, city_of
from tests.published.fact_reasons import spelt_out
from tests.published.play import rows, world
from tests.published.spans import FACTS, Span, exactly, fact, follows, holds, span

# --- what is printed elsewhere ---


def agglomeration_cities() -> float:
    return sum(int(row["city_count"]) for row in rows("dti_2023_agglomeration_rank"))


def quarters(first: str, last: str) -> Span:
    count, period = 1, Period.parse(first)
    while period.name != last:
        count, period = count + 1, period.successor
    return exactly(count)


def over_120() -> Span:
    return exactly(sum(float(row["yoy"]) > 1.2 for row in rows("dti_2022_clusters", agglomeration="长江中游")))


def central_mean() -> Span:
    central = ("长江中游", "关中平原", "中原")
    found = [span(row["yoy"]) for row in rows("dti_2022_clusters") if row["agglomeration"] in central]
    return Span(sum(s.low for s in found) / len(found), sum(s.high for s in found) / len(found))


def scores(tier: str | None = None) -> list[Span]:
    """The printed scores with the lost one, of a tier or of all. Hidden digits move no city into another tier."""
    low, high = 0.0, 101.0
    for row in rows("dei_2023_tiers"):
        if row["tier"] == tier:
            low, high = float(row["min_score"] or 0), float(row["max_score"] or 101)
    return [span(text) for text in (*(r["score"] for r in SCORES), str(LOST_SCORE)) if low <= float(text) < high]


def mean_score(tier: str | None = None) -> Span:
    found = scores(tier)
    return Span(sum(s.low for s in found) / len(found), sum(s.high for s in found) / len(found))


def weighted_dimensions() -> Span:
    means = [fact(f"dei-2023-0{number}") for number in range(27, 32)]
    weights = {row["level1"]: float(row["weight1"]) for row in WEIGHTS}
    pairs = list(zip(means, (weights[name] for name in DIMENSIONS), strict=True))
    return Span(sum(m.low * w for m, w in pairs), sum(m.high * w for m, w in pairs))


def dimension(number: int) -> Span:
    """A dimension's mean from the mean of all scores and the other four means."""
    weights = {row["level1"]: float(row["weight1"]) for row in WEIGHTS}
    weight = dict(zip(range(27, 32), (weights[name] for name in DIMENSIONS), strict=True))
    others = [n for n in weight if n != number]

    def solve(mean: float, *means: float) -> float:
        return (mean - sum(weight[n] * m for n, m in zip(others, means, strict=True))) / weight[number]

    return follows(solve, mean_score(), *(f"dei-2023-0{n}" for n in others))


def halfyear(name: str, column: str) -> Span:
    return span(next(row[column] for row in rows("dci_2020_halfyear_indicators") if row["indicator"] == name))


def halfyear_growth(name: str) -> Span:
    return follows(lambda before, now: now / before - 1, halfyear(name, "h1_2019"), halfyear(name, "h1_2020"))


def top_30(province: str, first: int) -> Span:
    return exactly(sum(int(row["rank"]) <= first for row in rows("dci_2020_gov_city_top30", province=province)))


def provinces_assessed() -> Span:
    members = {c: g for g, cities in world().members.items() if g.startswith("province:") for c in cities}
    return exactly(len({members[city_of(row)] for row in SCORES}))


CLOUD, TRAFFIC, USERS = "用云量", "移动数据流量", "移动应用活跃用户数"
TIME, TRADE = "移动应用使用时长", "数字交易活跃度"

REPRODUCED: dict[str, Callable[[], Span]] = {
    "dti-2023-001": lambda: fact("dti-2022-001"),
    "dti-2023-003": lambda: quarters("2021Q1", "2023Q1"),
    "dti-2023-031": lambda: follows(lambda all_: agglomeration_cities() / all_, "dti-2022-001"),
    "dti-2022-001": lambda: fact("dci-2020-002"),
    "dti-2022-003": lambda: fact("dti-2022-001"),
    "dti-2022-004": lambda: quarters("2020Q1", "2022Q1"),
    "dti-2022-022": lambda: follows(lambda all_: agglomeration_cities() / all_, "dti-2022-001"),
    "dti-2022-051": over_120,
    "dei-2023-001": lambda: exactly(len({row["level1"] for row in WEIGHTS})),
    "dei-2023-002": lambda: exactly(len({row["level2"] for row in WEIGHTS})),
    "dei-2023-003": lambda: exactly(len({(row["level2"], row["level3"]) for row in WEIGHTS})),
    "dei-2023-005": lambda: exactly(sum(int(row["city_count"]) for row in rows("dei_2023_tiers"))),
    "dei-2023-006": provinces_assessed,
    "dei-2023-010": weighted_dimensions,
    "dei-2023-012": lambda: span(SCORES[0]["score"]),
    "dei-2023-013": lambda: span(SCORES[1]["score"]),
    "dei-2023-014": lambda: span(SCORES[2]["score"]),
    "dei-2023-015": lambda: mean_score("一线城市"),
    "dei-2023-016": lambda: exactly(len(scores("一线城市"))),
    "dei-2023-017": lambda: exactly(len(scores("新一线城市"))),
    "dei-2023-018": lambda: mean_score("新一线城市"),
    "dei-2023-019": lambda: exactly(len(scores("二线城市"))),
    "dei-2023-020": lambda: mean_score("二线城市"),
    "dei-2023-021": lambda: exactly(len(scores("三线城市"))),
    "dei-2023-022": lambda: mean_score("三线城市"),
    "dei-2023-023": lambda: exactly(len(scores("四线城市"))),
    "dei-2023-024": lambda: mean_score("四线城市"),
    "dei-2023-027": lambda: dimension(27),
    "dei-2023-028": lambda: dimension(28),
    "dei-2023-029": lambda: dimension(29),
    "dei-2023-030": lambda: dimension(30),
    "dei-2023-031": lambda: dimension(31),
    "dei-2023-032": lambda: exactly(len(rows("dei_2023_cores_circles", kind="core agglomeration"))),
    "dei-2023-033": lambda: exactly(len(rows("dei_2023_cores_circles", kind="metropolitan circle"))),
    "dci-2020-001": lambda: follows(lambda total, mean: total / mean, "dci-2020-007", "dci-2020-010"),
    "dci-2020-002": lambda: fact("dti-2022-001"),
    "dci-2020-007": lambda: follows(lambda mean, n: mean * n, "dci-2020-010", "dci-2020-001"),
    "dci-2020-008": lambda: follows(lambda now, g: now - now / (1 + g), "dci-2020-007", "dci-2020-009"),
    "dci-2020-009": lambda: follows(lambda now, rise: rise / (now - rise), "dci-2020-007", "dci-2020-008"),
    "dci-2020-010": lambda: follows(lambda total, n: total / n, "dci-2020-007", "dci-2020-001"),
    "dci-2020-014": lambda: follows(lambda all_: agglomeration_cities() / all_, "dci-2020-002"),
    "dci-2020-043": lambda: span(rows("dci_2020_province_growth_top10", province="上海市")[0]["growth"]),
    "dci-2020-071": lambda: follows(lambda rise, g: rise * (1 + g) / g, "dci-2020-072", "dci-2020-073"),
    "dci-2020-072": lambda: follows(lambda now, g: now - now / (1 + g), "dci-2020-071", "dci-2020-073"),
    "dci-2020-073": lambda: follows(lambda now, rise: rise / (now - rise), "dci-2020-071", "dci-2020-072"),
    "dci-2020-103": lambda: follows(lambda now, g: now / (1 + g), "dci-2020-104", "dci-2020-105"),
    "dci-2020-104": lambda: follows(lambda then, g: then * (1 + g), "dci-2020-103", "dci-2020-105"),
    "dci-2020-105": lambda: follows(lambda then, now: now / then - 1, "dci-2020-103", "dci-2020-104"),
    "dci-2020-109": lambda: span(rows("dci_2020_gov_city_values", city="广州市")[0]["value"]),
    "dci-2020-110": lambda: span(rows("dci_2020_gov_city_values", city="深圳市")[0]["value"]),
    "dci-2020-111": lambda: span(rows("dci_2020_gov_city_values", city="北京市")[0]["value"]),
    "dci-2020-112": lambda: span(rows("dci_2020_gov_city_values", city="上海市")[0]["value"]),
    "dci-2020-116": lambda: follows(lambda ratio, whole: ratio * whole, "dci-2020-117", "dci-2020-073"),
    "dci-2020-117": lambda: follows(lambda part, whole: part / whole, "dci-2020-116", "dci-2020-073"),
    "dci-2020-130": lambda: top_30("广东省", 30),
    "dci-2020-131": lambda: top_30("广东省", 10),
    "dci-2020-132": lambda: top_30("山东省", 30),
    "dci-2020-157": lambda: halfyear(CLOUD, "h1_2019"),
    "dci-2020-158": lambda: halfyear(CLOUD, "h1_2020"),
    "dci-2020-160": lambda: halfyear(TRAFFIC, "h1_2019"),
    "dci-2020-161": lambda: halfyear(TRAFFIC, "h1_2020"),
    "dci-2020-162": lambda: halfyear_growth(TRAFFIC),
    "dci-2020-163": lambda: halfyear(USERS, "h1_2019"),
    "dci-2020-164": lambda: halfyear(USERS, "h1_2020"),
    # errata 18 computes 1.58 % from the rounded counts of users; their rounding allows 1.50 to 1.67 %, so 1.55 % too
    "dci-2020-165": lambda: halfyear_growth(USERS),
    "dci-2020-166": lambda: halfyear(TIME, "h1_2019"),
    "dci-2020-167": lambda: halfyear(TIME, "h1_2020"),
    "dci-2020-168": lambda: halfyear_growth(TIME),
    "dci-2020-169": lambda: halfyear(TRADE, "h1_2019"),
    "dci-2020-170": lambda: halfyear(TRADE, "h1_2020"),
    "dci-2020-171": lambda: halfyear_growth(TRADE),
    "dci-2020-183": lambda: halfyear_growth(TIME),
    "cw-2023-006": lambda: follows(lambda part, share: part / share, "cw-2023-013", "cw-2023-014"),
    "cw-2023-008": lambda: follows(lambda now, g: now * (1 + g), "cw-2023-006", "cw-2023-009"),
    "cw-2023-009": lambda: follows(lambda now, then: then / now - 1, "cw-2023-006", "cw-2023-008"),
    "cw-2023-013": lambda: follows(lambda whole, share: whole * share, "cw-2023-006", "cw-2023-014"),
    "cw-2023-014": lambda: follows(lambda whole, part: part / whole, "cw-2023-006", "cw-2023-013"),
}

# what the other printed figures give instead: (span, what it comes to)
CONTRADICTED: dict[str, tuple[Callable[[], Span], str]] = {
    "dti-2022-024": (central_mean, "errata 9: the plain mean of the 69 printed rates is 121.4 %, stated 124 %"),
    "dei-2023-007": (
        lambda: exactly(len({row["agglomeration"] for row in rows("agglomerations", scheme="h3c-2023")})),
        "errata 5: the appendix lists 10 agglomerations, stated 30",
    ),
    "dei-2023-011": (lambda: fact("dei-2023-010"), "errata 2: stated 55.2, and 55.3; scores and means give 55.25"),
    "dci-2020-070": (
        lambda: exactly(sum(int(row["rank_up"]) > 35 for row in rows("dci_2020_industry_city_risers"))),
        "errata 19: seven rose by more than 35 places and three by 35, stated ten by more",
    ),
    "dci-2020-159": (lambda: halfyear_growth(CLOUD), "errata 18: 78.6 %, stated 78 %"),
}


@pytest.mark.parametrize("name", REPRODUCED)
def test_a_fact_follows_from_other_figures(name: str) -> None:
    assert holds(name, REPRODUCED[name]()), (FACTS[name], REPRODUCED[name]())


@pytest.mark.parametrize("name", CONTRADICTED)
def test_a_fact_contradicts_other_figures(name: str) -> None:
    found, why = CONTRADICTED[name]
    assert not holds(name, found()), why


def test_every_fact_is_accounted_for_once() -> None:
    cannot = spelt_out()
    assert len(FACTS) == 365
    assert len(REPRODUCED) + len(CONTRADICTED) + len(cannot) == len(FACTS)
    assert REPRODUCED.keys() | CONTRADICTED.keys() | cannot.keys() == FACTS.keys()


def test_the_five_tier_means_give_the_overall_mean() -> None:
    """Weighted by the printed counts: 55.27."""
    tiers = rows("dei_2023_tiers")
    total = sum(int(row["city_count"]) for row in tiers)
    mean = sum(float(row["mean_score"]) * int(row["city_count"]) for row in tiers) / total
    assert round(mean, 2) == 55.27
