"""Logs as JSON lines, for machines that read them; no secret gets through."""

import json
import logging
from datetime import UTC, datetime
from typing import Final

from sst_cloud.redaction import redact, redact_text

FIELDS: Final = "fields"
"""`_log.info("…", extra={FIELDS: {"readings": 4}})` adds keys to the line."""


class JsonLines(logging.Formatter):
    """One JSON object a line: timestamp, level, logger, message, and the fields of the record."""

    def format(self, record: logging.LogRecord) -> str:
        """Write the record, with its secrets masked."""
        line = {
            "timestamp": _timestamp(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": redact_text(record.getMessage()),
            **redact(getattr(record, FIELDS, {})),
        }
        if request_id := getattr(record, "aws_request_id", None):
            line["requestId"] = request_id
        if record.exc_info:
            line["traceback"] = redact_text(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False, default=str)


def log_json_lines(level: str = "INFO") -> None:
    """Have everything logged as JSON lines: by the handlers that are there, or on stderr."""
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(logging.StreamHandler())
    for handler in root.handlers:
        handler.setFormatter(JsonLines())
    root.setLevel(level.upper())


def _timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")[:23] + "Z"
