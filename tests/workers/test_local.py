import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from workers.local import Servers, ports
from workers.local.errors import ChooseAnotherError, InstallFirstError, ReadItsLogError
from workers.local.folder import DataFolder
from workers.local.kafka import KafkaServer
from workers.local.redis import RedisServer, find_redis

BOUND_S = 30.0


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + BOUND_S
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {BOUND_S} s"
        threading.Event().wait(0.02)


def gone(pid: int) -> bool:
    """Ended, or ended and only waiting for its parent to look (the parent of an orphan may be slow to)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_no_redis_to_be_found_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InstallFirstError, match="apt-get install redis-server") as error:
        find_redis()
    assert "TIDEWATCH_REDIS" in str(error.value)


@pytest.mark.parametrize("name", ["redis-server", "valkey-server"])
def test_a_redis_on_the_path_comes_before_the_wheels(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / name).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_redis() == tmp_path / name


def test_older_redis_does_not_touch_data_of_a_newer_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    old = tmp_path / "redis-server"
    old.write_text("#!/bin/sh\necho 'Redis server v=6.2.14 sha=0'\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    (tmp_path / "data" / "appendonlydir").mkdir(parents=True)
    with pytest.raises(ChooseAnotherError, match="newer"):
        RedisServer(tmp_path / "data").start()


def test_a_taken_port_is_named() -> None:
    with socket.create_server((ports.HOST, ports.free_port())) as other:
        port = other.getsockname()[1]
        with pytest.raises(ChooseAnotherError, match=f"port {port} .*Kafka"):
            ports.claim(port, "Kafka")


def test_a_port_is_given_once_though_nobody_listens_on_it_yet() -> None:
    few = range(31_900, 32_000)
    mine = [ports.free_port(few) for _ in range(20)]
    assert len(set(mine)) == 20
    ask = f"from workers.local import ports; print([p for p in {mine} if ports.reserve(p)])"
    other = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, timeout=BOUND_S, check=True)
    assert other.stdout.strip() == "[]"


def test_a_folder_in_use_names_its_owner(tmp_path: Path) -> None:
    first = DataFolder(tmp_path)
    with pytest.raises(ChooseAnotherError, match=f"process {os.getpid()}"):
        DataFolder(tmp_path)
    first.close()
    DataFolder(tmp_path).close()


@pytest.mark.servers
def test_redis_keeps_what_it_acknowledged_through_kill_9(tmp_path: Path) -> None:
    server = RedisServer(tmp_path, appendfsync="always")
    server.start()
    try:
        with redis.Redis.from_url(server.url) as client:
            client.set("k", "v")
        server.kill()
        assert not server.running()
        with pytest.raises(ReadItsLogError, match="exit code -9"):
            server.check()
        server.start()
        with redis.Redis.from_url(server.url) as client:
            assert client.get("k") == b"v"
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
            assert client.config_get("bind") == {"bind": "127.0.0.1"}
    finally:
        server.stop()


@pytest.mark.servers
def test_a_server_outlives_the_thread_that_started_it(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    starter = threading.Thread(target=server.start)
    starter.start()
    starter.join(BOUND_S)
    try:
        with redis.Redis.from_url(server.url) as client:
            assert client.ping()
    finally:
        server.stop()


@pytest.mark.servers
def test_a_failed_start_shows_the_end_of_its_log(tmp_path: Path) -> None:
    with pytest.raises(ReadItsLogError, match="nonsense"):
        RedisServer(tmp_path / "redis", settings={"nonsense": 1}).start()
    with pytest.raises(ReadItsLogError, match=r"num\.io\.threads"):
        KafkaServer(tmp_path / "kafka", settings={"num.io.threads": "many"}).start()


OWNER = """
import sys, signal
from pathlib import Path
from workers.local.folder import DataFolder
from workers.local.redis import RedisServer
folder = DataFolder(Path(sys.argv[1]))
server = RedisServer(folder.path / "redis", keep_open=(folder.fd,))
server.start()
print(server.pid, flush=True)
signal.pause()
"""


@pytest.mark.servers
@pytest.mark.skipif(sys.platform != "linux", reason="the death signal is Linux's")
def test_servers_die_with_a_killed_parent_and_give_the_folder_back(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        assert not gone(pid)
        owner.kill()
    DataFolder(tmp_path).close()  # waits for the orphan to be gone
    wait_for(lambda: gone(pid), "the orphan's end")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Servers that only this file uses, so that killing them hurts nobody."""
    with Servers(tmp_path_factory.mktemp("own")) as both:
        yield both


def send_in_a_transaction(kafka: str, topic: str, value: bytes) -> None:
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.create_topics([NewTopic(topic, 1, config={"max.message.bytes": str(32 * 1024 * 1024)})])[topic].result(
        BOUND_S
    )
    producer = Producer(
        {"bootstrap.servers": kafka, "transactional.id": topic, "message.max.bytes": 32 * 1024 * 1024, "linger.ms": 0}
    )
    producer.init_transactions(BOUND_S)
    producer.begin_transaction()
    producer.produce(topic, value)
    producer.commit_transaction(BOUND_S)


def first_record(kafka: str, topic: str) -> bytes | None:
    consumer = Consumer(
        {
            "bootstrap.servers": kafka,
            "group.id": f"reader-{time.monotonic_ns()}",
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
        }
    )
    consumer.subscribe([topic])
    try:
        message = consumer.poll(BOUND_S)
        assert message is not None
        assert message.error() is None
        return message.value()
    finally:
        consumer.close()


@pytest.mark.servers
@pytest.mark.parametrize("ending", ["restart", "kill"])
def test_kafka_keeps_a_committed_transaction(own: Servers, ending: str) -> None:
    topic = f"kept-through-{ending}"
    send_in_a_transaction(own.kafka, topic, b"one")
    assert first_record(own.kafka, topic) == b"one"
    if ending == "restart":
        own.kafka_server.restart()
    else:
        own.kafka_server.kill()
        own.kafka_server.start()
    assert first_record(own.kafka, topic) == b"one"


@pytest.mark.servers
def test_a_message_of_thirty_megabytes_passes(own: Servers) -> None:
    send_in_a_transaction(own.kafka, "large", bytes(30 * 1024 * 1024))
    assert first_record(own.kafka, "large") == bytes(30 * 1024 * 1024)


@pytest.mark.servers
def test_a_second_set_of_servers_is_refused(own: Servers) -> None:
    with pytest.raises(ChooseAnotherError, match="in use by the local servers of process"):
        Servers(own.dir)


@pytest.mark.servers
def test_up_prints_addresses_ends_on_a_signal_and_starts_again_on_its_folder(tmp_path: Path) -> None:
    call = f"from pathlib import Path; from workers.local import run_up; run_up(Path({str(tmp_path)!r}), None, None)"
    for number in (signal.SIGTERM, signal.SIGINT):
        with subprocess.Popen(
            [sys.executable, "-c", call], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as up:
            assert up.stdout is not None
            addresses = dict(up.stdout.readline().strip().split("=", 1) for _ in range(2))
            assert set(addresses) == {"TIDEWATCH_KAFKA", "TIDEWATCH_REDIS"}
            with redis.Redis.from_url(addresses["TIDEWATCH_REDIS"]) as client:
                redis_pid = client.info()["process_id"]
                assert client.incr("starts") == (1 if number == signal.SIGTERM else 2)
            assert AdminClient({"bootstrap.servers": addresses["TIDEWATCH_KAFKA"]}).list_topics(timeout=BOUND_S).brokers
            up.send_signal(number)
            _, said = up.communicate(timeout=BOUND_S)
        assert up.returncode == 0, said
        assert "ended Kafka and Redis" in said
        assert gone(redis_pid)
