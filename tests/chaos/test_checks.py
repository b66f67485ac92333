"""The trial's checks find nothing where all is well, whoever was killed; and each planted fault is named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import msgspec
import pytest
from confluent_kafka import Message, Producer

from index.catalogue import Catalogue
from stream.control import read_system
from stream.letters import Letter
from stream.messages import ControlVersion, RankingDelta, decode_message, encode
from stream.published import read_tables
from stream.tail import high_watermarks, read_to
from stream.topics import ALERTS, DELTAS, DLQ, EVENTS, partition_of
from tests.chaos.checks import ALERT_RULES, Checker, Found
from tests.chaos.letters_along import Letters
from tests.chaos.record import Round
from tests.waiting import eventually
from tests.workers.faults import PARTITIONS, STILL_S, SYSTEM, Trial
from workers.alert_back import watch_anew
from workers.alert_system import AlertSystem
from workers.local import Servers


class Run:
    """A short trial with an alert worker, and its checker."""

    def __init__(self, trial: Trial, checker: Checker) -> None:
        self.trial, self.checker = trial, checker
        self.producer = Producer({"bootstrap.servers": trial.servers.kafka})

    def check(self, more: int = 0) -> Found:
        """`more`: events that are said to have been sent besides."""
        sent = sum(feed.finish().events for feed in self.trial.feeds)
        expected: Counter[str] = sum((feed.expected for feed in self.trial.feeds), Counter())
        return self.checker.check(sent=sent + more, expected=expected, alive=self.trial.crew.check, still_s=STILL_S)

    def in_force(self) -> tuple[ControlVersion, Catalogue]:
        """Definition and catalogue of the last revision."""
        version = read_system(self.trial.servers.kafka, SYSTEM).in_force()
        assert version is not None
        return version, self.trial.catalogue

    def log(self) -> Iterator[Message]:
        """Every record of the log."""
        where = [(EVENTS, p) for p in range(PARTITIONS)]
        return read_to(self.trial.servers.kafka, high_watermarks(self.trial.servers.kafka, where))

    def send(self, topic: str, partition: int, key: str, value: bytes, headers: dict[str, str] | None = None) -> None:
        self.producer.produce(topic, value, key, partition, headers=dict(headers or {}))
        self.producer.flush(STILL_S)


def accepted(message: Message, letters: Letters) -> bool:
    """Whether the record is an event, and good."""
    return (
        message.key() != b"catalogue" and f"{EVENTS}/{message.partition()}/{message.offset()}/0" not in letters.by_key
    )


@pytest.fixture(scope="module")
def run(servers: Servers, tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Run]:
    seed = f"{pytestconfig.option.hypothesis_seed}/checks"
    with (
        Trial(servers, tmp_path_factory.mktemp("run"), seed) as trial,
        Checker(servers.kafka, servers.redis, SYSTEM, partitions=PARTITIONS) as checker,
    ):
        trial.workers(ingest=1, index=1)
        trial.start("alert", TIDEWATCH_ALERTS=str(ALERT_RULES))
        trial.feed(days_per_second=40.0)
        for what in ("alert", "index", "alert"):
            trial.flows(400)
            trial.crew.kill(trial.running(what)[0])
            trial.start(what, **({"TIDEWATCH_ALERTS": str(ALERT_RULES)} if what == "alert" else {}))
        trial.flows(400)
        yield Run(trial, checker)
        trial._settled = True


def test_nothing_is_found_after_kills(run: Run) -> None:
    found = run.check()
    assert found.ok, "\n".join(found.failures)
    print(found.fields())
    assert found.rested_at > 0
    assert found.alerts > 50, "the rules fire too seldom to prove anything"
    assert found.letters > 20
    assert min(found.cells, found.values, found.growths, found.ranks) > 0
    assert found.fields().keys() <= {field.name for field in msgspec.structs.fields(Round)}


def test_a_rule_that_is_new_begins_with_the_ranks_of_the_position(run: Run) -> None:
    """Whole tables lag: what is behind them are the deltas before the position."""
    rules, kafka, partition = run.checker._rules, run.trial.servers.kafka, partition_of(SYSTEM)
    assert rules._system is not None
    followed = rules._system.state
    made = AlertSystem(rules._settings, rules._rules, *run.in_force())
    end = high_watermarks(kafka, [(DELTAS, partition)])[DELTAS, partition]
    watch_anew(rules._settings, partition, followed.watched, {SYSTEM: made}, end)
    assert followed.watched == {"cities", "provinces"}
    assert followed.ranks
    assert {key: made.state.ranks[key] for key in followed.ranks} == followed.ranks
    late = max(followed.rank_revision, key=followed.rank_revision.__getitem__)
    stale = AlertSystem(rules._settings, rules._rules, *run.in_force())
    table = read_tables(kafka, SYSTEM)["/".join([SYSTEM, *late])]
    first = msgspec.structs.replace(table, revision=0, rows=msgspec.structs.replace(table.rows, entity=[], rank=[]))
    stale.watch_anew(followed.watched, [first])
    for message in read_to(kafka, {(DELTAS, partition): end}):
        stale.catch_up(followed.watched, decode_message(RankingDelta, message.value(), "delta"))
    assert stale.state.ranks[late] == followed.ranks[late], "from an old table, by its deltas alone"


def test_an_event_too_many(run: Run) -> None:
    found = run.check(more=1)
    assert any("events were sent" in each for each in found.failures), found.failures


def test_a_transition_told_twice_and_a_letter_of_a_good_event(run: Run) -> None:
    """Planted on the topics, as by a worker that repeats itself, and one that rejects what it took."""
    heard, letters = run.checker._heard, run.checker._letters
    assert heard is not None
    key = next(key for key, told in heard.told.items() if told[-1].state == "firing")
    run.send(ALERTS, partition_of(SYSTEM), f"{'/'.join(key)}/{SYSTEM}", encode(heard.told[key][-1]))
    good = next(message for message in run.log() if accepted(message, letters))
    letter = Letter(good.partition(), good.offset(), 0, "bad-op", "", good.timestamp()[1], good.value())
    names = "reason", "partition", "offset", "index", "timestamp"
    values = letter.reason, letter.partition, letter.offset, letter.element, letter.timestamp_ms
    run.send(DLQ, letter.partition, letter.key, letter.raw, dict(zip(names, map(str, values), strict=True)))
    eventually(lambda: len(heard.told[key]) > 1 and heard.told[key][-1] == heard.told[key][-2])
    text = "\n".join(run.check().failures)
    assert (
        f"alert {'/'.join(key)}: {len(heard.told[key]) - 1} transitions by the rules, {len(heard.told[key])} told"
        in text
    )
    assert f"letter {letter.key}: no such record, or one that had no letter at the last look" in text
    assert "dead letters" in text
