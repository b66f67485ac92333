import time
from pathlib import Path
import pytest
from workers.local import Servers
from tests.workers.faults import Trial, wipe
@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    with Servers(tmp_path_factory.mktemp("servers")) as s:
        yield s
def test_a(servers, tmp_path):
    t0=time.monotonic()
    def say(x): print(f"{time.monotonic()-t0:.2f} {x}")
    with Trial(servers, tmp_path, 5) as t:
        say("ready")
        t.ingest("one",ready=False); t.index("x"); say("up")
        t.feed(); t.flows(); say("flows"); t.flows(); say("flows")
        say(t.feeds[0].events)
        t.drained(); say("drained")
        r=t.settle(); say(f"settled {r.seconds} {r.revision} {t.watcher.seen}")
    say("ended")
def test_b(servers, tmp_path):
    t0=time.monotonic()
    wipe(servers)
    print(time.monotonic()-t0)
