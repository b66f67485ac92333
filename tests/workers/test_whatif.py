"""`tidewatch whatif` on real servers: what other weights would publish, with nothing published."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stream.tail import high_watermarks
from stream.topics import all_topics
from tests.workers.desk import PARTITIONS
from tests.workers.small import SYSTEM, Small
from workers.whatif import show_whatif

pytestmark = pytest.mark.servers

WEIGHTS = ("--weight", "trade=0.85", "--weight", "dti.ecommerce=0.2")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Small]:
    # the intervals of ranks are published whenever their turn comes; here nothing else may write
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIDEWATCH_ROBUSTNESS", "off")
        with Small(tmp_path_factory.mktemp("whatif")) as running:
            yield running


def ends(small: Small) -> dict[tuple[str, int], int]:
    """Where every partition of every topic ends."""
    where = [(topic.name, p) for topic in all_topics(PARTITIONS) for p in range(topic.partitions)]
    return high_watermarks(small.servers.kafka, where)


def test_it_says_what_would_be_published_and_publishes_nothing(small: Small):
    small.settled()
    before, redis = ends(small), small.redis.dbsize()
    found = small.object("whatif", SYSTEM, *WEIGHTS, "--top", "0")
    assert (ends(small), small.redis.dbsize()) == (before, redis)
    assert (found["ranking"], found["period"], found["scope"]) == ("cities", "2021Q3", None)
    assert found["all_weights"]["index"] == pytest.approx({"trade": 0.85, "work": 0.15})
    assert found["at_revision"]
    assert found["revision"] == small.revisions()[-1].revision
    present = small.tables()[f"{SYSTEM}/cities/2021Q3"]["rows"]
    now = sorted((row["rank_now"], row["entity"], row["value_now"]) for row in found["rows"])
    assert now == sorted(zip(present["rank"], present["entity"], present["value"], strict=True))
    assert found["moved"] == sum(row["rank"] != row["rank_now"] for row in found["rows"]) > 0
    assert all(row["change"] == row["rank_now"] - row["rank"] for row in found["rows"])
    scoped = small.object("whatif", SYSTEM, *WEIGHTS, "--ranking", "cities-in-province", "--scope",
                          "province:440000", "--period", "2021Q1", "--top", "2")  # fmt: skip
    assert len(scoped["rows"]) == 2
    small.object("define", "apply", SYSTEM, *WEIGHTS, "--author", "Ada", "--reason", "as asked")
    other = small.tables()[f"{SYSTEM}/cities/2021Q3"]["rows"]
    would = [(row["rank"], row["entity"], row["value"]) for row in found["rows"]]
    assert would == list(zip(other["rank"], other["entity"], other["value"], strict=True))


def test_for_people(small: Small):
    done = small.run("whatif", SYSTEM, "-w", "trade=0.3", "-p", "2021Q2")
    assert done.returncode == 0, done.stderr
    for word in ("small/cities/2021Q2 with trade = 0.3", "change their rank", "as of revision"):
        assert word in done.stdout


WRONG: list[tuple[dict[str, float], tuple[str | None, str | None, str | None], str]] = [
    ({"nowhere": 0.3}, (None, None, None), "those that may have one: dti.collaboration"),
    ({"trade": 1.0}, (None, None, None), "for work below index"),
    ({"trade": 0.3}, ("x", None, None), "it has cities, cities-in-province, provinces-pop"),
    ({"trade": 0.3}, (None, "1999", None), "no table of 1999"),
    ({"trade": 0.3}, ("cities-in-province", None, None), "give --scope"),
]


@pytest.mark.parametrize(("weights", "table", "said"), WRONG, ids=[said for *_, said in WRONG])
def test_what_cannot_be_asked_is_said(
    small: Small, weights: dict[str, float], table: tuple[str | None, str | None, str | None], said: str
):
    with pytest.raises(ValueError, match=said):
        show_whatif(small.settings, SYSTEM, weights, *table, 20, as_json=True)


def test_a_refusal_is_one_line(small: Small):
    done = small.run("whatif", SYSTEM, "--weight", "trade")
    assert done.returncode == 1
    assert "NODE=NUMBER" in done.stderr
    assert "Traceback" not in done.stderr
