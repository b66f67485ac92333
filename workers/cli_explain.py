"""`tidewatch explain` and `tidewatch whatif`: questions to the cells as they are now; nothing is published."""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from workers.logs import configure
from workers.output import told
from workers.settings import Settings

Json = Annotated[bool, typer.Option("--json", help="print one JSON object as the last line")]
System = Annotated[str, typer.Argument(help="an index system, such as dti-2023")]


def explain(
    system: System,
    entity: Annotated[str, typer.Argument(help="a city or group: its code, or its name")],
    period: Annotated[str, typer.Option("--period", "-p", help="2023, 2022H1, 2023Q1 or 2020-05")],
    against: Annotated[str, typer.Option(help="pop: the period before; yoy: the year before")] = "pop",
    top: Annotated[int, typer.Option("--top", "-n", help="parts to print; 0: all, in JSON each city's too")] = 20,
    json: Json = False,
) -> None:
    """Say why a value moved: its move by indicator, and by city for a group; the parts sum to it exactly.

    An open period is compared to date, as its growth is: the same number of days of both.
    """
    from workers.explain import show_explanation

    with told():
        if against not in ("pop", "yoy"):
            raise ValueError(f"--against {against}: write pop (the period before) or yoy (the year before)")
        _not_negative(top)
        show_explanation(_settings(), system, entity, period, "yoy" if against == "yoy" else "pop", top, as_json=json)


def whatif(
    system: System,
    weight: Annotated[list[str], typer.Option("--weight", "-w", help="NODE=NUMBER among its siblings; repeatable")],
    ranking: Annotated[str | None, typer.Option(help="one of the system's; default: its first")] = None,
    period: Annotated[str | None, typer.Option("--period", "-p", help="default: the latest quarter with data")] = None,
    scope: Annotated[str | None, typer.Option("--scope", "-s", help="a group, such as province:330000")] = None,
    top: Annotated[int, typer.Option("--top", "-n", help="rows to print; 0: all")] = 20,
    json: Json = False,
) -> None:
    """Print a ranking under other weights beside the present one. Nothing is published.

    Siblings that are not named share what is left in the proportions that they had.
    """
    from workers.define import parsed_weights
    from workers.whatif import show_whatif

    with told():
        _not_negative(top)
        show_whatif(_settings(), system, parsed_weights(weight), ranking, period, scope, top, as_json=json)


def _settings() -> Settings:
    """The settings; of what loads the cells, only warnings are said."""
    settings = Settings()
    configure(settings.log_format, logging.WARNING)
    return settings


def _not_negative(top: int) -> None:
    if top < 0:
        raise ValueError(f"--top {top}: a number of rows is needed, or 0 for all")
