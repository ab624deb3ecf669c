"""What the process says: one line an event on standard error, and never a byte of payload.

Standard error, because standard output belongs to what commands print for other programs (`wiremask mask`,
`wiremask config`); a container's log has both.

An event is a lower-case verb phrase, with keys of one table (`KEYS`). The last processor before the renderer drops
every other key and every value that is not a plain number, truth value or text, so that a careless call cannot put a
record into the log. Texts that clients choose (client ids, topic names) are cut and their control characters escaped.
Exceptions are told by class and by where they were raised; their own words are kept only for our own classes and the
operating system's, because a library's may quote what it was reading.

`route_libraries` does the same to everything else that would speak: the standard library's logging, warnings, and the
interpreter's last words on exceptions that nobody caught.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import traceback
from math import isfinite
from typing import TYPE_CHECKING, Any, Literal, TextIO, cast

from wiremask.proxy.measures import counter
from wiremask.proxy.model import Section

# structlog.dev imports rich where it is installed, only to draw tracebacks on terminals: 80 ms and 10 MB that `run` has
# no use for. A module that is None in sys.modules is one that cannot be imported.
_HEAVY = [name for name in ("rich", "better_exceptions") if name not in sys.modules]
sys.modules.update(cast("dict[str, Any]", dict.fromkeys(_HEAVY)))
try:
    import structlog
finally:
    for _name in _HEAVY:
        del sys.modules[_name]

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping
    from types import TracebackType

    from structlog.typing import EventDict, FilteringBoundLogger

__all__ = ["KEYS", "LogConfig", "configure", "logger", "on_loop_exception", "route_libraries"]

_DATA_PATH = ("session", "client_id", "principal", "api", "version", "correlation_id", "topic", "partition", "rule")
_PROCESS = ("address", "listener", "node", "path", "generation", "digest", "previous_digest", "rules", "task", "signal")
_MEASURES = ("count", "bytes", "seconds")
_FAILURE = ("error", "reason", "where", "library")
_LINE = ("timestamp", "level", "event")

KEYS = frozenset(_DATA_PATH + _PROCESS + _MEASURES + _FAILURE + _LINE)
"""Every key that a log line can have."""

_LONGER = {"error": 1024, "reason": 1024, "path": 1024, "address": 512, "where": 1024}
_LENGTH = 256  # a topic name has at most 249 characters

dropped_fields = counter(
    "wiremask_log_fields_dropped_total", "Fields kept out of the log: their key is not in the table, or no plain value."
)


class LogConfig(Section):
    """Section `log`."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe events that are written."""

    format: Literal["json", "console"] = "json"
    """One JSON object a line, or text for a person at a terminal."""


def configure(config: LogConfig, stream: TextIO | None = None) -> None:
    """Sets level and form for every logger, also for those that exist already.

    Args:
        config: section `log`.
        stream: where the lines go; standard error as it is at each line when not given.
    """
    _configure(config.level, is_json=config.format == "json", stream=stream)


def _configure(level: str, *, is_json: bool, stream: TextIO | None = None) -> None:
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _tell_exception,
            _guard,
            _render_json if is_json else _render_text,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: _Lines(stream),
        cache_logger_on_first_use=False,
    )


def logger() -> FilteringBoundLogger:
    """A logger; `bind(session=..., client_id=...)` makes one whose every line has these keys."""
    return cast("FilteringBoundLogger", structlog.get_logger())


def route_libraries() -> None:
    """Takes over what libraries and the interpreter would print, so that no text of theirs reaches the output.

    A library's warning or error becomes one line with the library's name and the place in its code, without the
    message: messages are made of what the library was working on, and that may be a record.
    """
    root = logging.getLogger()
    root.handlers[:] = [_Router()]
    root.setLevel(logging.WARNING)
    logging.captureWarnings(True)
    sys.excepthook = _on_exception
    sys.unraisablehook = lambda told: _on_exception(told.exc_type, told.exc_value, told.exc_traceback)
    threading.excepthook = lambda told: _on_exception(told.exc_type, told.exc_value, told.exc_traceback)


def on_loop_exception(_loop: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
    """The exception handler of the event loop: the loop's own prints the `repr` of protocols, buffers and tasks.

    Of `context` only the exception is read: its message is made with `repr` in places.
    """
    error = context.get("exception")
    if isinstance(error, BaseException):
        logger().error("callback failed", exc_info=error)
    else:
        logger().error("callback failed", library="asyncio")


class _Lines:
    """The end of the chain: writes a line at once, and never lets a broken output reach the caller."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def write(self, line: str) -> None:
        stream = self._stream or sys.stderr
        try:
            stream.write(line + "\n")
            stream.flush()
        except (OSError, ValueError, AttributeError):
            # Nobody reads any more, or the stream is closed. Masking goes on without a log.
            pass

    debug = info = warning = error = critical = exception = write


class _Router(logging.Handler):
    """Turns a record of the standard library's logging into an event, without its message."""

    def emit(self, record: logging.LogRecord) -> None:
        level = "error" if record.levelno >= logging.ERROR else "warning"
        error = record.exc_info[1] if record.exc_info else None
        place = f"{record.module}:{record.lineno}"
        getattr(logger(), level)("library complained", library=record.name, where=place, error=error)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        """Says nothing: the base class prints the record's arguments."""


def _on_exception(_kind: type[BaseException], error: BaseException | None, _frames: TracebackType | None) -> None:
    logger().error("unexpected failure", exc_info=error)


def _tell_exception(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Turns exceptions, in `error` or by `exc_info`, into the keys `error` and `where`."""
    error = event.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()[1]
    elif isinstance(error, tuple):
        error = error[1]
    if error is None:
        error = event.get("error")
    if isinstance(error, BaseException):
        event["error"] = describe(error)
        frames = traceback.extract_tb(error.__traceback__)[-6:]
        if frames:
            event.setdefault("where", " > ".join(f"{_module(f.filename)}:{f.lineno}" for f in frames))
    elif error is None:
        event.pop("error", None)
    return event


def describe(error: BaseException) -> str:
    """An exception in words that hold no payload: the class, and its text if we or the operating system wrote it.

    An ImportError says the names of modules. Every other text may quote what was being worked on.
    """
    kind = type(error).__name__
    if isinstance(error, OSError):
        return f"{kind}: {error.strerror}" if error.strerror else kind
    if isinstance(error, ImportError) or type(error).__module__.partition(".")[0] == "wiremask":
        return f"{kind}: {error}"
    return kind


def _module(filename: str) -> str:
    return "/".join(filename.rsplit("/", 2)[-2:])


def _guard(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Drops what is no key of the table and what is no plain value; cuts and escapes texts."""
    for key in list(event):
        value = event[key]
        is_plain = value is None or isinstance(value, str | int) or (isinstance(value, float) and isfinite(value))
        if key not in KEYS or not is_plain:
            del event[key]
            dropped_fields.inc()
        elif isinstance(value, str):
            event[key] = _printable(value, _LONGER.get(key, _LENGTH))
    event.setdefault("event", "event without a name")
    return event


def _printable(text: str, length: int) -> str:
    if len(text) > length:
        text = text[:length] + f"[cut from {len(text)}]"
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _render_json(_logger: object, _method: str, event: EventDict) -> str:
    head = {key: event.pop(key) for key in _LINE if key in event}
    return json.dumps({**head, **event}, separators=(",", ":"))


def _render_text(_logger: object, _method: str, event: EventDict) -> str:
    timestamp, level, name = event.pop("timestamp", ""), event.pop("level", ""), event.pop("event", "")
    pairs = " ".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in event.items())
    return f"{timestamp} {level:<7} {name} {pairs}".rstrip()


# A process that forgot to call it must not fall back to structlog's own defaults, which print whatever they are given.
_configure("info", is_json=True)
