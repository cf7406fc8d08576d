"""Logs: JSON lines whose keys are an allow-list. No value, identifier or text of a device can get in by mistake.

A key that is not on the list is dropped and counted; words are capped and stripped of control characters. The files
are capped in size and number.
"""

from __future__ import annotations

import json
import logging
import logging.handlers
import sys
import traceback
from collections.abc import Callable, MutableMapping
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Protocol

import structlog

from .config import LogConfig

TEXT_LIMIT = 200
"""Longer than any word of ours; a longer one came from outside."""

KEYS = frozenset(
    {
        "address",  # of a broker
        "count",
        "device",  # its name in the config
        "driver",
        "dropped_keys",
        "error",  # an exception's type, never its text
        "event",
        "level",
        "library",
        "lost",
        "phase",
        "place",
        "port",  # of the control endpoint
        "protocol",
        "reason",
        "salvaged",
        "seconds",
        "signal",
        "state",
        "timestamp",
        "version",
    }
)


class Logger(Protocol):
    def bind(self, **keys: Any) -> Logger: ...
    def debug(self, event: str, **keys: Any) -> Any: ...
    def info(self, event: str, **keys: Any) -> Any: ...
    def warning(self, event: str, **keys: Any) -> Any: ...
    def error(self, event: str, **keys: Any) -> Any: ...


def configure(config: LogConfig) -> Logger:
    """The program's logger: standard error, or the rotated file of the config. Raises OSError if it cannot write."""
    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    if config.file:
        config.file.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.handlers.RotatingFileHandler(
            config.file, maxBytes=config.max_mib << 20, backupCount=config.files - 1, encoding="utf-8"
        )
    sink = logging.getLogger("devicebridge")
    for replaced in sink.handlers:
        replaced.close()
    sink.handlers = [handler]
    sink.propagate = False
    level = logging.getLevelName(config.level.upper())
    sink.setLevel(level)
    libraries = logging.StreamHandler(sys.stderr) if config.file is None else handler
    root = logging.getLogger()
    root.handlers = [_Nameless(libraries)]
    root.setLevel(logging.WARNING)
    return structlog.wrap_logger(  # type: ignore[no-any-return]
        sink,
        processors=[
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            allowed_only,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )


class _Nameless(logging.Handler):
    """What libraries log may hold bytes and texts of devices: only who spoke, how gravely, and when, is kept."""

    def __init__(self, out: logging.Handler) -> None:
        super().__init__()
        self._out = out

    def emit(self, record: logging.LogRecord) -> None:
        line = {"event": "library", "library": record.name, "level": record.levelname.lower()}
        line["timestamp"] = datetime.fromtimestamp(record.created, UTC).isoformat()
        self._out.handle(logging.makeLogRecord({"msg": json.dumps(line), "levelno": record.levelno}))


def contain_unhandled(log: Logger) -> Callable[[Any, dict[str, Any]], None]:
    """For `loop.set_exception_handler`: an exception that nobody took is told by its type and place."""

    def handler(_loop: Any, context: dict[str, Any]) -> None:
        error = context.get("exception")
        kind, place = (type(error).__name__, place_of(error)) if error else ("none", "unknown")
        log.error("unhandled", error=kind, place=place)

    return handler


def allowed_only(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: what is not on the list does not pass."""
    kept = {key: _plain(value) for key, value in event.items() if key in KEYS}
    if dropped := len(event) - len(kept):
        kept["dropped_keys"] = dropped
    return kept


def place_of(error: BaseException) -> str:
    """Where an exception arose, "file:line": its text may hold what must not be logged."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return "unknown"
    name = frames[-1].filename.replace("\\", "/").rsplit("/", 1)[-1]
    return f"{name}:{frames[-1].lineno}"


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, bool | int | float | None):
        return value
    return "".join(c if c.isprintable() else "?" for c in str(value)[:TEXT_LIMIT])
