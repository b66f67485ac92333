"""The workers as services of a Faust application: start, supervision, signals and the end are Faust's.

Faust is configured down to what is used: no web server, no tables, no serializers of its own; the ingest worker even
without its Kafka client, since its position is Redis's to say (docs/decisions/whole-batches-beside-faust.md).
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import tempfile
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import faust
import structlog
from faust.app.base import BootStrategy
from mode import Service

from index.errors import CatalogueError, DefinitionError
from state.errors import StateError
from stream.errors import StreamError
from workers.faust_kafka import PatientTransport
from workers.faust_login import faust_credentials
from workers.health import Health, HealthServer
from workers.retry import PASSING
from workers.settings import Settings

log = structlog.get_logger(__name__)

# Errors that name what happened and what to do; anything else is a defect and is shown with its traceback.
FOR_PEOPLE = (StateError, StreamError, CatalogueError, DefinitionError, OSError)

# Asked to end, a worker finishes what is under way, which takes its servers' answers; what is not finished by then is
# read again by the next owner. After that nothing is left that matters, but Faust's client waits for a broker that is
# away for a minute and more: the process does not. Together below what supervisors grant (30 s in Kubernetes).
FINISH_S, LEAVE_S = 12.0, 3.0
LOOK_AGAIN_MS = 5_000


class _WithoutKafka(BootStrategy):
    enable_kafka = False
    enable_web = False
    enable_sensors = False


class _WithKafka(BootStrategy):
    enable_kafka_producer = False  # nothing is sent through Faust
    enable_web = False
    enable_sensors = False


def make_app(name: str, settings: Settings, *, kafka: bool) -> faust.App:
    """A Faust application `tidewatch-<name>`; `kafka`: whether Faust's own consumer is used (for agents).

    Errors: ValueError for an option of Kafka that Faust's consumer cannot honour.
    """
    addresses = ";".join(f"aiokafka://{address}" for address in settings.kafka.split(","))

    class App(faust.App):
        BootStrategy = _WithKafka if kafka else _WithoutKafka

        def _new_transport(self) -> PatientTransport:
            return PatientTransport(self.conf.broker_consumer, self)

    return App(
        f"tidewatch-{name}",
        broker=addresses,
        broker_credentials=faust_credentials(settings.kafka_options) if kafka else None,
        broker_client_id=str(settings.kafka_options.get("client.id", f"tidewatch-{name}")),
        store="memory://",
        datadir=tempfile.gettempdir(),
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        stream_wait_empty=False,
        consumer_auto_offset_reset="earliest",
        # A broker that has just started may not know `control` yet: who leads the group then gives nobody anything, and
        # it stays so until the client looks again, by default for five minutes.
        consumer_metadata_max_age_ms=LOOK_AGAIN_MS,
        broker_session_timeout=settings.session_s,
        broker_heartbeat_interval=max(0.5, settings.session_s / 5),
        worker_redirect_stdouts=False,
        autodiscover=False,
    )


class WorkerService(Service):
    """One worker's main task under Faust's supervision. A failure that needs a person ends the process with code 1."""

    def __init__(
        self, run: Callable[[], Awaitable[None]], end: Callable[[], None], health: Health, settings: Settings, **kw: Any
    ) -> None:
        super().__init__(**kw)
        self._run_worker, self._end_worker, self._health = run, end, health
        self._http = (
            None if settings.http_port is None else HealthServer(health, settings.http_host, settings.http_port)
        )
        self._task: asyncio.Task[None] | None = None
        self._ending = False

    async def on_start(self) -> None:
        """Serve health, and begin the work."""
        if self._http is not None:
            await self._http.start()
        self._task = asyncio.create_task(self._supervised())

    async def _supervised(self) -> None:
        try:
            await self._run_worker()
        except PASSING as error:
            if self._ending:  # while a server was away; what was not flushed is read again by the next owner
                log.info("ended while waiting", worker=self._health.name, reason=str(error))
                return
            self._health.failed = str(error)
            log.error("stopped", worker=self._health.name, reason=str(error))
            await self.crash(error)
        except FOR_PEOPLE as error:
            self._health.failed = str(error)
            log.error("stopped", worker=self._health.name, reason=str(error))
            await self.crash(error)
        except Exception as error:
            self._health.failed = repr(error)
            log.exception("defect", worker=self._health.name)
            await self.crash(error)

    async def on_stop(self) -> None:
        """Let the work end in good order: what is decoded is flushed."""
        self._ending = True
        self._end_worker()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=FINISH_S)
            self._task.cancel()
        # Its threads are cancelled at any place then, which is no news.
        threading.excepthook = _except_cancelled
        _leave_after(LEAVE_S, self._health)
        if self._http is not None:
            await self._http.stop()


def _except_cancelled(failure: threading.ExceptHookArgs) -> None:
    if not issubclass(failure.exc_type, asyncio.CancelledError):
        threading.__excepthook__(failure)


def _leave_after(seconds: float, health: Health) -> None:
    """End the process then, unless it has ended by itself."""

    def leave() -> None:
        log.info("left", reason="a client of a server that is away does not end by itself")
        sys.stderr.flush()
        os._exit(1 if health.failed else 0)

    leaving = threading.Timer(seconds, leave)
    leaving.daemon = True
    leaving.start()


class _QuietWorker(faust.Worker):
    """Faust's worker without its banner; logging is ours. Asked to end, it ends in time, wherever it stands."""

    health: Health

    def _on_sigint(self) -> None:
        self._on_sigterm()

    def _on_sigterm(self) -> None:
        # Asked while it starts, Faust waits for its client's thread, and that for a broker: no service is told.
        _leave_after(FINISH_S + LEAVE_S, self.health)
        super()._on_sigterm()


def run_app(
    app: faust.App, run: Callable[[], Awaitable[None]], end: Callable[[], None], health: Health, settings: Settings
) -> int:
    """Run `run()` as a service of `app` until SIGINT or SIGTERM (then `end()` is called), or until it fails.

    Returns the exit code: 0, or 1 after a failure.
    """

    @app.service
    class Supervised(WorkerService):
        def __init__(self, **kw: Any) -> None:
            super().__init__(run, end, health, settings, **kw)

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    worker = _QuietWorker(
        app, loop=loop, quiet=True, override_logging=False, redirect_stdouts=False, stdout=sys.stderr, daemon=True
    )
    worker.health = health
    worker.spinner = None  # its escape sequences have no place in a log
    # What a worker dies of is told by `_supervised`, with a traceback where it is a defect; Faust would tell it thrice.
    for name in (__name__, "faust.worker", "mode.worker"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        worker.execute_from_commandline()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
        cause: BaseException | None = ended.__context__
    except FOR_PEOPLE as error:
        code, cause = 1, error
    else:
        return 0
    if code and not health.failed:  # not told by `_supervised`: what is around the work failed (a port in use, say)
        log.error("stopped", worker=health.name, reason=repr(cause), exc_info=cause)
    return code
