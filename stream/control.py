"""Definitions in force: what `control` says. Keys `system/version` and `system/active`, one partition a system."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from confluent_kafka import KafkaException, Producer

from stream.errors import OvertakenError, UnreachableError
from stream.messages import ControlActive, ControlVersion, encode, read_message
from stream.publisher import Record
from stream.tail import high_watermarks, read_to
from stream.topics import CONTROL, client_options, partition_of
from stream.turn import Turn


@dataclass(slots=True)
class SystemControl:
    """All versions of one system, and the one in force (None: none yet)."""

    versions: dict[int, ControlVersion] = field(default_factory=dict)
    active: ControlActive | None = None
    refused: list[str] = field(default_factory=list)  # records under its keys that are none of ours, in words

    def in_force(self) -> ControlVersion | None:
        """The active version's definition, if both are known."""
        return self.versions.get(self.active.version) if self.active else None


def read_control(
    address: str, partitions: list[int], options: Mapping[str, object] | None = None
) -> dict[str, SystemControl]:
    """Every system whose partition is in `partitions`, by name. Blocking. What is none of ours is `refused` and changes
    nothing. Errors: UnreachableError, NewerMessageError.
    """
    ends = high_watermarks(address, [(CONTROL, p) for p in partitions], options)
    out: dict[str, SystemControl] = {}
    for message in read_to(address, ends, options):
        key, value = message.key(), message.value()
        if not isinstance(key, bytes) or not isinstance(value, bytes):
            continue
        text = key.decode(errors="replace")
        system, _, name = text.rpartition("/")
        control, where = out.setdefault(system, SystemControl()), f"{CONTROL} {text}"
        found: ControlActive | ControlVersion | None
        if name == "active":
            found = read_message(ControlActive, value, where, control.refused.append)
        else:
            found = read_message(ControlVersion, value, where, control.refused.append)
        if found is None:
            continue
        if found.system != system or name not in ("active", str(found.version)):
            control.refused.append(f"{where}: speaks of {found.system}/{found.version}, which is not its key")
        elif isinstance(found, ControlActive):
            control.active = found
        else:
            control.versions[found.version] = found
    return out


def read_system(address: str, system: str, options: Mapping[str, object] | None = None) -> SystemControl:
    """What `control` says of one system; empty where it knows none. Errors: as `read_control`."""
    return read_control(address, [partition_of(system)], options).get(system, SystemControl())


def change_control(
    address: str,
    system: str,
    decide: Callable[[SystemControl], tuple[ControlVersion | None, ControlActive]],
    options: Mapping[str, object] | None = None,
) -> ControlActive:
    """Put a version of `system` in force as `decide` says, who is told what is known: (a new version or None, active).

    Check and write are one step: of two at the same time the later one decides and the earlier one gets an error.
    What `decide` raises passes through, and nothing is written. Blocking. Errors: OvertakenError, UnreachableError
    (outcome unknown: look), MessageError.
    """
    turn = Turn(address, f"{system}/control", options)
    version, active = decide(read_system(address, system, options))
    records = [] if version is None else [Record(CONTROL, f"{system}/{version.version}", encode(version))]
    records.append(Record(CONTROL, f"{system}/active", encode(active)))
    try:
        turn.commit(records, partition_of(system))
    except OvertakenError:
        # Whoever came later may have found our transaction committed already, only its answer was lost.
        known = read_system(address, system, options)
        if known.active != active and (version is None or known.versions.get(version.version) != version):
            raise
    return active


def publish_definition(
    address: str, version: ControlVersion, *, activate: bool = True, options: Mapping[str, object] | None = None
) -> None:
    """Write one version to `control`, and put it in force. Errors: UnreachableError (nothing, or not all, was written:
    repeat, it is idempotent)."""
    producer = Producer({**client_options(address, options), "acks": "all", "enable.idempotence": True, "linger.ms": 0})
    failures: list[str] = []

    def delivered(error: object, _message: object) -> None:
        if error is not None:
            failures.append(str(error))

    partition = partition_of(version.system)
    messages = [(f"{version.system}/{version.version}", encode(version))]
    if activate:
        active = ControlActive(
            system=version.system, version=version.version, author=version.author, reason=version.reason, at=version.at
        )
        messages.append((f"{version.system}/active", encode(active)))
    try:
        for key, value in messages:
            producer.produce(CONTROL, value, key, partition, on_delivery=delivered)
        left = producer.flush(20)
    except KafkaException as error:
        raise UnreachableError(f"{CONTROL}: {error}") from None
    if left or failures:
        raise UnreachableError(
            f"{CONTROL}: {version.system} version {version.version} not written: {failures or 'no answer'}"
        )
