"""`tidewatch retract` on real servers: shown, sent once, and what is published is as before the source came."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from stream.errors import OvertakenError
from stream.tail import high_watermarks
from stream.topics import EVENTS
from tests.waiting import eventually
from tests.workers.desk import PARTITIONS, STILL_S, event
from tests.workers.small import SYSTEM, Small
from workers.retraction.send import Asked, begin, carry_out, commit, read_and_plan
from workers.verify import VerifyError, verify

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Small]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIDEWATCH_ROBUSTNESS", "off")
        with Small(tmp_path_factory.mktemp("retract")) as running:
            yield running


def wrong(seq: int, day: str, value: float, **changes: Any) -> bytes:
    """Of a source that should have sent nothing."""
    return event(**{"source": "wrong", "seq": seq, "value": value, "at": f"{day}T07:00:00+08:00", **changes})


def ends(small: Small) -> dict[int, int]:
    found = high_watermarks(small.servers.kafka, [(EVENTS, p) for p in range(PARTITIONS)])
    return {p: end for (_, p), end in found.items()}


def settled(small: Small, before: dict[int, int]) -> None:
    """Where a transaction has written, its marker stands last: nobody reads it."""
    for p, end in ends(small).items():
        if end > before[p]:
            small.sent[p] = end - 1
    small.settled()


def published(small: Small) -> Any:
    """The values with their growths, reasons and coverage, and the tables, but for when they were written.

    Tables follow within a second: `verify` waits for them.
    """
    report = verify(small.servers.kafka, small.servers.redis, SYSTEM)
    assert report.ok, report.differences[:5]
    return small.updates() | {f"table {key}": table for key, table in small.tables().items()}


def held(small: Small) -> dict[str, dict[str, str]]:
    """All cells and day cells, by key."""
    keys = [key for kind in ("cells", "days") for key in small.redis.keys(f"{{tw:*}}:{kind}:*")]
    return {key: small.redis.hgetall(key) for key in keys}


def test_shown_sent_and_as_before(small: Small):
    right, cells = published(small), held(small)
    good = [wrong(1, "2021-02-01", 1000.25), wrong(2, "2021-05-01", 17), wrong(3, "2021-08-01", 5, city="440100")]
    restated, march = wrong(4, "2021-05-01", -3.5, period="2021Q1"), wrong(5, "2021-03-03", 40)
    small.send([*good, good[0], wrong(6, "2021-02-01", 7, city="?")], partition=0)
    small.send([restated, march, restated], partition=1)
    # A city that nobody else writes, in a year that nobody else knows either.
    lonely = {"city": "120000", "indicator": "dti.procurement"}
    small.send([wrong(7, "2021-02-01", 3, **lonely), wrong(8, "2020-11-01", 4, **lonely)], partition=1)
    small.settled()
    spoilt = published(small)
    assert f"{SYSTEM}/120000/2021Q1" in spoilt.keys() - right.keys()
    assert {key for key in spoilt if "/2020" in key} > {key for key in right if "/2020" in key} == set()
    before, counts = ends(small), small.counts()

    shown = small.object("retract", "--source", "wrong", "--dry-run", "--effect", SYSTEM)
    would = {f"{SYSTEM}/{each['entity']}/{each['period']}": each for each in shown["effect"]["values"]}

    def value(world: Any, key: str) -> float | None:
        return world[key]["value"] if key in world else None

    keys = {key for key in right | spoilt if not key.startswith("table")}
    assert would.keys() == {key for key in keys if value(right, key) != value(spoilt, key)}
    for key, each in would.items():
        assert (each["now"], each["after"]) == (value(spoilt, key), value(right, key))
    assert shown["effect"]["ranks"]
    assert (shown["events"], shown["sent"], shown["missing"]) == (7, 0, 4)
    assert shown["compensating"] > 7
    assert shown["periods"] == ["2020-11", "2021-02", "2021-03", "2021-05", "2021-08", "2021Q1"]
    february = next(row for row in shown["rows"] if (row["city"], row["period"]) == ("330100", "2021-02"))
    assert float(february["now"]) - float(february["after"]) == 1000.25
    refused = small.run("retract", "--source", "wrong", "--json")
    assert refused.returncode == 1
    assert "--yes" in refused.stderr
    assert ends(small) == before, "nothing is sent"

    part = small.object(
        "retract", "--source", "wrong", "--from", "2021-02-01", "--to", "2021-02-01T07:00:00.000001+08:00", "--yes"
    )
    assert part["events"] == 2
    settled(small, before)
    people = small.run("retract", "--source", "wrong", "--yes")
    assert people.returncode == 0, people.stderr
    assert "cells will be missing" in people.stdout
    settled(small, before)
    assert held(small) == cells, "to the field"
    assert published(small) == right
    assert (small.counts() - counts).keys() == {"accepted"}

    before = ends(small)
    again = small.object("retract", "--source", "wrong", "--yes")
    assert (again["rows"], again["sent"], again["known"]) == ([], 0, True)
    assert ends(small) == before
    turn = begin(small.settings)
    assert not read_and_plan(small.settings, Asked("wrnog", None, None, None), str).known
    carry_out(turn, read_and_plan(small.settings, Asked("wrong/retract", None, None, None), str))
    settled(small, before)
    assert published(small) == spoilt


def test_a_retraction_that_died_half_way_is_not_there(small: Small):
    """What it had written is no event, and the next one does all of it."""
    right, asked = published(small), Asked("late", None, None, None)
    small.send([wrong(1, "2021-02-01", 3, source="late"), wrong(2, "2021-05-01", 4, source="late")], partition=1)
    small.settled()
    before = ends(small)
    died = begin(small.settings)
    [message] = read_and_plan(small.settings, asked, str).plan.messages
    died._producer.begin_transaction()
    died._produce(EVENTS, message.value, message.key, message.partition, 10.0)
    assert died._producer.flush(10) == 0
    assert ends(small)[1] > before[1]

    turn = begin(small.settings)
    found = read_and_plan(small.settings, asked, str)
    assert found.plan.messages == [message]
    commit(turn, found.plan)
    settled(small, before)
    assert published(small) == right
    assert not read_and_plan(small.settings, asked, str).plan.rows
    report = verify(small.servers.kafka, small.servers.redis, SYSTEM)
    assert report.ok, report.differences[:5]


def test_what_others_send_while_it_reads(small: Small):
    """Sums of 0 and drops of theirs in the very cells, between the reading and the transaction."""
    place = {"city": "130100", "indicator": "dti.collaboration"}
    small.send([wrong(1, "2021-02-01", 3, source="gap", **place), wrong(2, "2021-05-01", 3, source="gap", **place)])
    small.send([wrong(1, "2021-05-02", 0, source="other", **place)])
    small.settled()
    before, turn = ends(small), begin(small.settings)
    found = read_and_plan(small.settings, Asked("gap", None, None, None), str)
    theirs = [(2, "2021-02-01", 5), (3, "2021-02-01", -5), (4, "2021-08-01", 5), (5, "2021-08-01", -5)]
    small.send([wrong(*each, source="other", **place) for each in theirs])
    small.send([wrong(6, "2021-05-02", -3, source="other", **place), wrong(7, "2021-08-01", 0, op="drop", **place)])
    small.send([wrong(8, "2021-05-02", 3, source="other", **place)])
    sent, last = carry_out(turn, found)
    assert sent > found.plan.compensating, "some of theirs were taken along"
    assert not last.rows
    assert not read_and_plan(small.settings, Asked("gap", None, None, None), str).plan.rows
    settled(small, before)
    assert verify(small.servers.kafka, small.servers.redis, SYSTEM).ok
    cells = {key.partition(":cells:")[2]: row for key, row in held(small).items() if key.endswith(":130100")}
    nothing = {"dti.collaboration/all": "0"}
    assert {key: row for key, row in cells.items() if key} == {"2021-02:130100": nothing, "2021-05:130100": nothing}
    updates = small.updates()
    assert updates[f"{SYSTEM}/130100/2021Q1"]["coverage"] == updates[f"{SYSTEM}/130100/2021Q2"]["coverage"] == 0.05
    assert f"{SYSTEM}/130100/2021Q3" not in updates


def test_not_before_the_workers_know_drops(small: Small):
    """While a partition's state is of the version before, its owner may be a worker that would reject them."""
    small.send([wrong(1, "2021-02-01", 3, source="early", city="130200")], partition=1)
    small.settled()
    before, end = ends(small), small.crew.end("ingest")
    assert end == 0
    small.redis.hset("{tw:1}:meta", "schema", "1")
    refused = small.run("retract", "--source", "early", "--yes")
    assert refused.returncode == 1
    assert "partition 1: its state in Redis is of schema version 1" in refused.stderr
    assert "Upgrade the ingest workers first" in refused.stderr
    assert ends(small) == before
    small.crew.start("ingest-again", "ingest")
    eventually(lambda: small.redis.hget("{tw:1}:meta", "schema") == "2", STILL_S)
    assert small.run("retract", "--source", "early", "--yes").returncode == 0
    settled(small, before)
    assert not [key for key in held(small) if key.endswith(":130200")]


def test_of_two_at_the_same_time_the_later_one_decides(small: Small):
    small.send([wrong(10, "2021-02-01", 3, source="late")], partition=1)
    small.settled()
    asked = Asked("late", None, None, None)
    first, before = begin(small.settings), ends(small)
    plan = read_and_plan(small.settings, asked, str).plan
    begin(small.settings)
    with pytest.raises(OvertakenError, match="nothing of ours is written"):
        commit(first, plan)
    assert all(end - before[p] <= 2 for p, end in ends(small).items())
    assert read_and_plan(small.settings, asked, str).plan.messages == plan.messages


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--from", "yesterday"], "--from yesterday: a date such as"),
        (["--from", "2021-03-01", "--to", "2021-02-01"], "an empty span"),
        (["--indicator", "dti.nothing"], "--indicator dti.nothing: no catalogue in the log knows it"),
    ],
)
def test_what_is_asked_wrongly(small: Small, options: list[str], said: str):
    asked = dict(zip(options[::2], options[1::2], strict=True))
    with pytest.raises(ValueError, match=said):
        read_and_plan(
            small.settings, Asked("wrong", asked.get("--indicator"), asked.get("--from"), asked.get("--to")), str
        )


def test_last_a_log_that_does_not_reach_back(small: Small):
    """Nothing is decided on a part of it, and nothing is reported falsely; what is published goes on."""
    gone = small.sent[0] - 1
    admin = AdminClient({"bootstrap.servers": small.servers.kafka})
    for future in admin.delete_records([TopicPartition(EVENTS, 0, gone)]).values():
        future.result()
    for look in (
        lambda: verify(small.servers.kafka, small.servers.redis, SYSTEM),
        lambda: read_and_plan(small.settings, Asked("wrong", None, None, None), str),
    ):
        with pytest.raises(VerifyError, match=f"{EVENTS}/0 begins at offset {gone}: what came before is lost"):
            look()
    before = small.revisions()[-1].revision
    small.flow("330100", "2021-08-02", 1, 1, 1, 1)
    assert small.settled() > before
