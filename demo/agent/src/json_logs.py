"""One JSON object per line on stderr, for our records and for uvicorn's."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

# Given by `extra=`; a record carries those that make sense for it.
EXTRA_FIELDS = ("method", "path", "status", "duration_ms", "client")


class JsonFormatter(logging.Formatter):
    """Formats a record as one line: time (UTC), level, release, logger, message, extra fields."""

    def __init__(self, release: str) -> None:
        super().__init__()
        self._release = release

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC)
        line = {
            "time": moment.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "release": self._release,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: getattr(record, name) for name in EXTRA_FIELDS if hasattr(record, name)}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


def configure_logs(release: str, level: str) -> None:
    """Send everything through the JSON formatter. Ends the process on an unknown level.

    uvicorn has set up its own loggers before it imports the application, so
    this needs no option on the command line.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter(release))
    root = logging.getLogger()
    root.handlers = [handler]
    try:
        root.setLevel(level)
    except ValueError:
        raise SystemExit(f"LOG_LEVEL: wanted DEBUG, INFO, ..., got {level!r}") from None
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).handlers = []
        logging.getLogger(name).propagate = True
    # request_log.py writes a line per request that also knows the duration.
    logging.getLogger("uvicorn.access").disabled = True
