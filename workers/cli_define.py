"""`tidewatch define`: definitions of index systems: check, show, bring another version into force."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from workers.output import console, emit, note, people_table, told
from workers.settings import Settings

define = typer.Typer(help="Definitions of index systems, and which version is in force.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="print one JSON object as the last line")]
System = Annotated[str, typer.Argument(help="an index system, such as dti-2023")]
WAIT_S = 60.0


@define.command()
def check(
    files: Annotated[list[Path], typer.Argument(help="definitions, TOML")],
    live: Annotated[
        bool, typer.Option("--live", help="against the catalogue in force, not TIDEWATCH_CATALOGUE")
    ] = False,
    json: Json = False,
) -> None:
    """Say what definitions hold, or file, key and reason of what is wrong; exit 1 if one is broken."""
    from index.catalogue import Catalogue
    from index.definition import Definition
    from index.errors import DefinitionError
    from workers.catalogue_in_force import catalogue_in_redis
    from workers.define import outline

    with told():
        settings = Settings()
        catalogue = catalogue_in_redis(settings) if live else Catalogue.load(settings.catalogue)
        results: list[dict[str, Any]] = []
        for file in files:
            try:
                results.append({"file": str(file), "ok": True, **outline(Definition.load(file, catalogue))})
            except DefinitionError as error:
                results.append({"file": str(file), "ok": False, "key": error.key, "reason": error.reason})
                note(f"tidewatch: {error}")
        if json:
            emit({"ok": all(each["ok"] for each in results), "catalogue": catalogue.version, "files": results})
        else:
            for each in results:
                if each["ok"]:
                    console.print(
                        f"{each['file']}: {each['system']} version {each['version']}: {each['leaves']} leaves, "
                        f"{each['nodes']} nodes, {each['rankings']} rankings",
                        markup=False, highlight=False, soft_wrap=True,
                    )  # fmt: skip
        raise typer.Exit(0 if all(each["ok"] for each in results) else 1)


@define.command()
def show(
    system: System,
    version: Annotated[int | None, typer.Option(help="default: the one in force")] = None,
    json: Json = False,
) -> None:
    """Print a definition as `control` holds it: its TOML text."""
    import msgspec

    from workers.define import known_system, version_of

    with told():
        control = known_system(Settings(), system)
        found = version_of(control, system, version)
        if json:
            active = control.active is not None and control.active.version == found.version
            emit({**msgspec.to_builtins(found), "active": active})
        else:
            typer.echo(found.definition, nl=not found.definition.endswith("\n"))


@define.command()
def history(system: System, json: Json = False) -> None:
    """List the versions: author, reason, when, which is in force, and since which revision."""
    from workers.define import history as history_of

    with told():
        found = history_of(Settings(), system)
        if json:
            emit(found)
            return
        grid = people_table("version", "in force", "since revision", "author", "reason", "at", title=system)
        for each in found["versions"]:
            since = "" if each["since"] is None else str(each["since"])
            marks = (str(each["version"]), "yes" if each["active"] else "", since)
            grid.add_row(*marks, each["author"], each["reason"], each["at"])
        console.print(grid)
        if active := found["active"]:
            by = f"{active['author']}, {active['at']}: {active['reason']}"
            console.print(f"version {active['version']} was put in force by {by}", markup=False, highlight=False)


@define.command()
def apply(
    what: Annotated[
        str, typer.Argument(metavar="FILE|SYSTEM", help="a definition; or, with --version or --weight, a system")
    ],
    author: Annotated[str, typer.Option("--author", "-a", help="who decides it; stands on `control`")],
    reason: Annotated[str, typer.Option("--reason", "-r", help="why; stands on `control`")],
    version: Annotated[int | None, typer.Option(help="put this known version in force again")] = None,
    weight: Annotated[
        list[str] | None, typer.Option("--weight", "-w", help="NODE=NUMBER among its siblings; repeatable")
    ] = None,
    wait: Annotated[bool, typer.Option(help="until the index worker has gone over to it")] = True,
    timeout: Annotated[float, typer.Option(help="seconds to wait at most")] = WAIT_S,
    json: Json = False,
) -> None:
    """Bring a version into force: a new text, a known one again, or the one in force with other weights.

    A file's version must be above every known one, unless it is a known text again. A broken definition is refused
    with file, key and reason before anything is written.
    """
    from stream.control import read_system
    from workers.catalogue_in_force import catalogue_in_redis
    from workers.define import apply as apply_to
    from workers.define import file_version, new_weights, old_version, parsed_weights, wait_for

    with told():
        settings = Settings()
        if not author.strip() or not reason.strip():
            raise ValueError("--author and --reason must not be empty: they are what later readers have to go by")
        if version is not None and weight:
            raise ValueError("give --version or --weight, not both")
        catalogue = catalogue_in_redis(settings)
        system = what
        if version is not None:
            decide = old_version(version, author, reason, catalogue, system)
        elif weight:
            decide = new_weights(parsed_weights(weight), author, reason, catalogue, system)
        else:
            if not Path(what).is_file():
                raise ValueError(f"{what} is no file; to change a system in force give --version or --weight")
            system, decide = file_version(Path(what), author, reason, catalogue)
            if not read_system(settings.kafka, system, settings.kafka_options).versions:
                note(f"{system} is a new system; `control` did not know it")
        result = apply_to(settings, system, decide)
        result["revision"] = wait_for(settings, system, result["version"], timeout) if wait else None
        if weight and result["left_out"]:
            gone = ", ".join(result["left_out"])
            note(f"left out of version {result['version']}: {gone} (no panel is left to draw from)")
        late = wait and result["revision"] is None
        if json:
            emit(result)
        said = f"{system} version {result['version']} is in force"
        if late:
            note(
                f"tidewatch: {said}, but no revision went over to it within {timeout:.0f} s: does an index worker run? "
                "Its log says what it waits for; `tidewatch define history` tells when it has"
            )
        elif not json:
            console.print(said + (f" since revision {result['revision']}" if wait else ""), highlight=False)
        raise typer.Exit(1 if late else 0)
