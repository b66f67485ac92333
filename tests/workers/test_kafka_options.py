"""TIDEWATCH_KAFKA_OPTIONS: what is refused, by name and without its value; what Faust's consumer makes of the rest."""

from __future__ import annotations

import ssl
from pathlib import Path

import faust
import pytest

from tests.workers.secured import Authority
from workers.faust_login import HONOURED, faust_credentials
from workers.kafka_options import OURS, check_options
from workers.settings import Settings

SECRET = "s3cr3t-Passw0rd"
SCRAM = {"sasl.mechanism": "SCRAM-SHA-512", "sasl.username": "me", "sasl.password": SECRET}


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"no.such.option": SECRET}, "no.such.option"),
        ({"sasl.password": SECRET}, "sasl.password would do nothing with security.protocol PLAINTEXT"),
        (SCRAM | {"security.protocol": "SSL"}, "sasl.mechanism, sasl.password, sasl.username would do nothing"),
        ({"security.protocol": "SASL_PLAINTEXT", "ssl.ca.location": "x", **SCRAM}, "ssl.ca.location would do nothing"),
        ({"security.protocol": "SSL", "ssl.ca.location": "/no/such/file"}, "ssl.ca.location"),
        ({"security.protocol": "SSL", "ssl.key.pem": SECRET}, "ssl.key.pem"),
        ({"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN", "sasl.password": SECRET}, "sasl.username"),
        ({"security.protocol": "SASL_SSL", **SCRAM, "sasl.password": {SECRET: 1}}, "every value is"),
        ({"socket.timeout.ms": SECRET}, "socket.timeout.ms"),
        *(({name: SECRET}, f"{name} cannot be set") for name in OURS),
    ],
)
def test_an_option_is_refused_by_name_and_without_its_value(options: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match="TIDEWATCH_KAFKA_OPTIONS") as refusal:
        Settings(kafka_options=options)
    assert named in str(refusal.value)
    assert SECRET not in str(refusal.value)


def test_settings_can_be_printed() -> None:
    settings = Settings(
        kafka_options=SCRAM | {"security.protocol": "SASL_SSL"}, redis=f"rediss://me:{SECRET}@host/0",
        webhook=f"https://host/{SECRET}", alertmanager=f"http://me:{SECRET}@host", webhook_secret=SECRET,
    )  # fmt: skip
    assert SECRET not in repr(settings)
    assert SECRET not in str(settings)


def test_what_the_ingest_worker_may_have_and_the_others_not() -> None:
    check_options({"socket.keepalive.enable": True, "queued.max.messages.kbytes": 1024})
    with pytest.raises(ValueError, match=r"cannot honour queued.max.messages.kbytes, socket.keepalive.enable"):
        faust_credentials({"socket.keepalive.enable": True, "queued.max.messages.kbytes": 1024, "client.id": "me"})
    assert not HONOURED & set(OURS)


@pytest.mark.parametrize("mechanism", [None, "GSSAPI", "OAUTHBEARER"])
def test_a_mechanism_that_faust_cannot_use_is_refused(mechanism: str | None) -> None:
    options = {"security.protocol": "SASL_SSL", "sasl.username": "me", "sasl.password": SECRET}
    with pytest.raises(ValueError, match=mechanism or "GSSAPI"):
        faust_credentials(options if mechanism is None else options | {"sasl.mechanism": mechanism})


def test_no_options_are_no_credentials() -> None:
    assert faust_credentials({}) is None
    assert faust_credentials({"security.protocol": "PLAINTEXT", "client.id": "me"}) is None


def test_names_and_passwords_reach_faust(tmp_path: Path) -> None:
    plain = faust_credentials(SCRAM | {"security.protocol": "sasl_plaintext"})
    assert isinstance(plain, faust.SASLCredentials)
    assert (plain.protocol.value, plain.mechanism.value) == ("SASL_PLAINTEXT", "SCRAM-SHA-512")
    assert (plain.username, plain.password, plain.ssl_context) == ("me", SECRET, None)
    assert SECRET not in repr(plain)
    both = faust_credentials(
        SCRAM | {"security.protocol": "SASL_SSL", "ssl.ca.location": str(Authority(tmp_path).file)}
    )
    assert isinstance(both, faust.SASLCredentials)
    assert both.protocol.value == "SASL_SSL"
    assert both.ssl_context is not None
    assert (both.ssl_context.check_hostname, both.ssl_context.verify_mode) == (True, ssl.CERT_REQUIRED)


@pytest.mark.parametrize(
    ("option", "value", "checks_name", "checks_authority"),
    [
        ("ssl.endpoint.identification.algorithm", "https", True, True),
        ("ssl.endpoint.identification.algorithm", "none", False, True),
        ("enable.ssl.certificate.verification", False, False, False),
        ("enable.ssl.certificate.verification", "false", False, False),
        ("enable.ssl.certificate.verification", True, True, True),
        ("ssl.ca.location", "probe", True, True),
    ],
)
def test_what_is_checked_of_the_broker(option: str, value: object, checks_name: bool, checks_authority: bool) -> None:
    login = faust_credentials({"security.protocol": "SSL", option: value})
    assert isinstance(login, faust.SSLCredentials)
    assert login.context.check_hostname is checks_name
    assert (login.context.verify_mode == ssl.CERT_REQUIRED) is checks_authority


def test_a_key_under_a_password(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    me = authority.issue("me", "me.example", password=SECRET)
    options: dict[str, object] = {
        "security.protocol": "SSL", "ssl.certificate.location": str(me.certificate),
        "ssl.key.location": str(me.encrypted), "ssl.key.password": SECRET,
    }  # fmt: skip
    check_options(options)
    assert isinstance(faust_credentials(options), faust.SSLCredentials)
    for wrong in ({**options, "ssl.key.password": "wrong"}, {k: v for k, v in options.items() if "password" not in k}):
        with pytest.raises(ValueError, match=r"ssl.key") as refusal:
            faust_credentials(wrong)
        assert SECRET not in str(refusal.value)
    with pytest.raises(ValueError, match="go together"):
        faust_credentials({"security.protocol": "SSL", "ssl.key.location": str(me.key)})
