"""Servers as one would run them where others are: TLS, users with passwords, and no more rights than a role needs.

    authority = Authority(folder)
    with SecuredKafka(folder, authority, {"ingest": "its password"}) as kafka:
        kafka.options("ingest")       # TIDEWATCH_KAFKA_OPTIONS of that role

Rights are those of deploy/kafka/acls.csv, so what that file says is what the tests ran with.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import trustme
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from workers.local.kafka import KafkaServer
from workers.local.ports import HOST, free_port
from workers.settings import REPOSITORY

ACLS = REPOSITORY / "deploy" / "kafka" / "acls.csv"
ITERATIONS = 4096  # of SCRAM: the least that Kafka takes
ANSWER_S = 20.0
KINDS = {
    "topic": ResourceType.TOPIC,
    "group": ResourceType.GROUP,
    "transactional-id": ResourceType.TRANSACTIONAL_ID,
    "cluster": ResourceType.BROKER,  # librdkafka's number for the cluster
}


class Identity(NamedTuple):
    """A certificate and its key, as PEM files; `encrypted` is the key again under `password`."""

    certificate: Path
    key: Path
    encrypted: Path
    password: str


class Authority:
    """A certificate authority of the test's own; `file` is what clients trust."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ca = trustme.CA()
        self.file = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(self.file)

    def issue(self, name: str, *hosts: str, password: str = "key-password") -> Identity:
        """A certificate for `hosts` (names or addresses), with common name `name`."""
        leaf = self._ca.issue_cert(*hosts, common_name=name)
        certificate = self.folder / f"{name}.pem"
        certificate.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        # PKCS #8, the one form that Kafka reads; trustme writes the older one.
        key = load_pem_private_key(leaf.private_key_pem.bytes(), None)
        plain, encrypted = self.folder / f"{name}.key", self.folder / f"{name}.encrypted.key"
        plain.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        lock = BestAvailableEncryption(password.encode())
        encrypted.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock))
        return Identity(certificate, plain, encrypted, password)


class SecuredKafka:
    """One broker with three doors: the operator's (plain, this test only), SASL_SSL with SCRAM, and mutual TLS.

    The operator's door makes the users; nobody else uses it. Whoever comes in by another may do what its ACLs say.
    """

    def __init__(self, folder: Path, authority: Authority, passwords: Mapping[str, str]) -> None:
        self.authority, self.passwords = authority, dict(passwords)
        port, scram, mutual, controller = free_port(), free_port(), free_port(), free_port()
        broker = authority.issue("broker", "localhost")
        store = folder / "broker-store.pem"
        store.write_bytes(broker.key.read_bytes() + broker.certificate.read_bytes())
        doors = f"PLAINTEXT://{HOST}:{port},SCRAM://{HOST}:{scram},MUTUAL://{HOST}:{mutual}"
        # Clients are told the name that the certificate holds.
        told = f"PLAINTEXT://{HOST}:{port},SCRAM://localhost:{scram},MUTUAL://localhost:{mutual}"
        self.address, self.mutual = f"localhost:{scram}", f"localhost:{mutual}"
        self.server = KafkaServer(
            folder / "kafka",
            port=port,
            settings={
                "listeners": f"{doors},CONTROLLER://{HOST}:{controller}",
                "advertised.listeners": told,
                "controller.quorum.bootstrap.servers": f"{HOST}:{controller}",
                "listener.security.protocol.map": (
                    "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SCRAM:SASL_SSL,MUTUAL:SSL"
                ),
                "inter.broker.listener.name": "PLAINTEXT",
                "ssl.keystore.type": "PEM",
                "ssl.keystore.location": store,
                "ssl.truststore.type": "PEM",
                "ssl.truststore.location": authority.file,
                "ssl.client.auth": "none",
                "listener.name.mutual.ssl.client.auth": "required",
                "sasl.enabled.mechanisms": "SCRAM-SHA-512",
                "listener.name.scram.scram-sha-512.sasl.jaas.config": (
                    "org.apache.kafka.common.security.scram.ScramLoginModule required;"
                ),
                "ssl.principal.mapping.rules": "RULE:^CN=([^,]+).*$/$1/,DEFAULT",
                "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
                "super.users": "User:ANONYMOUS",
            },
        )

    def __enter__(self) -> Self:
        self.server.start()
        admin = AdminClient({"bootstrap.servers": self.server.address, "log_level": 0})
        made = admin.alter_user_scram_credentials(
            [
                UserScramCredentialUpsertion(
                    name, ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, ITERATIONS), password.encode()
                )
                for name, password in self.passwords.items()
            ]
        )
        allowed = admin.create_acls([acl for acl in acls() if acl.principal.removeprefix("User:") in self.passwords])
        for future in [*made.values(), *allowed.values()]:
            future.result(ANSWER_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.stop()

    def options(self, role: str, **changes: Any) -> dict[str, Any]:
        """librdkafka's options of a role at the SCRAM door; `changes` with `_` for `.`, `...` leaves one out."""
        options = {
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": role,
            "sasl.password": self.passwords[role],
            "ssl.ca.location": str(self.authority.file),
        }
        options |= {name.replace("_", "."): value for name, value in changes.items()}
        return {name: value for name, value in options.items() if value is not ...}

    def mutual_options(self, identity: Identity) -> dict[str, Any]:
        """librdkafka's options at the door of mutual TLS, with a key that is locked by its password."""
        return {
            "security.protocol": "SSL",
            "ssl.ca.location": str(self.authority.file),
            "ssl.certificate.location": str(identity.certificate),
            "ssl.key.location": str(identity.encrypted),
            "ssl.key.password": identity.password,
        }

    def env(self, role: str) -> dict[str, str]:
        """The environment of a worker or command of that role."""
        return {"TIDEWATCH_KAFKA": self.address, "TIDEWATCH_KAFKA_OPTIONS": json.dumps(self.options(role))}


def acls(path: Path = ACLS) -> Iterator[AclBinding]:
    """The rights that the file lists."""
    with path.open(encoding="utf-8") as file:
        for role, kind, name, operations in csv.reader(line for line in file if not line.startswith("#")):
            prefix = name.removesuffix("*")
            literal = prefix == name or not prefix  # `*` alone is Kafka's own word for all
            for operation in operations.split():
                yield AclBinding(
                    KINDS[kind],
                    name if literal else prefix,
                    ResourcePatternType.LITERAL if literal else ResourcePatternType.PREFIXED,
                    f"User:{role}",
                    "*",
                    AclOperation[operation],
                    AclPermissionType.ALLOW,
                )
