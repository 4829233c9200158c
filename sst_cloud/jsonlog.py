"""Logs as JSON lines, for machines to read; secrets are masked."""

import json
import logging
import os
from datetime import UTC, datetime
from typing import Final

from .redaction import redact, redact_text

_USUAL: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
"""Attributes that every record has; anything else is `extra`."""


class JsonLines(logging.Formatter):
    """One JSON object per line: timestamp, level, logger, message, and the record's `extra`."""

    def __init__(self, end: str = "") -> None:
        """`end` terminates every line, for handlers that do not do so themselves."""
        super().__init__()
        self._end = end

    def format(self, record: logging.LogRecord) -> str:
        """Format the record, with its secrets masked."""
        extra = {key: value for key, value in vars(record).items() if key not in _USUAL}
        line = {
            "timestamp": f"{datetime.fromtimestamp(record.created, UTC):%Y-%m-%dT%H:%M:%S}"
            f".{record.msecs:03.0f}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": redact_text(record.getMessage()),
            **redact(extra),
        }
        if record.exc_info:
            line["traceback"] = redact_text(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False, default=str) + self._end


def log_json_lines(level: str = "INFO") -> None:
    """Log everything as JSON lines: through the existing handlers, or to stderr.

    `level` applies to our loggers; other packages, which might log whole requests, are limited to
    INFO and above. If an AWS Lambda function is set to JSON logs, Lambda's own format is kept,
    with secrets masked.
    """
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(logging.StreamHandler())
    json_already = os.environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON"
    for handler in root.handlers:
        if json_already:
            handler.addFilter(_mask)
        else:
            ends_lines = isinstance(handler, logging.StreamHandler)
            handler.setFormatter(JsonLines("" if ends_lines else "\n"))
    for name in ("sst_cloud", "sst_cloud_sinks"):
        logging.getLogger(name).setLevel(level.upper())
    root.setLevel(max(logging.INFO, logging.getLogger("sst_cloud").level))


def _mask(record: logging.LogRecord) -> bool:
    record.msg, record.args = redact_text(record.getMessage()), None
    return True
