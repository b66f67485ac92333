"""What a command says of an error: one line with what happened, where, and what to do; never a server's traceback."""

from __future__ import annotations

import pytest
import typer
from confluent_kafka import KafkaError, KafkaException
from redis.exceptions import ConnectionError, OutOfMemoryError, RedisClusterException

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
