"""Make Java's archive of Kafka's classes: `python -m workers.local.training`, once for a Java and a Kafka.

A broker starts, carries a transaction from a producer to a group, and ends; Java notes what it loaded. Eight seconds of
a processor.
"""

from __future__ import annotations

import fcntl
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from workers.local.archive import archive_path, outdated
from workers.local.errors import LocalError, ReadItsLogError
from workers.local.jars import Progress, cache_folder, class_path
from workers.local.kafka import KafkaServer, java_of, jvm_options
from workers.local.servers import to_stderr

MAKE_S = 120.0  # 3 s usual
ANSWER_S = 30.0  # of a broker that has just started
TOPIC = "training"


def make_archive(progress: Progress, cache: Path | None = None) -> Path:
    """Make the archive unless it is there; returns its path.

    Raises LocalError, KafkaException or OSError when it cannot be made: all works without it, only slower.
    """
    cache = cache or cache_folder()
    java, jars = java_of(), class_path(progress)
    archive = archive_path(java, jars, cache)
    cache.mkdir(parents=True, exist_ok=True)
    # Two processes that want it at once: the second waits and then finds it.
    with (cache / "archive.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not archive.exists():
            progress(f"making Java's archive of Kafka's classes, only this once (kept in {archive})")
            with tempfile.TemporaryDirectory(dir=cache, prefix="training-") as folder:
                whole = _make(Path(folder), java, jars, progress)
                whole.rename(archive)  # never half of one under its name
            for path in outdated(archive):
                path.unlink(missing_ok=True)
    return archive


def _make(folder: Path, java: Path, jars: list[Path], progress: Progress) -> Path:
    noted, archive = folder / "noted", folder / "archive"
    server = KafkaServer(
        folder / "kafka",
        java_options=["-XX:AOTMode=record", f"-XX:AOTConfiguration={noted}", "-Xlog:aot*=off"],
        progress=progress,
    )
    server.start()
    try:
        _carry(server.address)
    finally:
        server.stop()  # it writes its notes at its end
    made = subprocess.run(
        [
            *(java, *jvm_options(server.heap_mb), "-XX:AOTMode=create", f"-XX:AOTConfiguration={noted}"),
            *(f"-XX:AOTCache={archive}", "-Xlog:aot*=off", "-cp", ":".join(map(str, jars))),
        ],
        capture_output=True,
        text=True,
        timeout=MAKE_S,
        check=False,
    )
    if made.returncode != 0 or not archive.exists():
        raise ReadItsLogError(
            f"Java made no archive (exit code {made.returncode}). It said:\n{made.stdout}{made.stderr}"
        )
    return archive


def _carry(kafka: str) -> None:
    """A transaction to a topic, and a group that reads it: what every worker makes a broker do."""
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.create_topics([NewTopic(TOPIC, 1, 1)])[TOPIC].result(ANSWER_S)
    producer = Producer({"bootstrap.servers": kafka, "transactional.id": TOPIC, "compression.type": "zstd"})
    producer.init_transactions(ANSWER_S)
    producer.begin_transaction()
    producer.produce(TOPIC, b"value", b"key")
    producer.commit_transaction(ANSWER_S)
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": TOPIC, "auto.offset.reset": "earliest"})
    try:
        consumer.subscribe([TOPIC])
        deadline = time.monotonic() + ANSWER_S
        while (message := consumer.poll(0.1)) is None or message.error() is not None:
            if time.monotonic() > deadline:
                raise ReadItsLogError(f"the broker at {kafka} gave nothing within {ANSWER_S:g} s: this machine is busy")
        consumer.commit(asynchronous=False)
    finally:
        consumer.close()


def main() -> int:
    """The command; returns the exit code. That there is no archive is no failure: it is said, and all works without."""
    try:
        make_archive(to_stderr)
    except (LocalError, KafkaException, OSError, subprocess.TimeoutExpired) as error:
        to_stderr(f"no archive of Kafka's classes, so each of its starts takes a second more: {error}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
