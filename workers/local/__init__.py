"""A real Kafka and a real Redis on this machine, without Docker: for `tidewatch up`, the demo, tests and benches.

Read in this order: servers (both together), server (what they share), kafka, redis, jars (Kafka's program), archive
and training (how it starts sooner), process and guard (a child that dies with its parent), folder and ports (what they
own), errors.
"""

from workers.local.errors import LocalError
from workers.local.servers import Servers, run_up

__all__ = ["LocalError", "Servers", "run_up"]
