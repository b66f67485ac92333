"""`bare_app.py NAME TOPIC`: a worker's Faust application with nothing behind it; says what it is assigned."""

import asyncio
import sys

from workers.app import make_app, run_app
from workers.health import Health
from workers.logs import configure
from workers.settings import Settings


def main(name: str, topic: str) -> int:
    settings = Settings()
    configure(settings.log_format)
    app = make_app(name, settings, kafka=True)
    end = asyncio.Event()

    @app.agent(app.topic(topic, key_serializer="raw", value_serializer="raw", key_type=bytes, value_type=bytes))
    async def reads(records):  # type: ignore[no-untyped-def]
        async for _ in records:
            pass

    @app.on_partitions_assigned.connect
    async def on_assigned(_app, assigned, **_):  # type: ignore[no-untyped-def]
        print(f"has {sorted(tp.partition for tp in assigned)}", flush=True)

    async def run() -> None:
        await end.wait()

    return run_app(app, run, end.set, Health(name), settings)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
