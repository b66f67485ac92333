"""Both local servers in one folder: started together, ended together, and `tidewatch up`.

<dir>/lock      who has the folder
<dir>/kafka/    server.properties, data, kafka.log
<dir>/redis/    redis.conf, the append-only file, redis.log
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from workers.local.folder import DataFolder
from workers.local.jars import Progress
from workers.local.kafka import KafkaServer
from workers.local.redis import AppendFsync, RedisServer

KAFKA_PORT = 9092
REDIS_PORT = 6379
LOOK_S = 1.0  # how soon `run_up` notices that a server has died


def to_stderr(line: str) -> None:
    """A progress callback: one line to standard error."""
    print(line, file=sys.stderr, flush=True)


class Servers:
    """A Kafka and a Redis of this process's own. `with Servers(folder) as servers: ... servers.kafka, servers.redis`.

    They die with this process, however it ends (Linux), and `stop` ends them in good order.
    """

    def __init__(
        self,
        dir: Path,
        kafka_port: int | None = None,
        redis_port: int | None = None,
        *,
        progress: Progress = lambda line: None,
        appendfsync: AppendFsync = "everysec",
        redis_settings: Mapping[str, object] | None = None,
        kafka_settings: Mapping[str, object] | None = None,
    ) -> None:
        """Take the folder (made if absent) and the ports (None: free ones); start nothing yet.

        `progress` gets a line per long step; `appendfsync` is Redis's; `redis_settings` and `kafka_settings` go over
        ours, by the servers' own names. Raises ChooseAnotherError when the folder or a port is in use.
        """
        self._folder = DataFolder(dir)
        try:
            inherit = (self._folder.fd,)
            self.kafka_server = KafkaServer(
                self._folder.path / "kafka",
                port=kafka_port,
                settings=kafka_settings,
                keep_open=inherit,
                progress=progress,
            )
            self.redis_server = RedisServer(
                self._folder.path / "redis",
                port=redis_port,
                appendfsync=appendfsync,
                settings=redis_settings,
                keep_open=inherit,
                progress=progress,
            )
        except BaseException:
            self._folder.close()
            raise

    @property
    def dir(self) -> Path:
        """The folder, absolute."""
        return self._folder.path

    @property
    def kafka(self) -> str:
        """Kafka's bootstrap address, `host:port`."""
        return self.kafka_server.address

    @property
    def redis(self) -> str:
        """Redis's URL."""
        return self.redis_server.url

    def start(self) -> None:
        """Start both; returns when both serve. Raises a LocalError, and then nothing is left running."""
        try:
            self.redis_server.start()
            self.kafka_server.start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End both in good order and give the folder back. May be called twice; a Servers that was stopped stays so."""
        try:
            self.kafka_server.stop()
        finally:
            self.redis_server.stop()
            self._folder.close()

    def __enter__(self) -> Self:
        """Start both."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop both."""
        self.stop()


def run_up(
    dir: Path,
    kafka_port: int | None = KAFKA_PORT,
    redis_port: int | None = REDIS_PORT,
    announce: Callable[[Servers], None] = lambda servers: None,
) -> None:
    """`tidewatch up`: start both servers, print their addresses, and keep them until SIGINT, SIGTERM or SIGHUP.

    Standard output gets two lines that a shell can read (`TIDEWATCH_KAFKA=...`, `TIDEWATCH_REDIS=...`), standard error
    the rest; `announce` is called once they serve. Call it from the main thread. Raises LocalError when they do not
    start, or when one ends by itself.
    """
    ending = False

    def end(number: int, frame: object) -> None:
        nonlocal ending
        if not ending:  # impatience must not interrupt the ending itself
            ending = True
            raise KeyboardInterrupt

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        with Servers(dir, kafka_port, redis_port, progress=to_stderr) as servers:
            print(f"TIDEWATCH_KAFKA={servers.kafka}\nTIDEWATCH_REDIS={servers.redis}", flush=True)
            announce(servers)
            to_stderr(f"serving; data in {servers.dir}. Ctrl-C ends both.")
            while True:
                servers.kafka_server.check()
                servers.redis_server.check()
                time.sleep(LOOK_S)
    except KeyboardInterrupt:
        to_stderr("ended Kafka and Redis")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
