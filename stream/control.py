"""Definitions in force: what `control` says. Keys `system/version` and `system/active`, one partition a system."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from confluent_kafka import KafkaException, Producer

from stream.errors import UnreachableError
from stream.messages import ControlActive, ControlVersion, decode_message, encode
from stream.tail import high_watermarks, read_to
from stream.topics import CONTROL, client_options, partition_of


@dataclass(slots=True)
class SystemControl:
    """All versions of one system, and the one in force (None: none yet)."""

    versions: dict[int, ControlVersion] = field(default_factory=dict)
    active: ControlActive | None = None

    def in_force(self) -> ControlVersion | None:
        """The active version's definition, if both are known."""
        return self.versions.get(self.active.version) if self.active else None


def read_control(
    address: str, partitions: list[int], options: Mapping[str, object] | None = None
) -> dict[str, SystemControl]:
    """Every system whose partition is in `partitions`, by name. Blocking. Errors: UnreachableError, MessageError."""
    ends = high_watermarks(address, [(CONTROL, p) for p in partitions], options)
    out: dict[str, SystemControl] = {}
    for message in read_to(address, ends, options):
        key, value = message.key(), message.value()
        if not isinstance(key, bytes) or not isinstance(value, bytes):
            continue
        system, _, name = key.decode().rpartition("/")
        control = out.setdefault(system, SystemControl())
        if name == "active":
            control.active = decode_message(ControlActive, value, f"{CONTROL} {key.decode()}")
        else:
            version = decode_message(ControlVersion, value, f"{CONTROL} {key.decode()}")
            control.versions[version.version] = version
    return out


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
