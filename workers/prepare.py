"""What must be there before the first event: the topics, and a log that begins with the catalogue."""

from __future__ import annotations

from pathlib import Path

from index.catalogue import Catalogue
from index.errors import CatalogueError
from index.rules.rule import FILE as ALERT_RULES
from stream.catalogue_log import catalogue_in_force, publish_catalogue
from stream.topics import EVENTS, ensure_topics, partitions_of_topic
from workers.settings import Settings


def definition_files(folder: Path) -> list[Path]:
    """The definitions of index systems in a folder, by name; the alert rules lie beside them and are none."""
    return sorted(path for path in folder.glob("*.toml") if path.name != ALERT_RULES)


def prepare_topics(settings: Settings) -> None:
    """Create what is absent; a log made here begins with the catalogue. Errors: UnreachableError, CatalogueError."""
    created = ensure_topics(
        settings.kafka, settings.partitions, replication=settings.replication, options=settings.kafka_options
    )
    if EVENTS in created:
        catalogue = Catalogue.load(settings.catalogue)
        publish_catalogue(settings.kafka, catalogue, list(range(settings.partitions)), settings.kafka_options)


def publish_newer_catalogue(settings: Settings) -> tuple[int, int]:
    """Append the folder's catalogue to every partition; (its version, number of partitions).

    Errors: CatalogueError where it may not follow the one in force, or cannot be read; UnreachableError (repeat).
    """
    ours = Catalogue.load(settings.catalogue)
    partitions = partitions_of_topic(settings.kafka, EVENTS, settings.kafka_options)
    behind = []
    for partition in partitions:
        held = catalogue_in_force(settings.kafka, partition, settings.kafka_options)
        if held is not None and held.digest == ours.digest:
            continue  # a publication that broke off is finished by repeating it
        refusal = held.refuses(ours) if held is not None else None
        if refusal:
            raise CatalogueError(str(settings.catalogue), "version", f"{refusal} (partition {partition})")
        behind.append(partition)
    publish_catalogue(settings.kafka, ours, behind, settings.kafka_options)
    return ours.version, len(partitions)
