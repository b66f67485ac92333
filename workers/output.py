"""What commands print: tables and notes for people; with `--json` the last line of standard output is one object."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import typer
from rich.console import Console, RenderableType
from rich.table import Column, Table
from rich.text import Text

from workers.masked import masked, printable

PIPE_COLUMNS = 200  # into a file or another program nothing is cut or wrapped that a person must copy

console = Console(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else PIPE_COLUMNS)
notes = Console(stderr=True)


def note(line: str) -> None:
    """One line to standard error, never broken: the commands and paths in it are copied."""
    notes.print(printable(line), markup=False, highlight=False, soft_wrap=True)


class PlainTable(Table):
    """Its cells are shown as they are: no markup, and nothing that a terminal would obey."""

    def add_row(self, *cells: RenderableType | None, **how: Any) -> None:
        """As rich's."""
        super().add_row(*(Text(printable(cell)) if isinstance(cell, str) else cell for cell in cells), **how)


def people_table(*columns: str, title: str | None = None) -> Table:
    """A table whose cells are folded where the terminal is narrow, never cut: keys and numbers can be copied whole."""
    return PlainTable(*(Column(name, overflow="fold") for name in columns), title=title)


def emit(result: dict[str, Any]) -> None:
    """The JSON line."""
    sys.stdout.write(orjson.dumps(result).decode() + "\n")
    sys.stdout.flush()


@contextmanager
def told(code: int = 1) -> Iterator[None]:
    """Turn errors that name what to do into one line and exit code `code`; others keep their traceback."""
    try:
        yield
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except (typer.Exit, typer.Abort):
        raise
    except Exception as error:
        said = _of_a_setting(error)
        if said is None:
            said = str(error) if isinstance(error, _for_people()) else _of_a_server(error)
        if said is None:
            raise
        note(f"tidewatch: {masked(said)}")
        raise typer.Exit(code) from None


def _of_a_setting(error: Exception) -> str | None:
    """Which variables are wrong, and why, without their values; None: it is another error."""
    from pydantic import ValidationError
    from pydantic_settings import SettingsError

    if isinstance(error, ValidationError):
        wrong = [(f"TIDEWATCH_{'_'.join(map(str, each['loc'])).upper()}", each["msg"]) for each in error.errors()]
        return "; ".join(why if name in why else f"{name}: {why}" for name, why in wrong)
    if isinstance(error, SettingsError):
        field = str(error).partition('field "')[2].partition('"')[0]
        return f"TIDEWATCH_{field.upper()}: no JSON; one JSON object is wanted" if field else str(error)
    return None


def _of_a_server(error: Exception) -> str | None:
    """What a client of Redis or Kafka says of its server, with the address; None: it is another error."""
    from confluent_kafka import KafkaError, KafkaException
    from redis.exceptions import RedisClusterException, RedisError

    from workers.settings import Settings

    if isinstance(error, RedisError | RedisClusterException):
        return f"Redis at {Settings().redis}: {type(error).__name__}: {error}; `tidewatch doctor` looks closer"
    if isinstance(error, KafkaException):
        first = error.args[0] if error.args else ""
        text = first.str() if isinstance(first, KafkaError) else str(error)
        return f"Kafka at {Settings().kafka}: {text}; `tidewatch doctor` looks closer"
    return None


def _for_people() -> tuple[type[Exception], ...]:
    """Errors whose text says what happened, where, and what to do. Imported here: nobody waits for them otherwise."""
    from index.errors import IndexFault
    from state.errors import StateError
    from stream.errors import StreamError
    from workers.drained import NotDrainedError
    from workers.local.errors import LocalError
    from workers.repair_error import RepairError
    from workers.verify.errors import VerifyError

    ours = StateError, StreamError, IndexFault, LocalError, VerifyError, NotDrainedError, RepairError
    return (*ours, OSError, ValueError)
