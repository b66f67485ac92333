"""`tidewatch explain` on real servers: the published move, split, at the revision that it names."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest

from tests.workers.small import CITIES, INDICATORS, SYSTEM, Small
from workers.explain import show_explanation

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Small]:
    with Small(tmp_path_factory.mktemp("explain")) as running:
        yield running


def test_a_province_by_indicator_and_by_city(small: Small):
    found = small.object("explain", SYSTEM, "province:330000", "--period", "2021Q2", "--top", "0")
    updates, last = small.updates(), small.revisions()[-1]
    assert (found["revision"], found["at_revision"], found["offsets"]) == (last.revision, True, last.offsets)
    before, after = (updates[f"{SYSTEM}/province:330000/{p}"]["value"] for p in ("2021Q1", "2021Q2"))
    assert (found["before"], found["after"], found["move"]) == (before, after, after - before)
    assert found["growth"] == updates[f"{SYSTEM}/province:330000/2021Q2"]["growth"]["pop"]
    assert found["reason"] is None
    for parts in (found["indicators"], found["cities"], found["cells"]):
        assert math.fsum(part["move"] for part in parts) == found["move"]
    assert {part["name"] for part in found["indicators"]} <= set(INDICATORS)
    assert {part["name"] for part in found["cities"]} <= set(CITIES[:3])
    for city in found["cities"][:1]:
        alone = small.object("explain", SYSTEM, city["name"], "-p", "2021Q2", "-n", "0")
        assert city["move"] == pytest.approx(alone["move"], rel=1e-11)
        mine = {cell["name"]: cell["move"] for cell in found["cells"] if cell["city"] == city["name"]}
        assert mine == pytest.approx({part["name"]: part["move"] for part in alone["indicators"]}, rel=1e-11)


def test_shortened_it_still_sums(small: Small):
    found = small.object("explain", SYSTEM, "Zhejiang", "--period", "2021Q2", "--top", "1")
    assert found["entity"] == "province:330000"
    assert len(found["indicators"]) <= 3
    assert math.fsum(part["move"] for part in found["indicators"]) == found["move"]
    assert "others" in {part["cause"] for part in found["indicators"]}


def test_an_open_period_says_why_there_is_no_growth_to_date(small: Small):
    found = small.object("explain", SYSTEM, "330100", "--period", "2021Q3")
    published = small.updates()[f"{SYSTEM}/330100/2021Q3"]
    assert found["reason"] == published["why"]["to_date"]
    assert found["indicators"] == []


def test_for_people(small: Small):
    done = small.run("explain", SYSTEM, "province:330000", "--period", "2021Q2")
    assert done.returncode == 0, done.stderr
    for word in ("2021Q1 to 2021Q2", "as of revision", "by indicator", "by city", "330100", INDICATORS[0], "%"):
        assert word in done.stdout


WRONG = [
    (("nobody", "330100", "2021Q2"), "no definition of nobody is known"),
    ((SYSTEM, "Atlantis", "2021Q2"), "Atlantis is neither code nor name"),
    ((SYSTEM, "330100", "2021-05"), "no period of small"),
    ((SYSTEM, "330100", "soon"), "no period"),
]


@pytest.mark.parametrize(("words", "said"), WRONG, ids=[said for _, said in WRONG])
def test_what_cannot_be_explained_is_said(small: Small, words: tuple[str, str, str], said: str):
    with pytest.raises(ValueError, match=said):
        show_explanation(small.settings, *words, "pop", 20, as_json=True)


def test_a_refusal_is_one_line(small: Small):
    done = small.run("explain", SYSTEM, "330100", "-p", "2021Q2", "--against", "x")
    assert done.returncode == 1
    assert "write pop" in done.stderr
    assert "Traceback" not in done.stderr
