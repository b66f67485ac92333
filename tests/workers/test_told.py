"""What a command says of an error: one line with what happened, where, and what to do; never a server's traceback."""

from __future__ import annotations

import pytest
import typer
from confluent_kafka import KafkaError, KafkaException
from redis.exceptions import ConnectionError, OutOfMemoryError, RedisClusterException
from typer.testing import CliRunner

from workers.cli import main
from workers.output import told


@pytest.mark.parametrize(
    ("error", "where"),
    [
        (ConnectionError("Error 111 connecting"), "Redis at redis://***@one:7000/0: ConnectionError: Error 111"),
        (OutOfMemoryError("used memory > 'maxmemory'"), "Redis at redis://***@one:7000/0: OutOfMemoryError: used"),
        (RedisClusterException("no node"), "Redis at redis://***@one:7000/0: RedisClusterException: no node"),
        (KafkaException(KafkaError(KafkaError._TRANSPORT, "gone")), "Kafka at two:9000: gone"),
    ],
)
def test_what_a_server_refuses_is_one_line(
    error: Exception, where: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("TIDEWATCH_REDIS", "redis://me:hidden@one:7000/0")
    monkeypatch.setenv("TIDEWATCH_KAFKA", "two:9000")
    with pytest.raises(typer.Exit) as end, told(2):
        raise error
    (said,) = capsys.readouterr().err.splitlines()
    assert end.value.exit_code == 2
    assert said.startswith(f"tidewatch: {where}")
    assert "tidewatch doctor" in said
    assert "hidden" not in said


def test_an_error_of_ours_keeps_its_traceback():
    with pytest.raises(KeyError), told():
        raise KeyError("a bug")


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("PARTITIONS", "0", "greater than or equal to 1"),
        ("LOG_FORMAT", "sekret", "'console' or 'json'"),
        ("KAFKA_OPTIONS", "sekret", "one JSON object is wanted"),
        ("KAFKA_OPTIONS", '{"sasl.password":"sekret"}', "would do nothing"),
    ],
)
def test_a_wrong_setting_is_one_line_with_its_variable(
    name: str, value: str, why: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(f"TIDEWATCH_{name}", value)
    done = CliRunner().invoke(main, ["dlq", "list"])
    (said,) = done.stderr.splitlines()
    assert done.exit_code == 1
    assert said.startswith("tidewatch: ")
    assert said.count(f"TIDEWATCH_{name}: ") == 1
    assert why in said
    assert "sekret" not in said


@pytest.mark.parametrize("wrong", [("--array", "0"), ("--duplicates", "7"), ("--days", "-1"), ("--density", "-1")])
def test_numbers_of_a_feed_that_mean_nothing_are_refused(wrong: tuple[str, str]):
    done = CliRunner().invoke(main, ["feed", *wrong])
    assert done.exit_code == 2
    assert wrong[0] in done.stderr
