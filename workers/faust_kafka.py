"""Faust's consumer, which waits for a broker at its start; Faust's own ends the process when none answers then.

`wait_for_kafka` comes first and tells the topics; but a broker may go away between the two.
"""

from __future__ import annotations

import asyncio
from typing import Any

import structlog
from aiokafka.errors import KafkaError
from faust.transport.drivers import aiokafka as driver

from workers.retry import FIRST_S, LAST_S

log = structlog.get_logger(__name__)


class _Thread(driver.AIOKafkaConsumerThread):
    async def on_start(self) -> None:
        wait_s = FIRST_S
        while not self.should_stop:
            try:
                await super().on_start()
                return
            except (KafkaError, OSError) as error:
                if wait_s == FIRST_S:
                    log.warning(
                        "waiting", server="Kafka", reason=str(error), action="trying again until a broker answers"
                    )
                # It stays until the next is made: Faust's other parts ask it meanwhile what is assigned.
                if self._consumer is not None:
                    await self._consumer.stop()
            await asyncio.sleep(wait_s)
            wait_s = min(LAST_S, wait_s * 2)


class _Consumer(driver.Consumer):
    def _new_consumer_thread(self) -> Any:
        return _Thread(self, loop=self.loop, beacon=self.beacon)


class PatientTransport(driver.Transport):
    """For `App._new_transport`."""

    Consumer = _Consumer
