import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from workers.settings import Settings


@pytest.fixture(autouse=True)
def no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"TIDEWATCH_{name.upper()}", raising=False)


def test_defaults_are_loopback_and_the_repository(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    settings = Settings()
    assert (settings.kafka, settings.redis) == ("127.0.0.1:9092", "redis://127.0.0.1:6379/0")
    assert (settings.systems / "catalogue") == settings.catalogue
    assert settings.dir == tmp_path / "tidewatch"
    assert (settings.http_host, settings.http_port) == ("127.0.0.1", None)


def test_the_environment_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEWATCH_PARTITIONS", "3")
    options = {"security.protocol": "SSL", "client.id": "me"}
    monkeypatch.setenv("TIDEWATCH_KAFKA_OPTIONS", json.dumps(options))
    settings = Settings()
    assert settings.partitions == 3
    assert settings.kafka_options == options


def test_a_wrong_value_names_its_field(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEWATCH_PARTITIONS", "none")
    with pytest.raises(ValidationError, match="partitions"):
        Settings()
