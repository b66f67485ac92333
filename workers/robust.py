"""When rank intervals are computed anew, beside publishing (docs/formats.md section 6).

    revision committed -> its periods are marked -> when the budget allows: a copy of one period's values (the newest
    first) -> a process of its own (`workers.robust_tables`): draws, ranks, records -> `robustness`

One computation at a time, whatever the number of systems, always of the values last published; marks that come
meanwhile join those that wait, and each marked period has its turn before one has a second. Never in the way of a
revision: what runs on the event loop is one copy between two revisions. Whatever fails here is said once, tried again,
and stops nothing.
"""

from __future__ import annotations

import asyncio
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Iterable

import structlog

from index.definition import Definition
from index.periods import Period
from index.system import System
from stream.errors import UnreachableError
from workers.robust_tables import Answer, Job, answer_of, clear, frame
from workers.settings import REPOSITORY, Settings

log = structlog.get_logger(__name__)

# 10 % of one core over any minute, of all systems together: 60 s * RATE + BURST_S = 6 s.
RATE, BURST_S = 0.09, 0.6
AGAIN_S = 5.0  # after a failure


class Budget:
    """A token bucket of processor seconds: `rate` a second, at most `burst_s` saved up. A debt delays what follows."""

    def __init__(self, rate: float, burst_s: float, clock: Callable[[], float]) -> None:
        """Full."""
        self._rate, self._burst_s, self._clock = rate, burst_s, clock
        self._held_s, self._at = burst_s, clock()

    def wait_s(self, cost_s: float) -> float:
        """Seconds until `cost_s` may be spent (more than the burst: until the bucket is full)."""
        self._fill()
        return max(0.0, (min(cost_s, self._burst_s) - self._held_s) / self._rate)

    def spend(self, cost_s: float) -> None:
        """Take out what was used."""
        self._fill()
        self._held_s -= cost_s

    def _fill(self) -> None:
        now = self._clock()
        self._held_s = min(self._burst_s, self._held_s + (now - self._at) * self._rate)
        self._at = now


class Calculator:
    """The process that computes, its budget, and whose turn it is. Shared by the systems of a worker (`shared`)."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """The process is started by the first job."""
        self.turn = asyncio.Lock()
        self.budget = Budget(RATE, BURST_S, clock)
        self.users = 0
        self._process: Process | None = None
        self._known: dict[str, tuple[int, str]] = {}  # system -> definition and catalogue that the process has

    async def do(self, job: Job, text: str, catalogue: Callable[[], bytes]) -> float:
        """Have a job done, under `turn`; the processor seconds it took. Errors: UnreachableError, what went wrong."""
        if self._process is None:
            self._known.clear()
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "workers.robust_tables", cwd=REPOSITORY, stdin=PIPE, stdout=PIPE
            )
        if self._known.get(job.system) != (job.definition, job.digest):
            job.text, job.catalogue = text, catalogue()
        try:
            answer = await self._ask(self._process, job)
        except BaseException as error:  # also when cancelled: an answer that nobody reads would be taken for the next
            self._end()
            if not isinstance(error, (OSError, asyncio.IncompleteReadError)):
                raise
            raise UnreachableError("the process that computes them ended") from None
        self.budget.spend(answer.cost_s)
        if answer.error:
            self._known.pop(job.system, None)
            raise UnreachableError(answer.error)
        self._known[job.system] = job.definition, job.digest
        return answer.cost_s

    async def _ask(self, process: Process, job: Job) -> Answer:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(frame(job))
        await process.stdin.drain()
        head = await process.stdout.readexactly(4)
        return answer_of(await process.stdout.readexactly(int.from_bytes(head, "big")))

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.kill()

    async def leave(self) -> None:
        """One user less; without any the process ends."""
        self.users -= 1
        process = self._process
        if self.users == 0 and process is not None:
            self._end()
            await process.wait()


_calculators: dict[asyncio.AbstractEventLoop, Calculator] = {}


def shared() -> Calculator:
    """The calculator of the running event loop; who takes it `leave`s it."""
    loop = asyncio.get_running_loop()
    if loop not in _calculators:
        _calculators.clear()  # loops that are no more
        _calculators[loop] = Calculator()
    _calculators[loop].users += 1
    return _calculators[loop]


class NoIntervals:
    """In place of a `RobustTask`, for a definition without intervals: removes those of the one before it, once."""

    def __init__(self, settings: Settings, system: str) -> None:
        """Nothing is done before `start`."""
        self._settings, self._system = settings, system
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, on the running event loop; revisions go on meanwhile."""
        self._task = asyncio.create_task(self._clear(), name=f"no-intervals-{self._system}")

    async def _clear(self) -> None:
        settings = self._settings
        try:
            gone = await asyncio.to_thread(clear, settings.kafka, self._system, settings.kafka_options)
        except Exception as error:  # tried again when the system is next begun
            log.warning("rank intervals of an older definition stay", system=self._system, reason=str(error))
        else:
            if gone:
                log.info("removed rank intervals", system=self._system, tables=gone)

    async def stop(self) -> None:
        """Wait until it is done: intervals of a later definition must not be removed."""
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    def hold(self) -> None:
        """Nothing is copied."""

    def published(self, system: System, revision: int, periods: Iterable[str | Period]) -> None:
        """Nothing is computed."""


class RobustTask:
    """See the head of this file. `start`, then `hold` and `published` around each revision, `stop` at the end."""

    def __init__(self, settings: Settings, definition: Definition, calculator: Calculator | None = None) -> None:
        """`definition` has `[robustness]`. `calculator`: default the one that all systems share."""
        self._settings, self._definition = settings, definition
        self._calculator = calculator or shared()
        self._system: System | None = None  # while its sheets are what is published
        self._revision = 0
        self._round: list[Period] = []  # the newest last
        self._marked: set[Period] = set()
        self._ready = asyncio.Event()  # a period waits, and its values may be copied
        self._cost_s = 0.0  # of the last computation: what the next one is expected to cost
        self._said = ""
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to work, on the running event loop."""
        self._task = asyncio.create_task(self._run(), name=f"robustness-{self._definition.system}")

    async def stop(self) -> None:
        """End; a computation under way is given up."""
        self.hold()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._calculator.leave()

    def hold(self) -> None:
        """The board holds more than what is published, from here on: nothing is copied."""
        self._system = None
        self._ready.clear()

    def published(self, system: System, revision: int, periods: Iterable[str | Period]) -> None:
        """The board's sheets are what `revision` published, and differ from before in `periods`."""
        self._system, self._revision = system, revision
        self._marked.update(Period.parse(p) if isinstance(p, str) else p for p in periods)
        if self._marked or self._round:
            self._ready.set()

    async def _run(self) -> None:
        while True:
            try:
                await self._turn()
                self._said = ""
            except Exception as error:  # whatever it is: intervals are not worth a revision
                if str(error) != self._said:
                    self._said = str(error)
                    log.warning(
                        "no rank intervals", system=self._definition.system, reason=self._said,
                        action="trying again; revisions go on",
                    )  # fmt: skip
                await asyncio.sleep(AGAIN_S)

    async def _turn(self) -> None:
        """One period, once its values may be copied and the budget allows."""
        await self._ready.wait()
        calculator = self._calculator
        async with calculator.turn:
            if (wait_s := calculator.budget.wait_s(self._cost_s)) > 0:
                await asyncio.sleep(wait_s)
            await self._ready.wait()
            job, period = self._next()
            if job is None or period is None:
                return
            catalogue = self._system.catalogue if self._system is not None else None
            assert catalogue is not None
            try:
                self._cost_s = await calculator.do(job, self._definition.text, catalogue.to_json)
            except BaseException:
                self._marked.add(period)
                raise

    def _next(self) -> tuple[Job | None, Period | None]:
        """The next period's values as they are now."""
        system = self._system
        assert system is not None, "ready is clear while the board is not at rest"
        if not self._round:
            self._round, self._marked = sorted(self._marked, key=_end), set()
        if not self._round:
            self._ready.clear()
            return None, None
        period = self._round.pop()
        self._marked.discard(period)
        sheet = system.sheets.get(period)
        return Job(
            kafka=self._settings.kafka,
            options=self._settings.kafka_options,
            system=self._definition.system,
            definition=self._definition.version,
            digest=system.catalogue.digest,
            text="",
            catalogue=b"",
            period=period.name,
            periods=[p.name for p, held in system.sheets.items() if held.exists],
            revision=self._revision,
            values=sheet.values.tobytes() if sheet is not None and sheet.exists else b"",
        ), period


def _end(period: Period) -> tuple[int, int]:
    """By the last month, the longer of those that end together first: sorted so, the newest and shortest is last."""
    return (period.ordinal + 1) * period.grain.months, int(period.grain)
