"""`tidewatch catalogue`: which entities and indicators are known, and bringing a new version into force."""

from __future__ import annotations

from typing import Annotated

import typer

from workers.output import console, emit, told
from workers.settings import Settings

catalogue = typer.Typer(help="The catalogue: entities, groups, indicators, industries.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="print one JSON object as the last line")]


@catalogue.command()
def show(json: Json = False) -> None:
    """What the folder TIDEWATCH_CATALOGUE holds, checked."""
    from index.catalogue import Catalogue

    with told():
        found = Catalogue.load(Settings().catalogue)
        result = {
            "name": found.name,
            "version": found.version,
            "digest": found.digest,
            "cities": len(found.cities),
            "groups": {kind: len(found.groups(kind)) for kind in found.kinds if kind != found.base_kind},
            "indicators": [indicator.code for indicator in found.indicators],
        }
        if json:
            emit(result)
        else:
            console.print(result)


@catalogue.command()
def publish(json: Json = False) -> None:
    """Write the folder's catalogue into every partition of the log: it takes effect at that offset.

    Refused where it may not follow the one in force (its version is not higher, or cells would change their meaning).
    """
    from workers.prepare import publish_newer_catalogue

    with told():
        version, partitions = publish_newer_catalogue(Settings())
        result = {"version": version, "partitions": partitions}
        if json:
            emit(result)
        else:
            console.print(f"catalogue version {version} stands in {partitions} partitions")
