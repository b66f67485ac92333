"""The catalogue as a record in every partition of `indicator-events`, so that a change takes effect at an offset.

Key `catalogue`, value `{"catalogue": {...}}`. Events before a partition's first such record are judged by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import msgspec
from confluent_kafka import KafkaException, Producer

from index.catalogue import Catalogue
from index.errors import CatalogueError
from stream.errors import NewerMessageError, UnreachableError
from stream.exact import is_json
from stream.messages import SCHEMA, version_named
from stream.tail import high_watermarks, read_to
from stream.topics import EVENT_BYTES, EVENTS, client_options

KEY = b"catalogue"
_START = b'{"catalogue":'


class _Envelope(msgspec.Struct, forbid_unknown_fields=True):
    catalogue: msgspec.Raw
    schema: int = SCHEMA


_envelope = msgspec.json.Decoder(_Envelope)


def record_of(catalogue: Catalogue) -> bytes:
    """The record's value."""
    return _START + catalogue.to_json() + b"}"


@lru_cache(maxsize=4)  # the same bytes stand in every partition
def parsed_catalogue(data: bytes) -> Catalogue:
    """The catalogue that `data` holds; its calendar is made here, once. Errors: CatalogueError."""
    catalogue = Catalogue.from_json(data)
    _ = catalogue.calendar
    return catalogue


def is_catalogue(key: object, value: bytes | None) -> bool:
    """Whether a message is a catalogue record (valid or not), and not an event."""
    return key == KEY and value is not None and value.startswith(_START)


def catalogue_of(value: bytes) -> Catalogue | None:
    """The catalogue in a record's value; None where it holds no valid one: a message like any other then.

    Errors: NewerMessageError: written by a newer version, so whether it is one cannot be said; to stop.
    """
    # msgspec skips what stands in an unknown place without a look at its bytes, and Python's stack bounds its nesting.
    if not is_json(value):
        return None
    if (version_named(value) or 0) > SCHEMA:
        raise NewerMessageError(f"{EVENTS}, a record with the key `catalogue`", version_named(value) or 0, SCHEMA)
    try:
        envelope = _envelope.decode(value)
        return parsed_catalogue(bytes(envelope.catalogue)) if envelope.schema == SCHEMA else None
    except (ValueError, CatalogueError, msgspec.MsgspecError):
        return None


def publish_catalogue(
    address: str, catalogue: Catalogue, partitions: list[int], options: Mapping[str, object] | None = None
) -> None:
    """Append `catalogue` to each of `partitions`. Errors: UnreachableError (repeat: a second copy changes nothing)."""
    producer = Producer(
        {
            **client_options(address, options),
            "enable.idempotence": True,
            "linger.ms": 0,
            "compression.type": "gzip",
            "message.max.bytes": EVENT_BYTES,
        }
    )
    failures: list[str] = []

    def delivered(error: object, _message: object) -> None:
        if error is not None:
            failures.append(str(error))

    try:
        for partition in partitions:
            producer.produce(EVENTS, record_of(catalogue), KEY, partition, on_delivery=delivered)
        left = producer.flush(30)
    except KafkaException as error:
        raise UnreachableError(f"{EVENTS}: {error}") from None
    if left or failures:
        raise UnreachableError(f"{EVENTS}: catalogue not written: {failures or 'no answer'}")


def first_catalogue(address: str, partition: int, options: Mapping[str, object] | None = None) -> Catalogue | None:
    """The first valid catalogue in `partition`'s log, None if there is none yet. Blocking; reads up to it, so at
    once where the topic was made by us, since then it is the first record. Errors: UnreachableError."""
    ends = high_watermarks(address, [(EVENTS, partition)], options)
    for message in read_to(address, ends, options):
        value = message.value()
        if isinstance(value, bytes) and is_catalogue(message.key(), value):
            catalogue = catalogue_of(value)
            if catalogue is not None:
                return catalogue
    return None


def catalogue_in_force(address: str, partition: int, options: Mapping[str, object] | None = None) -> Catalogue | None:
    """The catalogue in force at the end of `partition`'s log. Blocking; reads all of it. Errors: UnreachableError."""
    held: Catalogue | None = None
    for message in read_to(address, high_watermarks(address, [(EVENTS, partition)], options), options):
        value = message.value()
        if isinstance(value, bytes) and is_catalogue(message.key(), value):
            found = catalogue_of(value)
            if found is not None and (held is None or held.refuses(found) is None):
                held = found
    return held
