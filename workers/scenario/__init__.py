"""Made-up but plausible data whose totals agree with a published report: what `tidewatch feed` and the demo play."""

from workers.scenario.faults import Rates
from workers.scenario.play import DEFAULT_DENSITY, Batch, Message, Play, days_of, iter_batches
from workers.scenario.rows import Scenario, load

__all__ = [
    "DEFAULT_DENSITY",
    "Batch",
    "Message",
    "Play",
    "Rates",
    "Scenario",
    "days_of",
    "iter_batches",
    "load",
]
