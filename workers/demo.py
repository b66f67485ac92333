"""`tidewatch demo`: fresh servers, workers, a feed, and the ranking moving before one's eyes."""

from __future__ import annotations

import signal
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from index.catalogue import Catalogue
from workers.crew import Crew
from workers.feed import Outbox, Sent, play
from workers.follow import Follower
from workers.live import show_live
from workers.local.servers import Servers
from workers.output import note
from workers.prepare import prepare_topics
from workers.scenario import Play, Rates, iter_batches, load
from workers.settings import Settings

ROWS = 20


def run_demo(
    scenario: str, seed: int, settings: Settings, *, days_per_second: float, density: float, partitions: int
) -> None:
    """Run until Ctrl-C or SIGTERM, then end everything that was started. Errors: LocalError, StreamError."""
    before = signal.signal(signal.SIGTERM, lambda *_: _interrupt())
    try:
        with tempfile.TemporaryDirectory(prefix="tidewatch-") as folder:  # noqa: SIM117 - the others need its name
            with (
                Servers(Path(folder) / "servers", progress=note) as servers,
                Crew(Path(folder) / "workers", servers.kafka, servers.redis, _folders(settings)) as crew,
            ):
                ours = settings.model_copy(
                    update={
                        "kafka": servers.kafka, "redis": servers.redis, "partitions": partitions, "kafka_options": {},
                    }
                )  # fmt: skip
                note("making the topics, starting an ingest and an index worker")
                prepare_topics(ours)
                crew.start("ingest", "ingest")
                crew.start("index", "index")
                chosen = Play(seed=seed, rates=Rates(), density=density)
                _watch(scenario, chosen, ours, days_per_second, crew.check)
    except KeyboardInterrupt:
        note("ended: feed, workers and servers are down, their folder is removed")
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt() -> None:
    raise KeyboardInterrupt


def _folders(settings: Settings) -> dict[str, str]:
    return {"TIDEWATCH_CATALOGUE": str(settings.catalogue), "TIDEWATCH_SYSTEMS": str(settings.systems)}


def _watch(scenario: str, chosen: Play, settings: Settings, days_per_second: float, check: Callable[[], None]) -> None:
    """Feed in one thread, follow in another, draw in this one."""
    catalogue = Catalogue.load(settings.catalogue)
    outbox, stop = Outbox(settings.kafka, settings.kafka_options), threading.Event()
    state: dict[str, str] = {"feed": "feed: starting"}
    follower = Follower(settings.kafka, scenario, "cities", settings.kafka_options)

    def tell(sent: Sent) -> None:
        state["feed"] = f"feed: {sent.day}, {sent.events / max(sent.seconds, 1e-3):,.0f} events/s"

    def feed() -> None:
        try:
            batches = iter_batches(load(catalogue, scenario), chosen)
            sent = play(batches, outbox, days_per_second=days_per_second, progress=tell, stop=stop)
            state["feed"] = f"feed: done, {sent.events:,} events (Ctrl-C ends the demo)"
        except Exception as error:  # told in the view: this thread has nobody else to tell
            state["feed"] = f"feed stopped: {error}"

    thread = threading.Thread(target=feed, name="feed", daemon=True)
    thread.start()
    follower.start()
    try:
        show_live(follower, catalogue, None, ROWS, said=lambda: state["feed"], check=check)
    finally:
        stop.set()
        thread.join(timeout=10)
        outbox.close()
        follower.stop()
