"""TIDEWATCH_KAFKA_OPTIONS, looked at before any client is made: known, usable, and none that would do nothing.

librdkafka drops what does not fit the protocol without a word that we would see. A password that is given and not used
means a connection that is open to all, by mistake.
"""

from __future__ import annotations

from collections.abc import Mapping

NAME = "TIDEWATCH_KAFKA_OPTIONS"
# What each client sets for itself; another value would break what it promises.
OURS = (
    "acks", "auto.offset.reset", "bootstrap.servers", "enable.auto.commit", "enable.auto.offset.store",
    "enable.idempotence", "group.id", "isolation.level", "metadata.broker.list", "transactional.id",
)  # fmt: skip


def check_options(options: Mapping[str, object]) -> None:
    """Errors: ValueError naming the option that is unknown, ours, unusable or without effect; never its value."""
    if not options:
        return
    if own := sorted(set(options) & set(OURS)):
        raise ValueError(f"{NAME}: {', '.join(own)} cannot be set: it is decided by what each client does")
    protocol = str(options.get("security.protocol", "plaintext")).upper()
    uses = {"sasl.": protocol.startswith("SASL_"), "ssl.": protocol.endswith("SSL")}
    if useless := sorted(name for name in options if any(name.startswith(p) and not used for p, used in uses.items())):
        raise ValueError(
            f"{NAME}: {', '.join(useless)} would do nothing with security.protocol {protocol}: "
            "set SSL, SASL_SSL or SASL_PLAINTEXT, as the broker has it"
        )
    if any(not isinstance(value, str | int | float) for value in options.values()):
        raise ValueError(f"{NAME}: every value is a string, a number, true or false")
    # Slow to import, and wanted by few.
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    try:
        AdminClient({"log_level": 0, **options})  # reads the files named; connects to nobody
    except KafkaException as error:
        reason = error.args[0].str().removeprefix("Failed to create admin client: ")
        raise ValueError(f"{NAME}: {reason}") from None
