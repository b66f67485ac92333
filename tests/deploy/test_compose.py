"""deploy/compose.yaml: valid, and every command, variable, port and file that it names is there."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from stream.topics import EVENT_BYTES
from tests.deploy.deployed import DEPLOY, PORT, commands, go_module, read, tool, variables
from workers.settings import REPOSITORY

FILE = DEPLOY / "compose.yaml"
COMPOSE = read(FILE)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
WORKERS = {name: service for name, service in SERVICES.items() if service["image"].startswith("tidewatch:")}
SECRETS = dict(
    line.split("=", 1)
    for line in (DEPLOY / "secrets.env.example").read_text(encoding="utf-8").splitlines()
    if "=" in line and not line.startswith("#")
)


def test_the_schema_of_the_compose_specification_holds() -> None:
    jsonschema_rs = pytest.importorskip("jsonschema_rs")
    folder = go_module("github.com/compose-spec/compose-go/v2", "v2.4.7")
    schema = json.loads((folder / "schema" / "compose-spec.json").read_text(encoding="utf-8"))
    errors = [f"{e.instance_path}: {e.message}" for e in jsonschema_rs.validator_for(schema).iter_errors(COMPOSE)]
    assert not errors


def test_docker_compose_reads_it(tmp_path: Path) -> None:
    docker = tool("docker", why="`docker compose config` reads the file as it is meant to be read")
    if subprocess.run([docker, "compose", "version"], capture_output=True, timeout=30).returncode != 0:
        pytest.skip("docker is on the PATH, but not its compose")
    (tmp_path / "secrets.env").write_text((DEPLOY / "secrets.env.example").read_text())
    text = FILE.read_text(encoding="utf-8").replace("[secrets.env]", f"[{tmp_path / 'secrets.env'}]")
    (tmp_path / "compose.yaml").write_text(text)
    ran = subprocess.run([docker, "compose", "-f", str(tmp_path / "compose.yaml"), "config", "-q"], timeout=60)
    assert ran.returncode == 0


def test_workers_run_commands_with_variables_that_there_are() -> None:
    assert {name: service["command"] for name, service in WORKERS.items()} == {n: [n] for n in WORKERS}
    assert {"ingest", "index", "alert"} == set(WORKERS)
    for name, service in WORKERS.items():
        given = {*service["environment"], *SECRETS}
        assert {each for each in given if each.startswith("TIDEWATCH_")} <= variables(), name
        assert service["expose"] == [str(PORT)]
        assert service["deploy"]["replicas"] == 2


@pytest.mark.parametrize("worker", sorted(WORKERS))
def test_the_command_of_a_worker_is_there(worker: str) -> None:
    assert worker in commands()


def test_only_loopback_is_published() -> None:
    for name, service in SERVICES.items():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), f"{name} publishes {port} to everybody"


def test_every_service_is_kept_and_watched() -> None:
    for name, service in SERVICES.items():
        assert service["restart"] == "unless-stopped", name
        assert service["cap_drop"] == ["ALL"], name
        assert name in WORKERS or "healthcheck" in service, f"{name}: workers have theirs from the image"


def test_images_are_pinned() -> None:
    for name, service in SERVICES.items():
        assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+(-\w+)?", service["image"]), f"{name}: {service['image']}"
    locked = re.search(r"org\.apache\.kafka:kafka-clients:(\S+) ", (DEPLOY / "kafka.lock").read_text(encoding="utf-8"))
    assert locked is not None
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{locked[1]}", "the Kafka that the tests run against"
    version = re.search(r'^version = "(.+)"', (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"), re.M)
    assert version is not None
    assert all(service["image"] == f"tidewatch:{version[1]}" for service in WORKERS.values())


def test_files_and_volumes_are_there() -> None:
    used = set()
    for name, service in SERVICES.items():
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            if source.startswith("."):
                assert (DEPLOY / source).exists(), f"{name}: {source}"
                assert mount.endswith(":ro"), mount
            else:
                used.add(source)
        for wanted in service.get("depends_on", {}):
            assert wanted in SERVICES
            assert "healthcheck" in SERVICES[wanted], f"{name} waits for {wanted} to be healthy"
    assert used == set(COMPOSE["volumes"])
    assert WORKERS["ingest"]["build"] == {"context": "..", "dockerfile": "deploy/Dockerfile"}


def test_secrets_stand_in_one_file_that_is_not_kept() -> None:
    text = FILE.read_text(encoding="utf-8")
    for name, value in SECRETS.items():
        assert value not in text, name
    for name in ("redis", "grafana", *WORKERS):
        assert SERVICES[name]["env_file"] == ["secrets.env"]
    assert not (DEPLOY / "secrets.env").exists() or _ignored("deploy/secrets.env")


def _ignored(path: str) -> bool:
    asked = subprocess.run(["git", "check-ignore", "-q", path], cwd=REPOSITORY)
    return asked.returncode == 0


def test_addresses_name_services_and_their_ports() -> None:
    kafka = SERVICES["kafka"]["environment"]
    inside = re.search(r"INSIDE://:(\d+)", kafka["KAFKA_LISTENERS"])
    assert inside is not None
    assert f"INSIDE://kafka:{inside[1]}" in kafka["KAFKA_ADVERTISED_LISTENERS"]
    for service in WORKERS.values():
        assert service["environment"]["TIDEWATCH_KAFKA"] == f"kafka:{inside[1]}"
    assert SECRETS["TIDEWATCH_REDIS"] == f"redis://:{SECRETS['REDIS_PASSWORD']}@redis:6379/0"
    config = read(DEPLOY / "prometheus" / "prometheus.yml")
    for job in config["scrape_configs"]:
        for asked in job.get("dns_sd_configs", []):
            assert asked["names"] == [job["job_name"].removeprefix("tidewatch-")]
            assert asked["port"] == PORT
            assert asked["names"][0] in WORKERS
    assert WORKERS["alert"]["environment"]["TIDEWATCH_ALERTMANAGER"] == "http://alertmanager:9093"


def test_kafka_is_one_node_that_serves_transactions() -> None:
    kafka = SERVICES["kafka"]["environment"]
    for name in ("OFFSETS_TOPIC_REPLICATION_FACTOR", "TRANSACTION_STATE_LOG_REPLICATION_FACTOR",
                 "TRANSACTION_STATE_LOG_MIN_ISR"):  # fmt: skip
        assert kafka[f"KAFKA_{name}"] == "1", "one broker cannot keep three copies"
    assert len(kafka["CLUSTER_ID"]) == 22
    # The largest message is a topic's setting, which goes over the broker's, so the broker needs none.
    assert EVENT_BYTES > 1 << 20
