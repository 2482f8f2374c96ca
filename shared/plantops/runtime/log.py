"""Structured logs: one JSON object a line on standard error, a fixed dotted name and facts as fields."""

from __future__ import annotations

import logging
import sys

import structlog

from plantops.runtime.errors import SettingsError

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure_logging(process: str, level: str = "info") -> None:
    """Set up once, at the start of a process. Raises: SettingsError for an unknown level."""
    if level not in LEVELS:
        raise SettingsError(f"log_level {level!r}: use one of {', '.join(LEVELS)}", setting="log_level")
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(sort_keys=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.bind_contextvars(process=process)
    # Libraries report through us; what they log on their own is for their developers.
    logging.basicConfig(level=logging.CRITICAL, stream=sys.stderr)
