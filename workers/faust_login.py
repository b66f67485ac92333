"""How Faust's own consumer logs in to Kafka: TIDEWATCH_KAFKA_OPTIONS in Faust's terms.

Every other client is librdkafka and takes the options as they are. Faust's consumer of `control` is another library.
What it cannot honour is refused by name: an option that one half of a process drops is a hole or a riddle.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import faust
from faust.auth import Credentials

MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
HONOURED = frozenset(
    {
        "client.id",
        "enable.ssl.certificate.verification",
        "sasl.mechanism",
        "sasl.mechanisms",
        "sasl.password",
        "sasl.username",
        "security.protocol",
        "ssl.ca.location",
        "ssl.ca.pem",
        "ssl.certificate.location",
        "ssl.endpoint.identification.algorithm",
        "ssl.key.location",
        "ssl.key.password",
    }
)
NAME = "TIDEWATCH_KAFKA_OPTIONS"


def faust_credentials(options: Mapping[str, object]) -> Credentials | None:
    """What Faust needs to log in as librdkafka does with `options`; None: neither TLS nor SASL. Reads the files named.

    Errors: ValueError naming the option that cannot be honoured, is absent, or whose file cannot be used.
    """
    if unknown := sorted(set(options) - HONOURED):
        raise ValueError(
            f"{NAME}: the consumer of `control` cannot honour {', '.join(unknown)}. Index and alert workers take "
            f"{', '.join(sorted(HONOURED))}. Set others for the ingest workers alone"
        )
    protocol = str(options.get("security.protocol", "plaintext")).upper()
    context = _context(options) if protocol.endswith("SSL") else None
    if not protocol.startswith("SASL_"):
        return faust.SSLCredentials(context) if context is not None else None
    # librdkafka takes GSSAPI where nothing is said.
    mechanism = str(options.get("sasl.mechanism", options.get("sasl.mechanisms", "GSSAPI"))).upper()
    if mechanism not in MECHANISMS:
        raise ValueError(
            f"{NAME}: sasl.mechanism {mechanism} is not one that the consumer of `control` can use: "
            f"{', '.join(MECHANISMS)}"
        )
    for needed in ("sasl.username", "sasl.password"):
        if not options.get(needed):
            raise ValueError(f"{NAME}: {needed} is absent, and {mechanism} needs it")
    return faust.SASLCredentials(
        username=str(options["sasl.username"]),
        password=str(options["sasl.password"]),
        mechanism=mechanism,
        ssl_context=context,
    )


def _context(options: Mapping[str, object]) -> ssl.SSLContext:
    authority: dict[str, Any] = {}
    place = str(options.get("ssl.ca.location", ""))
    if place and place != "probe":  # librdkafka's word for: look where authorities usually stand
        authority["capath" if Path(place).is_dir() else "cafile"] = place
    if "ssl.ca.pem" in options:
        authority["cadata"] = str(options["ssl.ca.pem"])
    try:
        context = ssl.create_default_context(**authority)
    except (OSError, ValueError) as error:
        raise ValueError(f"{NAME}: ssl.ca.location {place}: {_reason(error)}") from None
    if str(options.get("ssl.endpoint.identification.algorithm", "https")).lower() == "none":
        context.check_hostname = False
    if str(options.get("enable.ssl.certificate.verification", True)).lower() == "false":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    certificate, key = options.get("ssl.certificate.location"), options.get("ssl.key.location")
    if (certificate is None) != (key is None):
        raise ValueError(f"{NAME}: ssl.certificate.location and ssl.key.location go together")
    if certificate is not None and key is not None:
        # A function, since without a password OpenSSL would ask the terminal for one.
        password = str(options.get("ssl.key.password", ""))
        try:
            context.load_cert_chain(str(certificate), str(key), lambda: password)
        except (OSError, ValueError) as error:
            raise ValueError(
                f"{NAME}: ssl.certificate.location {certificate} with ssl.key.location {key}: {_reason(error)}; "
                "is ssl.key.password right?"
            ) from None
    return context


def _reason(error: Exception) -> str:
    """Without a password in it: OpenSSL's and the system's messages name the trouble, not what was given."""
    return str(getattr(error, "strerror", None) or error)
