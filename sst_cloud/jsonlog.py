"""Logs as JSON lines, for machines that read them; no secret gets through."""

import json
import logging
import os
from datetime import UTC, datetime
from typing import Final

from .redaction import redact, redact_text

_USUAL: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
"""What every record has; anything else came as `extra`."""


class JsonLines(logging.Formatter):
    """One JSON object a line: timestamp, level, logger, message, and the record's `extra`."""

    def __init__(self, end: str = "") -> None:
        """`end` closes every line, for handlers that do not do it themselves."""
        super().__init__()
        self._end = end

    def format(self, record: logging.LogRecord) -> str:
        """Write the record, with its secrets masked."""
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
    """Have everything logged as JSON lines: by the handlers that are there, or on stderr.

    `level` holds for our loggers; other packages', which would tell whole requests, say nothing
    below INFO. AWS Lambda's own JSON, where the function is set to it, stays, with its secrets
    masked.
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
