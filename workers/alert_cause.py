"""Why an alert fires, asked of a process of its own (`workers.alert_cause_find`) that ends with its answer.

The cells of a whole system are loaded for it. In a thread of the worker that took the interpreter's lock from the
rules, and what the C library kept of it grew with every cause (measured: 78 MiB over five rounds); a process that ends
gives everything back. A partition has one such process at most.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from stream.errors import UnreachableError
from workers.alert_cause_find import BOUND_S, Answer, Job, Subject
from workers.settings import REPOSITORY, Settings

_encode = msgspec.json.Encoder().encode
_answer = msgspec.json.Decoder(Answer).decode


async def causes_of(settings: Settings, system: str, subjects: Iterable[Subject]) -> Mapping[Subject, dict[str, Any]]:
    """The cause of each, as JSON (`workers.alert_cause_find.find`). Some seconds; cancelled, the process ends at once.

    Errors: UnreachableError, with what went wrong there, or because nothing was found within BOUND_S.
    """
    asked = list(subjects)
    job = Job(settings.kafka, settings.kafka_options, settings.redis, system, asked)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "workers.alert_cause_find", cwd=REPOSITORY, stdin=PIPE, stdout=PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(BOUND_S):
            # Not as arguments: they stand in the list of processes. The pipe stays open: with it the process would end.
            process.stdin.write(_encode(job) + b"\n")
            await process.stdin.drain()
            said = await process.stdout.read()
        answer = _answer(said)
    except TimeoutError:
        raise UnreachableError(f"no cause was found within {BOUND_S:.0f} s") from None
    except (OSError, msgspec.DecodeError):
        raise UnreachableError("the process that looks for causes ended without an answer") from None
    finally:
        if process.returncode is None:
            process.kill()
        process.stdin.close()
        await process.wait()
    if answer.error:
        raise UnreachableError(answer.error)
    return dict(zip(asked, answer.causes, strict=True))
