"""No secret in any output: logs, errors, metrics, health, command lines; on good ways and on bad ones.

Each secret is planted where a person puts it (the environment), the workers and commands run with it and with wrong
ones, librdkafka's and asyncio's own debugging are on, and then everything that anybody could read is searched.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import traceback
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import aiohttp
import psutil
import pytest
from typer.testing import CliRunner

from tests.waiting import eventually
from tests.workers.desk import event
from tests.workers.secured import Authority, SecuredKafka
from tests.workers.small import CITIES, INDICATORS, SYSTEM, TEXT
from workers.alert_call import Caller
from workers.cli import main
from workers.crew import Crew
from workers.drained import wait_until_drained
from workers.feed import Outbox
from workers.local.ports import free_port
from workers.local.redis import RedisServer
from workers.logs import configure
from workers.masked import masked, origin
from workers.prepare import prepare_topics
from workers.settings import REPOSITORY, Settings

STILL_S = 40.0
KAFKA, REDIS, SIGNS, PATH, USER, KEY, MANAGER = (
    f"planted-{what}-0f3c" for what in ("kafka", "redis", "signature", "webhook-path", "webhook-user", "key", "manager")
)
SECRETS = (KAFKA, REDIS, SIGNS, PATH, USER, KEY, MANAGER)


class Repeats(BaseHTTPRequestHandler):
    """A receiver that refuses, and repeats in its answer what it was asked."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        answer = f"no: {self.path} {self.headers.get('Authorization')}".encode()
        self.send_response(500)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def refuses() -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), Repeats)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


def said_by_http(port: int) -> str:
    said = ""
    for path in ("/metrics", "/healthz", "/readyz", "/nothing"):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
                said += f"{answer.headers}{answer.read().decode()}"
        except urllib.error.HTTPError as refusal:
            said += f"{refusal.headers}{refusal.read().decode()}"
    return said


def command_lines(pids: Iterable[int]) -> str:
    """Of these processes and all that they have started, as `ps` shows them."""
    said = ""
    for pid in pids:
        process = psutil.Process(pid)
        for each in (process, *process.children(recursive=True)):
            said += Path(f"/proc/{each.pid}/cmdline").read_text() + Path(f"/proc/{each.pid}/comm").read_text()
    return said


@pytest.mark.servers
def test_no_secret_is_told(tmp_path: Path, refuses: int) -> None:
    authority = Authority(tmp_path)
    me = authority.issue("me", "me.example", password=KEY)
    roles = ("ingest", "index", "alert", "operator", "reader")
    users = tmp_path / "users.acl"
    users.write_text(
        f"user default on nopass -@all +ping +info +hello\nuser all on >{REDIS} ~* +@all\n", encoding="utf-8"
    )
    redis = RedisServer(tmp_path / "redis", settings={"aclfile": users})
    systems = tmp_path / "systems"
    systems.mkdir()
    (systems / "small.toml").write_text(TEXT, encoding="utf-8")
    shutil.copy(REPOSITORY / "systems" / "alerts.toml", systems)
    with SecuredKafka(tmp_path, authority, dict.fromkeys(roles, KAFKA)) as kafka:
        redis.start()
        crew = Crew(tmp_path / "workers", kafka.address, "", {})
        told: dict[str, str] = {}
        try:
            good = f"redis://all:{REDIS}@127.0.0.1:{redis.port}/0"
            common = {
                "TIDEWATCH_REDIS": good, "TIDEWATCH_SYSTEMS": str(systems), "TIDEWATCH_SESSION_S": "6",
                "TIDEWATCH_PARTITIONS": "1", "TIDEWATCH_WEBHOOK_SECRET": SIGNS,
                "TIDEWATCH_WEBHOOK": f"http://{USER}:{USER}@127.0.0.1:{refuses}/services/{PATH}?token={PATH}",
                "TIDEWATCH_ALERTMANAGER": f"http://me:{MANAGER}@127.0.0.1:{refuses}/{PATH}",
                "COLUMNS": "300", "RUST_BACKTRACE": "1",
            }  # fmt: skip
            locked = {"ssl.certificate.location": str(me.certificate), "ssl.key.location": str(me.encrypted)}
            locked["ssl.key.password"] = KEY

            def env(role: str, **more: str) -> dict[str, str]:
                options = {**kafka.options(role), **locked, **more}
                return {**common, "TIDEWATCH_KAFKA": kafka.address, "TIDEWATCH_KAFKA_OPTIONS": json.dumps(options)}

            prepare_topics(Settings(kafka=kafka.address, kafka_options=kafka.options("operator"), partitions=1))
            ports: dict[str, int] = {}

            def start(name: str, role: str, **more: str) -> None:
                ports[name] = free_port()
                crew.start(name, role, env={"TIDEWATCH_HTTP_PORT": str(ports[name]), **env(role), **more})

            debugging = {"TIDEWATCH_KAFKA_OPTIONS": env("ingest", debug="all")["TIDEWATCH_KAFKA_OPTIONS"]}
            start("ingest", "ingest", TIDEWATCH_LOG_FORMAT="json", PYTHONASYNCIODEBUG="1", **debugging)
            start("index", "index")
            start("alert", "alert")
            outbox = Outbox(kafka.address, kafka.options("operator"))
            outbox.put(
                (
                    None,
                    event(
                        source=source,
                        seq=n,
                        city=city,
                        indicator=indicator,
                        value=n,
                        at=f"2021-0{month}-01T08:00:00+08:00",
                    ),
                )
                for month, source in ((2, "one"), (2, "two"), (5, "two"))
                for n, (city, indicator) in enumerate(((c, i) for c in CITIES for i in INDICATORS), month * 100)
            )
            outbox.flush()
            options = kafka.options("reader")
            wait_until_drained(kafka.address, good, outbox.ends(), [SYSTEM], timeout_s=STILL_S, options=options)
            eventually(lambda: "alerts begin" in crew.log("alert"), STILL_S, lambda: crew.log("alert"))
            for name in ("ingest", "index", "alert"):
                told[f"http of {name}"] = said_by_http(ports[name])
            told["ps"] = command_lines([*(worker.pid for worker in crew.workers.values()), redis.pid])
            abort(crew, "alert")  # native code that crashes leaves a stack
            # And those that are not let in, each by another door.
            wrong = json.dumps({**kafka.options("ingest"), "sasl.password": f"{KAFKA}-wrong"})
            start("wrong-kafka", "ingest", TIDEWATCH_KAFKA_OPTIONS=wrong)
            start("wrong-redis", "index", TIDEWATCH_REDIS=good.replace(REDIS, f"{REDIS}-wrong"))
            start("no-redis", "ingest", TIDEWATCH_REDIS=f"redis://x:{REDIS}@127.0.0.1:1/0")
            crew.kill("ingest")  # so that they get something to do
            crew.kill("index")
            for name in ("wrong-kafka", "wrong-redis", "no-redis"):
                waits(crew, name)
            for name in ("wrong-redis", "no-redis"):  # the other one serves nothing before Kafka has let it in
                told[f"http of {name}"] = said_by_http(ports[name])
            told["ps of the refused"] = command_lines(worker.pid for worker in crew.workers.values())

            wrong_redis = good.replace(REDIS, f"{REDIS}-wrong")
            bad_redis = good.replace(REDIS, f"{REDIS}/?#wrong")  # `/` in a password: no URL any more
            for role, change, command in (
                ("operator", {"TIDEWATCH_REDIS": wrong_redis, "TIDEWATCH_KAFKA_OPTIONS": wrong}, ("doctor",)),
                ("operator", {"TIDEWATCH_REDIS": bad_redis}, ("doctor",)),
                ("operator", {"TIDEWATCH_REDIS": bad_redis}, ("verify", SYSTEM)),
                ("operator", {"TIDEWATCH_REDIS": good.replace(str(redis.port), "1")}, ("catalogue", "show")),
                ("operator", {"TIDEWATCH_REDIS": f"nonsense://{REDIS}@x"}, ("feed", "--file", "/dev/null")),
                ("reader", {}, ("alerts", "list", "--json")),
                ("reader", {"TIDEWATCH_KAFKA_OPTIONS": f'{{"sasl.password": "{KAFKA}"}}'}, ("dlq", "list")),
                ("reader", {"TIDEWATCH_KAFKA_OPTIONS": f'{{"sasl.password": "{KAFKA}"'}, ("dlq", "list")),
                ("reader", {"TIDEWATCH_KAFKA_OPTIONS": f'["{KAFKA}"]'}, ("dlq", "list")),
                ("reader", {"TIDEWATCH_WEBHOOK": f"{PATH}://x/{PATH}"}, ("alert",)),
            ):  # fmt: skip
                done = CliRunner().invoke(main, list(command), env={**env(role), **change})
                text = done.output + "".join(traceback.format_exception(done.exception) if done.exception else ())
                told[f"{' '.join(command)} {sorted(change)} {len(told)}"] = text
        finally:
            crew.stop()
            redis.stop()
        for path in (tmp_path / "workers").glob("*.log"):
            told[path.name] = path.read_text(encoding="utf-8", errors="replace")
        assert "Fatal Python error: Aborted" in told["alert.log"]
        assert "sasl_scram" in told["ingest.log"] or "SCRAM" in told["ingest.log"], "librdkafka's debugging is not on"
        leaks = [
            (where, secret, around(text, secret))
            for where, text in told.items()
            for secret in SECRETS
            if secret in text
        ]
        assert not leaks, leaks


def waits(crew: Crew, name: str) -> None:
    eventually(lambda: "waiting" in crew.log(name), STILL_S, lambda: crew.log(name))


def abort(crew: Crew, name: str) -> None:
    worker = crew.workers[name]
    worker.send(signal.SIGABRT)
    eventually(lambda: not worker.running(), STILL_S)
    del crew.workers[name]


def around(text: str, secret: str) -> str:
    at = text.index(secret)
    return text[max(0, at - 150) : at + 60]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("redis://me:pw@host:1/0", "redis://***@host:1/0"),
        ("at redis://me:p@w@host, and rediss+cluster://:x@h1:1,h2:2", "at redis://***@host, and rediss+cluster://***@h1:1,h2:2"),
        ("redis://host:1/0?password=pw&db=1", "redis://host:1/0?password=***&db=1"),
        ("redis+sentinel://h:1/0?master=x&sentinel_password=pw", "redis+sentinel://h:1/0?master=x&sentinel_password=***"),
        ("https://host/hook?token=pw", "https://host/hook?token=***"),
        ("nothing to hide: a@b", "nothing to hide: a@b"),
    ],
)  # fmt: skip
def test_masked(text: str, shown: str) -> None:
    assert masked(text) == shown


def test_of_a_webhook_only_the_server_is_shown() -> None:
    assert origin("https://me:pw@hooks.example:8443/services/T0/B0/XX?token=a") == "https://hooks.example:8443/***"
    assert origin("http://localhost:9093/") == "http://localhost:9093"
    caller = Caller("webhook", f"https://hooks.example/{PATH}", lambda: 0.0, None)
    assert PATH not in repr(caller)
    with pytest.raises(ValueError, match="TIDEWATCH_WEBHOOK") as refusal:
        Caller("webhook", f"ftp://hooks.example/{PATH}", lambda: 0.0, None)
    assert PATH not in str(refusal.value)


async def test_a_receiver_that_repeats_what_it_got_tells_nobody(
    refuses: int, capsys: pytest.CaptureFixture[str]
) -> None:
    configure()
    async with aiohttp.ClientSession() as session:
        for url in (
            f"http://{USER}:{MANAGER}@127.0.0.1:{refuses}/services/{PATH}?token={KEY}",
            f"http://{USER}:{MANAGER}@127.0.0.1:1/services/{PATH}?token={KEY}",
            f"http://{USER}:{MANAGER}@no-such-host.invalid/services/{PATH}?token={KEY}",
        ):
            assert await Caller("webhook", url, lambda: 0.0, None).post(session, b"{}", {}) in (0, 500)
    said = capsys.readouterr().err
    assert said.count("notification failed") == 3
    assert not [secret for secret in SECRETS if secret in said], said


def test_the_environment_is_the_owners_only(tmp_path: Path) -> None:
    """Where the secrets stand: /proc/<pid>/environ is readable by the same user and root only."""
    child = subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env={**os.environ, "X": KEY}, cwd=tmp_path
    )
    try:
        assert Path(f"/proc/{child.pid}/environ").stat().st_mode & 0o077 == 0
    finally:
        child.communicate(b"\n", timeout=20)
