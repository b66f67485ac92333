"""The `tidewatch` command: a function a command, which only reads its options and calls what does the work."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from workers.cli_alerts import alerts
from workers.cli_catalogue import catalogue
from workers.cli_define import define
from workers.cli_dlq import dlq
from workers.cli_doctor import doctor
from workers.cli_edition import edition
from workers.cli_explain import explain, whatif
from workers.cli_feed import feed
from workers.cli_repair import backup, rebuild, restore
from workers.cli_retract import retract
from workers.cli_skip import skip_missing
from workers.logs import configure
from workers.output import console, emit, note, told
from workers.settings import Settings

main = typer.Typer(
    help="Tidewatch: composite city indices, current while the data arrives.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
main.add_typer(dlq, name="dlq")
main.add_typer(catalogue, name="catalogue")
main.add_typer(alerts, name="alerts")
main.add_typer(define, name="define")
main.add_typer(edition, name="edition")
main.command()(feed)
main.command()(doctor)
main.command()(explain)
main.command()(whatif)
main.command()(rebuild)
main.command()(backup)
main.command()(restore)
main.command()(skip_missing)
main.command()(retract)

Json = Annotated[bool, typer.Option("--json", help="print one JSON object as the last line")]
System = Annotated[str, typer.Argument(help="an index system, such as dti-2023")]
PeriodName = Annotated[str, typer.Option("--period", "-p", help="2023, 2022H1, 2023Q1 or 2020-05")]


@main.command()
def up(
    dir: Annotated[Path | None, typer.Option(help="folder of the servers' data (default: TIDEWATCH_DIR)")] = None,
    kafka_port: Annotated[int, typer.Option(help="0: any free one")] = 9092,
    redis_port: Annotated[int, typer.Option(help="0: any free one")] = 6379,
    json: Json = False,
) -> None:
    """Start a local Kafka and Redis, print their addresses, keep them until Ctrl-C."""
    from workers.local.servers import run_up

    with told():
        run_up(
            dir or Settings().dir,
            kafka_port or None,
            redis_port or None,
            lambda servers: emit({"kafka": servers.kafka, "redis": servers.redis}) if json else None,
        )


@main.command()
def ingest(json: Json = False) -> None:
    """Run an ingest worker: events in, exact aggregates in Redis out."""
    from workers.run import run_ingest

    _work("ingest", run_ingest, json)


@main.command()
def index(json: Json = False) -> None:
    """Run an index worker: changed aggregates in, revisions of index values and rankings out."""
    from workers.run import run_index

    _work("index", run_index, json)


@main.command()
def alert(json: Json = False) -> None:
    """Run an alert worker: revisions in, alerts out (to the topic `alerts`, Alertmanager, a webhook)."""
    from workers.run import run_alert

    _work("alert", run_alert, json)


def _work(name: str, run: Callable[[Settings], int], as_json: bool) -> None:
    """Run a worker until a signal; its exit code is ours."""
    with told():
        settings = Settings()
        configure(settings.log_format)
        code = run(settings)
        if as_json:
            emit({"worker": name, "exit": code})
        raise typer.Exit(code)


@main.command()
def demo(
    once: Annotated[bool, typer.Option("--once", help="play everything once, verify, print, end")] = False,
    scenario: Annotated[str, typer.Option(help="what to play")] = "dti-2023",
    seed: Annotated[int, typer.Option(help="of all that is random in it")] = 1,
    density: Annotated[float, typer.Option(help="of reports; 1.0: 2.5 million events")] = 0.0,
    speed: Annotated[float, typer.Option(help="days a second, without --once")] = 2.0,
    partitions: Annotated[int, typer.Option(help="of indicator-events")] = 4,
    json: Json = False,
) -> None:
    """Start servers and workers, play a feed, and watch the ranking move (Ctrl-C ends all of it)."""
    from workers.demo import run_demo
    from workers.scenario import DEFAULT_DENSITY
    from workers.trial import run_trial
    from workers.verify import render

    with told():
        settings = Settings()
        if not once:
            run_demo(scenario, seed, settings, days_per_second=speed, density=density or 1.0, partitions=partitions)
            return
        summary, reports = run_trial(
            scenario, seed, settings, note, density=density or DEFAULT_DENSITY, partitions=partitions
        )
        if json:
            emit(summary)
        else:
            for report in reports:
                render(report, console)
            console.print({name: value for name, value in summary.items() if name != "verify"})
        raise typer.Exit(0 if summary["ok"] else 1)


@main.command()
def rankings(
    system: System,
    period: PeriodName,
    ranking: Annotated[str | None, typer.Argument(help="one of the system's rankings; without it: their names")] = None,
    scope: Annotated[str | None, typer.Option("--scope", "-s", help="a group, such as province:330000")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", help="rows to print; 0: all (with --json always all)")] = 20,
    json: Json = False,
) -> None:
    """Print a published ranking, from the committed topic."""
    from workers.show import list_rankings, show_ranking

    with told():
        settings = Settings()
        if ranking is None:
            list_rankings(settings, system, period, as_json=json)
        else:
            show_ranking(settings, system, ranking, period, scope, limit, as_json=json)


@main.command()
def top(
    system: System,
    period: Annotated[str | None, typer.Option("--period", "-p", help="default: the latest")] = None,
    ranking: Annotated[str, typer.Option(help="which table")] = "cities",
    rows: Annotated[int, typer.Option("--rows", "-n", help="rows to show")] = 20,
    json: Json = False,
) -> None:
    """Watch a ranking move in the terminal (Ctrl-C ends it); with --json: its first rows as they are now."""
    from workers.live import watch_ranking
    from workers.show import show_top

    with told():
        if json:
            show_top(Settings(), system, ranking, period, rows)
        else:
            watch_ranking(Settings(), system, ranking, period, rows)


@main.command()
def verify(
    systems: Annotated[list[str] | None, typer.Argument(help="index systems; none: all that have published")] = None,
    json: Json = False,
) -> None:
    """Recompute everything from the log by another way, compare it with what is published; exit 1 on a difference."""
    from workers.verify import render, total, verify_all

    with told():
        settings, began = Settings(), time.monotonic()
        reports = verify_all(
            settings.kafka, settings.redis, systems or (), progress=note, kafka_options=settings.kafka_options
        )
        if json:
            # Of one system that was asked for: its report; else all of them with their sum.
            alone = systems is not None and len(systems) == 1
            emit(reports[0].to_json() if alone else total(reports, time.monotonic() - began))
        else:
            for report in reports:
                render(report, console)
        raise typer.Exit(0 if all(report.ok for report in reports) else 1)


if __name__ == "__main__":
    main()
