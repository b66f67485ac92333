"""Logs by structlog, on standard error: for people, or as JSON. One line per event of meaning.

Fields that lines share are named alike everywhere: docs/metrics.md lists them. What libraries say through the standard
library's logging has the same form. No password of a URL gets into a line, whoever writes it.
"""

from __future__ import annotations

import logging
import sys

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from workers.masked import masked, printable


def configure(log_format: str = "console", level: int = logging.INFO) -> None:
    """Set structlog and the standard library's logging up. `log_format`: `console` or `json`."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, _without_passwords, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    # Faust's client says every second that a broker is away; the workers say it once, and when it is back.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    handler = logging.StreamHandler(sys.stderr)
    chain = [*shared, structlog.stdlib.add_logger_name, structlog.processors.format_exc_info, _without_passwords]
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=chain, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer]
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)


def _without_passwords(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    for name, value in line.items():
        if isinstance(value, str):
            line[name] = printable(masked(value) if "://" in value else value)
    return line
