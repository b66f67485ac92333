"""deploy/kubernetes against the Kubernetes API's own schemas, file by file and as kustomize builds it.

The schemas come with the Go module of kubectl-validate. They are closed here: a field that they do not know is an
error, as it is for `kubectl apply --validate=strict`. What extensions define (KEDA, the Prometheus operator) has none
in there; test_kubernetes.py looks at those.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.deployed import go_module, tool
from tests.deploy.test_kubernetes import BASE, OBJECTS, SCALE

VERSION = "1.30"
EXTENSIONS = {"ScaledObject", "PodMonitor"}


def _closed(schema: Any) -> Any:
    """The same schema, in which objects have no properties but those that it lists."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: _closed(value) for name, value in schema.items() if name != "default"}
    if isinstance(made.get("properties"), dict) and "additionalProperties" not in made:
        made["additionalProperties"] = False
    # Kubernetes' own words for unions that OpenAPI cannot say; their types are free, as in what the server takes.
    if made.get("x-kubernetes-int-or-string") or made.get("format") == "int-or-string":
        made.pop("type", None)
        made.pop("oneOf", None)
        made["type"] = ["integer", "string"]
    return made


@cache
def _document(api: str) -> Any:
    folder = go_module("sigs.k8s.io/kubectl-validate", "v0.0.4") / "pkg" / "openapiclient" / "builtins" / VERSION
    path = folder / ("apis" if "/" in api else "api") / f"{api}.json"
    return _closed(json.loads(path.read_text(encoding="utf-8")))


def errors_of(thing: Any) -> list[str]:
    """What the schema of a thing's kind has against it."""
    jsonschema_rs = pytest.importorskip("jsonschema_rs")
    document = _document(thing["apiVersion"])
    group, _, version = thing["apiVersion"].rpartition("/")
    wanted = {"group": group, "version": version, "kind": thing["kind"]}
    (name,) = (
        name
        for name, schema in document["components"]["schemas"].items()
        if wanted in schema.get("x-kubernetes-group-version-kind", [])
    )
    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    where = f"{thing['kind']} {thing['metadata']['name']}"
    return [
        f"{where} {e.instance_path}: {e.message}" for e in jsonschema_rs.Draft202012Validator(schema).iter_errors(thing)
    ]


@pytest.mark.parametrize("thing", OBJECTS, ids=lambda each: f"{each['kind']}-{each['metadata']['name']}")
def test_the_schema_of_its_kind_holds(thing: Any) -> None:
    assert errors_of(thing) == []


def test_the_schemas_are_not_blind() -> None:
    """A wrong field, a wrong type and an absent field are found."""
    good = next(each for each in OBJECTS if each["kind"] == "Deployment")
    for path, value in (
        (("spec", "template", "spec", "containers", 0, "redinessProbe"), {}),
        (("spec", "replicas"), "two"),
        (("spec", "template", "spec", "containers", 0, "ports", 0), {"name": "metrics"}),
    ):
        bad = json.loads(json.dumps(good))
        place = bad
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value
        assert errors_of(bad), path


@pytest.mark.parametrize("folder", [BASE, SCALE], ids=["base", "scale"])
def test_what_kustomize_builds_holds(folder: Path) -> None:
    if found := shutil.which("kustomize"):
        command = [found, "build", str(folder)]
    else:
        command = [tool("kubectl", why="it builds overlays"), "kustomize", str(folder)]
    built = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert built.returncode == 0, built.stderr
    things = list(yaml.safe_load_all(built.stdout))
    assert [error for thing in things if thing["kind"] not in EXTENSIONS for error in errors_of(thing)] == []
    held = {(thing["kind"], thing["metadata"]["name"]): thing for thing in things}
    assert all(
        thing["metadata"].get("namespace") == "tidewatch" for kind, thing in held.items() if kind[0] != "Namespace"
    )
    (settings,) = (thing for (kind, _), thing in held.items() if kind == "ConfigMap")
    for worker in ("ingest", "index", "alert"):
        spec = held["Deployment", worker]["spec"]["template"]["spec"]
        (one,) = spec["containers"]
        assert one["envFrom"] == [{"configMapRef": {"name": settings["metadata"]["name"]}}], "the name with its hash"
        assert one["image"].startswith("tidewatch:")
    scaled = folder == SCALE
    assert ("replicas" in held["Deployment", "ingest"]["spec"]) is not scaled
    assert (("ScaledObject", "ingest") in held) is scaled
    assert settings["data"]["TIDEWATCH_PARTITIONS"] == ("24" if scaled else "8")
