"""deploy/kubernetes, as files: what refers to something finds it, and every worker is confined. Needs no tool."""

from __future__ import annotations

import re
from typing import Any

import pytest

from stream.topics import EVENTS
from tests.deploy.deployed import DEPLOY, PORT, commands, read, read_all, variables
from workers.settings import Settings

FOLDER = DEPLOY / "kubernetes"
BASE, SCALE = FOLDER / "base", FOLDER / "overlays" / "scale"
OBJECTS: list[Any] = [each for name in read(BASE / "kustomization.yaml")["resources"] for each in read_all(BASE / name)]
SCALED: list[Any] = [
    each
    for name in read(SCALE / "kustomization.yaml")["resources"]
    if name.endswith(".yaml")
    for each in read_all(SCALE / name)
]
DEPLOYMENTS = {each["metadata"]["name"]: each for each in OBJECTS if each["kind"] == "Deployment"}
WORKERS = ("ingest", "index", "alert")


def pod(worker: str) -> Any:
    return DEPLOYMENTS[worker]["spec"]["template"]["spec"]


def container(worker: str) -> Any:
    (only,) = pod(worker)["containers"]
    return only


def labels(worker: str) -> Any:
    return DEPLOYMENTS[worker]["spec"]["template"]["metadata"]["labels"]


def of_kind(kind: str) -> list[Any]:
    found = [each for each in OBJECTS + SCALED if each["kind"] == kind]
    assert found, kind
    return found


@pytest.mark.parametrize("folder", [BASE, SCALE], ids=["base", "scale"])
def test_every_file_is_named_and_every_name_is_there(folder: Any) -> None:
    kustomization = read(folder / "kustomization.yaml")
    files = {each for each in kustomization["resources"] if each.endswith(".yaml")}
    assert files == {path.name for path in folder.glob("*.yaml")} - {"kustomization.yaml"}
    for each in kustomization["resources"]:
        assert (folder / each).exists(), each
    for patch in kustomization.get("patches", []):
        assert patch["target"]["kind"] == "Deployment"
        assert patch["target"]["name"] in DEPLOYMENTS


def test_names_are_given_once() -> None:
    named = [(each["kind"], each["metadata"]["name"]) for each in OBJECTS + SCALED]
    assert len(named) == len(set(named))
    assert set(DEPLOYMENTS) == set(WORKERS)


@pytest.mark.parametrize("worker", WORKERS)
def test_a_worker_runs_a_command_with_settings_that_there_are(worker: str) -> None:
    one = container(worker)
    assert one["args"] == [worker]
    assert worker in commands()
    assert {each["name"] for each in one["env"]} <= variables()
    made = {each["name"]: each["literals"] for each in read(BASE / "kustomization.yaml")["configMapGenerator"]}
    (settings,) = (each["configMapRef"]["name"] for each in one["envFrom"])
    given = dict(each.split("=") for each in made[settings])
    assert set(given) <= variables()
    Settings(**{name.removeprefix("TIDEWATCH_").lower(): value for name, value in given.items()})
    for each in one["env"]:
        assert set(each["valueFrom"]) == {"secretKeyRef"}, "addresses hold passwords: by reference only"
        assert each["valueFrom"]["secretKeyRef"]["name"] == "tidewatch-servers"


@pytest.mark.parametrize("worker", WORKERS)
def test_a_worker_is_confined(worker: str) -> None:
    spec, one = pod(worker), container(worker)
    assert spec["serviceAccountName"] in {each["metadata"]["name"] for each in of_kind("ServiceAccount")}
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] == 10001, "as in the image"
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert one["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert set(one["resources"]) == {"requests", "limits"}
    assert {mount["name"] for mount in one["volumeMounts"]} == {volume["name"] for volume in spec["volumes"]}
    assert not any(each["kind"] == "Secret" for each in OBJECTS + SCALED)


@pytest.mark.parametrize("worker", WORKERS)
def test_a_worker_is_probed_where_it_listens(worker: str) -> None:
    one = container(worker)
    ports = {port["name"]: port["containerPort"] for port in one["ports"]}
    assert ports == {"metrics": PORT}
    paths = {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}
    for probe, path in paths.items():
        assert one[probe]["httpGet"] == {"path": path, "port": "metrics"}
    notes = DEPLOYMENTS[worker]["spec"]["template"]["metadata"]["annotations"]
    assert notes["prometheus.io/port"] == str(PORT)
    # A worker has 20 s to end in good order (workers/crew.py), and Kubernetes waits for longer than that.
    assert pod(worker)["terminationGracePeriodSeconds"] > 20


@pytest.mark.parametrize("worker", WORKERS)
def test_what_selects_pods_finds_those_of_the_worker(worker: str) -> None:
    chosen = DEPLOYMENTS[worker]["spec"]["selector"]["matchLabels"]
    assert chosen == labels(worker)
    budgets = {each["metadata"]["name"]: each["spec"] for each in of_kind("PodDisruptionBudget")}
    assert budgets[worker]["selector"]["matchLabels"] == labels(worker)
    monitors = {each["metadata"]["name"]: each["spec"] for each in of_kind("PodMonitor")}
    assert monitors[f"tidewatch-{worker}"]["selector"]["matchLabels"] == labels(worker)


def test_a_drain_can_go_on_and_leaves_one_of_those_that_stand_by() -> None:
    budgets = {each["metadata"]["name"]: each["spec"] for each in of_kind("PodDisruptionBudget")}
    for worker in ("index", "alert"):
        assert budgets[worker]["minAvailable"] == 1
        assert DEPLOYMENTS[worker]["spec"]["replicas"] == 2
    assert budgets["ingest"]["maxUnavailable"] == 1


def test_traffic_is_closed_but_for_what_is_named() -> None:
    policies = {each["metadata"]["name"]: each["spec"] for each in of_kind("NetworkPolicy")}
    assert policies["tidewatch-default-deny"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for name, spec in policies.items():
        wanted = spec["podSelector"].get("matchLabels", {})
        assert any(wanted.items() <= labels(worker).items() for worker in WORKERS), f"{name} selects nothing"
        for rule in [*spec.get("ingress", []), *spec.get("egress", [])]:
            assert rule.get("from") or rule.get("to"), f"{name} opens to everybody"
            assert rule["ports"]


def test_the_autoscaler_follows_the_group_of_the_ingest_workers() -> None:
    (scaled,) = of_kind("ScaledObject")
    spec = scaled["spec"]
    assert spec["scaleTargetRef"]["name"] == "ingest"
    (trigger,) = spec["triggers"]
    assert trigger["type"] == "kafka"
    assert trigger["metadata"]["consumerGroup"] == Settings.model_fields["group"].default
    assert trigger["metadata"]["topic"] == EVENTS
    assert trigger["metadata"]["bootstrapServersFromEnv"] in {each["name"] for each in container("ingest")["env"]}
    (made,) = read(SCALE / "kustomization.yaml")["configMapGenerator"]
    partitions = int(dict(each.split("=") for each in made["literals"])["TIDEWATCH_PARTITIONS"])
    assert spec["maxReplicaCount"] == partitions, "more workers than partitions have nothing to do"
    assert spec["minReplicaCount"] == DEPLOYMENTS["ingest"]["spec"]["replicas"]


def test_jobs_are_named_as_the_rules_ask_for_them() -> None:
    config = read(DEPLOY / "prometheus" / "prometheus.yml")
    jobs = {job["job_name"] for job in config["scrape_configs"]}
    for monitor in of_kind("PodMonitor"):
        (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
        assert endpoint["port"] == "metrics"
        (job,) = (each["replacement"] for each in endpoint["relabelings"] if each["targetLabel"] == "job")
        assert job == monitor["metadata"]["name"]
        assert job in jobs


def test_the_runbook_names_the_secret_as_it_is() -> None:
    text = (DEPLOY / "README.md").read_text(encoding="utf-8")
    keys = {each["valueFrom"]["secretKeyRef"]["key"] for worker in WORKERS for each in container(worker)["env"]}
    for key in keys:
        assert re.search(rf"\b{key}\b", text), f"deploy/README.md does not say how {key} is given"
