"""What must be there before the first event: the topics, and a log that begins with the catalogue."""

from __future__ import annotations

from index.catalogue import Catalogue
from stream.catalogue_log import publish_catalogue
from stream.topics import EVENTS, ensure_topics
from workers.settings import Settings


def prepare_topics(settings: Settings) -> None:
    """Create what is absent; a log made here begins with the catalogue. Errors: UnreachableError, CatalogueError."""
    created = ensure_topics(settings.kafka, settings.partitions, options=settings.kafka_options)
    if EVENTS in created:
        catalogue = Catalogue.load(settings.catalogue)
        publish_catalogue(settings.kafka, catalogue, list(range(settings.partitions)), settings.kafka_options)
