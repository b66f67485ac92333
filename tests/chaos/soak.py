"""`python -m tests.chaos.soak --setup a --seed 7 --kills 300 --minutes 30 --record run.jsonl.gz`: the chaos trial.

A plan is made from the seed (`--plan` prints it and does nothing else), then played round after round on one log:
faults while events flow, everything healed, everything checked. The first round in which something does not hold ends
the run: its plan is kept beside the record, and `--plan-file` plays it again; `--from-round` begins in the middle.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from tests.chaos import record
from tests.chaos.clock import lacking
from tests.chaos.faults import strike
from tests.chaos.record import Writer
from tests.chaos.schedule import MIXES, Fault, Plan, Round, make_plan, singles_plan
from tests.chaos.setups import NAMES
from tests.chaos.world import World
from workers.settings import REPOSITORY

AT_ONCE = 40  # faults that overlap, at most
OVER_S = 300.0  # a fault that is not over by then never is: the trial itself is at fault


@dataclass
class Outcome:
    """What a run did. `failure`: None, or what did not hold and in which round."""

    kills: int = 0
    faults: int = 0
    rounds: int = 0
    kinds: set[str] = field(default_factory=set)
    failure: str | None = None


def run(plan: Plan, folder: Path, to: Path, *, minutes: float = 1e6, what: str = "soak") -> Outcome:
    """Play `plan` on a world in `folder`, and write the record `to`. No further round begins after `minutes`."""
    outcome, began = Outcome(), time.monotonic()
    settings = {"lacking": plan.lacking, "rounds": len(plan.rounds)}
    with Writer(to, record.begin(plan.seed, plan.setup, what=what, **settings)) as writer:
        try:
            with World(plan.setup, folder, plan.seed) as world:
                for each in plan.rounds:
                    if time.monotonic() - began > minutes * 60:
                        world.note(f"{minutes:g} minutes are over")
                        break
                    play_round(world, each, outcome, writer)
                    if outcome.failure is not None:
                        print(world.workers.logs())
                        break
        except BaseException as error:
            outcome.failure = outcome.failure or f"{type(error).__name__}: {error}"
            raise
        finally:
            writer.add(
                record.End(
                    kills=outcome.kills,
                    rounds=outcome.rounds,
                    ok=outcome.failure is None,
                    failure=outcome.failure and without_places(outcome.failure),
                    seconds=round(time.monotonic() - began, 1),
                )
            )
    return outcome


def play_round(world: World, plan: Round, outcome: Outcome, writer: Writer) -> None:
    """The faults of one round while events flow; then heal, settle and check. What did not hold is in `outcome`."""
    world.note(f"round {plan.number}: {len(plan.faults)} faults in {plan.seconds:.0f} s, {plan.kills} kills")
    world.play(plan.feed)
    lines = strike_all(world, plan)
    world.heal()
    healed_at = time.monotonic()
    found, leaks = world.check()
    recovered_s = max(0.0, found.rested_at - healed_at)
    for line in lines:
        writer.add(line)
    kinds = [fault.kind for fault in plan.faults]
    writer.add(
        record.Round(round=plan.number, faults=kinds, recovered_s=round(recovered_s, 3), leaks=leaks, **found.fields())
    )
    outcome.kills += sum(line.kill for line in lines)
    outcome.faults += len(lines)
    outcome.rounds += 1
    outcome.kinds.update(kinds)
    world.note(
        f"round {plan.number}: recovered in {recovered_s:.1f} s, checked in {found.checked_s:.1f} s, "
        f"{found.sent} events, revision {found.revision}, {outcome.kills} kills so far"
    )
    if not found.ok:
        outcome.failure = f"round {plan.number}: " + "\n".join(found.failures)


def strike_all(world: World, plan: Round) -> list[record.Fault]:
    """Each fault at its time, in a thread of its own; returns when all are over and the round's time is up.

    Errors: the first fault's that could not be played: then the trial is at fault, not the product.
    """
    began = time.monotonic()

    def one(fault: Fault) -> record.Fault:
        at_s = world.now()
        world.note(f"{fault.kind} {fault.target} {fault.more or ''}")
        killed = strike(world, fault)
        return record.Fault(
            round=plan.number,
            kind=fault.kind,
            target=fault.target,
            at_s=round(at_s, 3),
            ended_s=round(world.now(), 3),
            kill=killed,
            details=fault.more,
        )

    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="fault") as pool:
        striking: list[Future[record.Fault]] = []
        for fault in plan.faults:
            time.sleep(max(0.0, began + fault.at_s - time.monotonic()))
            striking.append(pool.submit(one, fault))
        time.sleep(max(0.0, began + plan.seconds - time.monotonic()))
        return [each.result(OVER_S) for each in striking]


def without_places(text: str) -> str:
    """Without the folders of this machine: records are committed."""
    for folder in (str(REPOSITORY), sys.prefix, sys.base_prefix):
        text = text.replace(f"{folder}/", "")
    return text


def keep(plan: Plan, outcome: Outcome, beside: Path) -> Path:
    """Write the plan of the round that failed, to be played again; returns the file."""
    number = outcome.rounds
    kept = beside.with_name(f"{beside.name.partition('.')[0]}-round-{number}.json")
    kept.write_text(replace(plan, rounds=[each for each in plan.rounds if each.number == number]).dump())
    return kept


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code: 0, or 1 where something did not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.soak", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--setup", choices=NAMES, default="a")
    parser.add_argument("--seed", default=str(random.SystemRandom().randrange(10**6)))
    parser.add_argument("--kills", type=int, default=100, help="processes to be killed, at least")
    parser.add_argument("--mix", choices=sorted(MIXES), default="even", help="kills: more of them in the same time")
    parser.add_argument("--singles", action="store_true", help="each kind once, in a round of its own")
    parser.add_argument("--minutes", type=float, default=1e6, help="no further round begins after so long")
    parser.add_argument("--record", type=Path, help="file of the record, .jsonl.gz")
    parser.add_argument("--plan", action="store_true", help="print the plan, and do nothing")
    parser.add_argument("--plan-file", type=Path, help="play this plan instead of one made from the seed")
    parser.add_argument("--from-round", type=int, default=1, help="leave out the rounds before")
    parser.add_argument("--folder", type=Path, help="of data and logs; a temporary one unless it is given")
    given = parser.parse_args(arguments)
    if given.plan_file:
        plan = Plan.load(given.plan_file)
    elif given.singles:
        plan = singles_plan(given.setup, given.seed, lacking=lacking())
    else:
        plan = make_plan(given.setup, given.seed, given.kills, lacking=lacking(), mix=given.mix)
    plan = replace(plan, rounds=[each for each in plan.rounds if each.number >= given.from_round])
    if given.plan:
        print(plan.dump())
        return 0
    folder = given.folder or Path(tempfile.mkdtemp(prefix="tidewatch-soak-"))
    to = given.record or folder / f"{plan.setup}-{plan.seed}.jsonl.gz"
    print(f"set-up {plan.setup}, seed {plan.seed}: {len(plan.rounds)} rounds; logs in {folder}, record in {to}")
    if plan.lacking:
        print(f"left out, since this machine lacks it: {', '.join(plan.lacking)}")
    outcome = run(plan, folder, to, minutes=given.minutes)
    print(f"{outcome.rounds} rounds, {outcome.faults} faults of {len(outcome.kinds)} kinds, {outcome.kills} kills")
    if outcome.failure is None:
        return 0
    failed = keep(plan, outcome, to)
    print(f"FAILED, set-up {plan.setup}, seed {plan.seed}: {outcome.failure}\nplan of the round: {failed}")
    print(msgspec.json.encode(next(each for each in plan.rounds if each.number == outcome.rounds)).decode())
    return 1


if __name__ == "__main__":
    sys.exit(main())
