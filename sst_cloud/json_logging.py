"""Logs as JSON lines, for machines to read; secrets are masked."""

import json
import logging
import os
from collections.abc import Sequence
from copy import copy
from datetime import UTC, datetime
from typing import Any, Final

from .redaction import redact, redact_text

_STANDARD_ATTRIBUTES: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
"""The attributes of every record; all others are `extra`."""


class JsonLines(logging.Formatter):
    """One JSON object per line: timestamp, level, logger, message, and the record's `extra`."""

    def __init__(self, end: str = "") -> None:
        """`end` terminates every line, for handlers that do not do so themselves."""
        super().__init__()
        self._end = end

    def format(self, record: logging.LogRecord) -> str:
        """Format the record, with its secrets masked."""
        line: dict[str, Any] = {
            "timestamp": f"{datetime.fromtimestamp(record.created, UTC):%Y-%m-%dT%H:%M:%S}"
            f".{record.msecs:03.0f}Z",
            "level": record.levelname,
            "logger": record.name,
        }
        try:
            line["message"] = _message(record)
        except Exception:  # noqa: BLE001  its arguments do not fit, or cannot be shown
            line["message"] = f"{type(record.msg).__name__} that cannot be formatted"
            if isinstance(record.msg, str):
                line["message"] = redact_text(record.msg)
        if record.exc_info:
            line["traceback"] = redact_text(self.formatException(record.exc_info))
        try:
            text = _dump(line | _extra(record))
        except Exception:  # noqa: BLE001  JSON cannot express it all
            text = _dump(line)
        return text + self._end


class MaskingFormatter(logging.Formatter):
    """Lines as another formatter writes them, with the secrets in them masked."""

    def __init__(self, formatter: logging.Formatter, end: str = "") -> None:
        """`end` terminates the lines that `formatter` fails to write and `JsonLines` writes."""
        super().__init__()
        self._formatter = formatter
        self._fallback = JsonLines(end)

    def format(self, record: logging.LogRecord) -> str:
        """Format the record, after masking the secrets in its message and `extra` for good."""
        try:
            # Before formatting: other formats than JSON may leave out the keys of `extra`.
            vars(record).update(_extra(record))
            record.msg, record.args = _message(record), None
            return _mask_line(self._formatter.format(record))
        except Exception:  # noqa: BLE001  a line that is logged must not be lost
            return self._fallback.format(record)


def log_json_lines(level: str = "INFO") -> None:
    """Log everything as JSON lines: through the existing handlers, or to stderr.

    `level` applies to our loggers; other packages, which might log whole requests, are limited to
    INFO and above. If an AWS Lambda function is set to JSON logs, Lambda's own format is kept,
    with secrets masked.
    """
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(logging.StreamHandler())
    is_json_already = os.environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON"
    for handler in root.handlers:
        end = "" if isinstance(handler, logging.StreamHandler) else "\n"
        if not is_json_already:
            handler.setFormatter(JsonLines(end))
        elif not isinstance(handler.formatter, MaskingFormatter):
            handler.setFormatter(MaskingFormatter(handler.formatter or logging.Formatter(), end))
    for name in ("sst_cloud", "sst_cloud_sinks"):
        logging.getLogger(name).setLevel(level.upper())
    root.setLevel(max(logging.INFO, logging.getLogger("sst_cloud").level))


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    extra = {key: value for key, value in vars(record).items() if key not in _STANDARD_ATTRIBUTES}
    masked: dict[str, Any] = redact(extra)
    return masked


def _message(record: logging.LogRecord) -> Any:
    """The message as text; a dict stays a dict."""
    if isinstance(record.msg, dict) and not record.args:
        return redact(record.msg)
    masked = copy(record)
    if isinstance(record.args, tuple):
        masked.args = tuple(redact(arg) for arg in record.args)
    else:
        masked.args = redact(record.args)
    return redact_text(masked.getMessage())


def _mask_line(line: str) -> str:
    """A finished line without secrets, which stays JSON if it is JSON."""
    try:
        content = json.loads(line, object_pairs_hook=_with_masked_keys)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        return redact_text(line)
    return _dump(redact(content)) + line[len(line.rstrip("\r\n")) :]


def _with_masked_keys(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    return {redact_text(key): value for key, value in pairs}


def _dump(content: Any) -> str:
    text = json.dumps(content, ensure_ascii=False, default=lambda value: redact_text(str(value)))
    return text.encode(errors="backslashreplace").decode()  # a lone surrogate is escaped
