"""Configuration, from the environment: every field is `TIDEWATCH_` and its name in capitals.

One object, made once by the command line and handed down; nothing below `workers` reads the environment.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import Field, JsonValue, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from workers.kafka_options import check_options

REPOSITORY = Path(__file__).parents[1]


def _data_folder() -> Path:
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "tidewatch"


class Settings(BaseSettings):
    """What differs from one installation to another. Raises pydantic.ValidationError naming the field that is wrong."""

    model_config = SettingsConfigDict(env_prefix="TIDEWATCH_", frozen=True, extra="forbid", hide_input_in_errors=True)

    kafka: str = Field("127.0.0.1:9092", description="Kafka's bootstrap addresses, host:port, separated by commas")
    kafka_options: dict[str, JsonValue] = Field(
        default_factory=dict,
        repr=False,
        description="further client settings by librdkafka's names, one JSON object: security.protocol, sasl.*, ...",
    )
    redis: str = Field(
        "redis://127.0.0.1:6379/0", repr=False, description="Redis URL; rediss:// for TLS, user:password@ for ACL"
    )
    partitions: int = Field(8, ge=1, description="of indicator-events, when `tidewatch` creates the topic")
    replication: int | None = Field(
        None,
        ge=1,
        le=9,
        description="copies of each topic that `tidewatch` creates, more than half of them in sync; "
        "unset: as the brokers say (default.replication.factor, min.insync.replicas)",
    )

    systems: Path = Field(REPOSITORY / "systems", description="folder of the index systems' TOML definitions")
    catalogue: Path = Field(
        REPOSITORY / "systems" / "catalogue",
        description="folder of the catalogue's data: entities, groups, indicators, industries",
    )
    dir: Path = Field(default_factory=_data_folder, description="folder of the local servers' data (`tidewatch up`)")

    robustness: Literal["on", "off"] = Field(
        "on", description="whether the index worker publishes rank intervals, for systems that have `[robustness]`"
    )

    group: str = Field("tidewatch-ingest", description="consumer group of the ingest workers")
    session_s: float = Field(10.0, ge=6, le=300, description="a worker that is silent for so long loses its share")

    alertmanager: str = Field("", repr=False, description="Alertmanagers' addresses, separated by commas; empty: none")
    webhook: str = Field("", repr=False, description="gets a POST when an alert fires or resolves; empty: none")
    webhook_secret: SecretStr = Field(SecretStr(""), description="signs what the webhook gets; empty: unsigned")

    alerts: Path | None = Field(None, description="file of the alert rules; unset: alerts.toml in the systems' folder")
    dashboard: str = Field("", description="link in alerts; {system}, {entity} and {period} are filled in; empty: none")
    runbook: str = Field("docs/runbook.md", description="link in alerts, to which #alert-TYPE is added")

    http_host: str = Field("127.0.0.1", description="address on which /healthz and /metrics are served")
    http_port: int | None = Field(None, ge=0, le=65535, description="their port; 0: any free one; unset: not served")
    log_format: Literal["console", "json"] = Field("console", description="of the log on standard error")

    @field_validator("kafka_options")
    @classmethod
    def _usable(cls, options: dict[str, JsonValue]) -> dict[str, JsonValue]:
        check_options(options)
        return options
