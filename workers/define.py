"""Definitions: looking at what `control` says, and bringing another version into force (docs/formats.md section 6)."""

from __future__ import annotations

import time
import tomllib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from index.catalogue import Catalogue
from index.definition import Definition
from index.errors import DefinitionError
from stream.control import SystemControl, change_control, read_system
from stream.messages import ControlActive, ControlVersion
from stream.published import read_revision
from stream.revisions import first_of_each_run, read_revisions
from workers.reweight import reweighted, with_version
from workers.settings import Settings

POLL_S = 0.2
Decision = tuple[ControlVersion | None, ControlActive]


def outline(definition: Definition) -> dict[str, Any]:
    """What a definition says, in numbers."""
    tree = definition.tree
    return {
        "system": definition.system,
        "version": definition.version,
        "title": definition.title,
        "grains": [grain.label for grain in definition.grains],
        "groups": list(definition.groups),
        "nodes": len(tree.nodes),
        "leaves": sum(node.leaf >= 0 for node in tree.nodes),
        "rankings": len(definition.rankings),
    }


def known_system(settings: Settings, system: str) -> SystemControl:
    """What `control` says of `system`. Errors: ValueError where it knows none, UnreachableError, MessageError."""
    control = read_system(settings.kafka, system, settings.kafka_options)
    if not control.versions:
        raise ValueError(f"no definition of {system} is known; `tidewatch define apply FILE` publishes a first one")
    return control


def version_of(control: SystemControl, system: str, version: int | None) -> ControlVersion:
    """That version, or the one in force. Errors: ValueError, which names the versions known."""
    number = version if version is not None else control.active.version if control.active else None
    if number is None:
        raise ValueError(f"no version of {system} is in force; known are {_numbers(control)}")
    if number not in control.versions:
        raise ValueError(f"version {number} of {system} is not known; known are {_numbers(control)}")
    return control.versions[number]


def history(settings: Settings, system: str) -> dict[str, Any]:
    """All versions, ascending; `since`: the revision that went over to it last, where `revisions` still tells.

    Errors: as `known_system`.
    """
    control = known_system(settings, system)
    since = first_of_each_run(read_revisions(settings.kafka, system, settings.kafka_options))
    active = control.active
    return {
        "system": system,
        "active": None
        if active is None
        else {"version": active.version, "author": active.author, "reason": active.reason, "at": active.at},
        "versions": [
            {
                "version": number,
                "author": each.author,
                "reason": each.reason,
                "at": each.at,
                "active": active is not None and active.version == number,
                "since": since.get(number),
            }
            for number, each in sorted(control.versions.items())
        ],
    }


def file_version(path: Path, author: str, reason: str, catalogue: Catalogue) -> tuple[str, Callable[..., Decision]]:
    """(system, the decision to put a file in force), the file checked. Errors: DefinitionError."""
    definition = Definition.load(path, catalogue)

    def decide(known: SystemControl) -> Decision:
        number, highest = definition.version, max(known.versions, default=0)
        held = known.versions.get(number)
        if held is not None and held.definition == definition.text:
            return None, _active(held, author, reason)
        if number <= highest:
            what = (
                f"version {number} is known with another text" if held else f"version {number} is below what is known"
            )
            raise DefinitionError(str(path), "version", f"{what}; write version = {highest + 1}")
        return _new(definition, author, reason)

    return definition.system, decide


def old_version(number: int, author: str, reason: str, catalogue: Catalogue, system: str) -> Callable[..., Decision]:
    """The decision to put a known version in force again, if it fits the catalogue. Errors of it: ValueError,
    DefinitionError."""

    def decide(known: SystemControl) -> Decision:
        version = version_of(known, system, number)
        Definition.parse(version.definition, catalogue, f"{system} version {number}")
        return None, _active(version, author, reason)

    return decide


def new_weights(
    weights: Mapping[str, float], author: str, reason: str, catalogue: Catalogue, system: str
) -> Callable[..., Decision]:
    """The decision to put the text in force with other weights in force, its version above every known one.

    Errors of it: ValueError, DefinitionError.
    """

    def decide(known: SystemControl) -> Decision:
        held = version_of(known, system, None)
        text = with_version(reweighted(held.definition, weights), max(known.versions) + 1)
        return _new(Definition.parse(text, catalogue, f"{system} version {held.version}, reweighted"), author, reason)

    return decide


def parsed_weights(given: list[str]) -> dict[str, float]:
    """`node=0.3` of each. Errors: ValueError naming what cannot be read."""
    weights: dict[str, float] = {}
    for each in given:
        node, equals, number = each.rpartition("=")
        try:
            weight = float(number)
        except ValueError:
            equals = ""
        if not equals or not node:
            raise ValueError(f"--weight {each}: write NODE=NUMBER, such as platform=0.3")
        if node in weights:
            raise ValueError(f"--weight {each}: {node} is given twice")
        weights[node] = weight
    return weights


def apply(settings: Settings, system: str, decide: Callable[[SystemControl], Decision]) -> dict[str, Any]:
    """Write what `decide` says, in one step with its check: {system, version, before: the version in force until now,
    left_out: keys of its text that a new text has no more}.

    Errors: those of `decide` (nothing is written), OvertakenError (another applied at the same time), UnreachableError.
    """
    left_out: list[str] = []
    before: list[int | None] = []

    def deciding(known: SystemControl) -> Decision:
        decision = decide(known)
        held, new = known.in_force(), decision[0]
        before[:] = [held.version if held else None]
        if held and new:
            left_out[:] = sorted(tomllib.loads(held.definition).keys() - tomllib.loads(new.definition).keys())
        return decision

    # First without the turn: what is refused anyway must not get in the way of somebody else.
    decide(read_system(settings.kafka, system, settings.kafka_options))
    active = change_control(settings.kafka, system, deciding, settings.kafka_options)
    return {"system": system, "version": active.version, "before": before[0], "left_out": left_out}


def wait_for(
    settings: Settings,
    system: str,
    version: int,
    timeout_s: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> int | None:
    """The revision that went over to `version`, once an index worker has committed it; None after `timeout_s`.

    Errors: UnreachableError, MessageError.
    """
    deadline = clock() + timeout_s
    while True:
        last = read_revision(settings.kafka, system, settings.kafka_options)
        if last is not None and last.definition == version:
            since = first_of_each_run(read_revisions(settings.kafka, system, settings.kafka_options))
            return since.get(version) or last.revision
        if clock() >= deadline:
            return None
        sleep(POLL_S)


def _new(definition: Definition, author: str, reason: str) -> Decision:
    version = ControlVersion(
        system=definition.system,
        version=definition.version,
        definition=definition.text,
        author=author,
        reason=reason,
        at=_now(),
    )
    return version, _active(version, author, reason)


def _active(version: ControlVersion, author: str, reason: str) -> ControlActive:
    return ControlActive(system=version.system, version=version.version, author=author, reason=reason, at=_now())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _numbers(control: SystemControl) -> str:
    return ", ".join(map(str, sorted(control.versions))) or "none"
