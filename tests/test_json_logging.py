"""Logs as JSON lines."""

import io
import json
import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from awslambdaric.bootstrap import LambdaLoggerFilter, LambdaLoggerHandlerWithFrameType
from awslambdaric.lambda_runtime_log_utils import JsonFormatter

from sst_cloud.json_logging import JsonLines, log_json_lines

TOKEN = "0123456789abcdef0123456789abcdef01234567"
PASSWORD = "hunter2"


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in ("sst_cloud", "sst_cloud_sinks")}
    root.handlers[:] = []
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, was in levels.items():
        logging.getLogger(name).setLevel(was)


def line(message: str, *args: object, **more: Any) -> dict[str, Any]:
    record = logging.getLogger("x").makeRecord("x", 20, "f.py", 1, message, args, None, **more)
    read: dict[str, Any] = json.loads(JsonLines().format(record))
    return read


def test_log_line_is_json_with_its_extra_fields() -> None:
    read = line("stored %d readings", 4, extra={"readings": 4, "token": TOKEN})
    assert read.pop("timestamp").endswith("Z")
    assert read == {
        "level": "INFO",
        "logger": "x",
        "message": "stored 4 readings",
        "readings": 4,
        "token": "***",
    }


def test_secrets_are_masked() -> None:
    assert TOKEN not in str(line("Token %s was refused", TOKEN))


def test_traceback_is_logged_on_a_single_line() -> None:
    try:
        raise ValueError(f"bad token {TOKEN}")  # noqa: TRY301
    except ValueError:
        record = logging.LogRecord("x", 40, "f.py", 1, "it broke", (), sys.exc_info())
    text = JsonLines().format(record)
    assert "\n" not in text
    assert "ValueError" in json.loads(text)["traceback"]
    assert TOKEN not in text


def test_debug_messages_of_other_packages_are_not_logged(root: logging.Logger) -> None:
    stream = io.StringIO()
    root.addHandler(logging.StreamHandler(stream))
    log_json_lines("DEBUG")
    logging.getLogger("botocore.endpoint").debug("the whole body")
    logging.getLogger("sst_cloud.cloud.transport").debug("12 bytes")
    assert [json.loads(each)["message"] for each in stream.getvalue().splitlines()] == ["12 bytes"]


def test_without_handlers_logs_go_to_stderr(
    root: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    root.handlers.clear()  # pytest has put its own there
    log_json_lines()
    logging.getLogger("sst_cloud").info("here")
    assert json.loads(capsys.readouterr().err)["message"] == "here"


@pytest.mark.parametrize(
    ("message", "args"),
    [
        ({"password": PASSWORD, "text": "kept"}, ()),
        ("kept %s", ({"password": PASSWORD},)),
        ("kept %(password)s", ({"password": PASSWORD},)),
        ("kept %s", (f"me@{PASSWORD}.com",)),
    ],
    ids=str,
)
def test_values_of_sensitive_keys_in_a_message_are_masked(
    message: Any, args: tuple[Any, ...]
) -> None:
    text = json.dumps(line(message, *args))
    assert PASSWORD not in text
    assert "kept" in text


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError(TOKEN)


class WithToken:
    def __str__(self) -> str:
        return f"the token {TOKEN}"


CIRCULAR: list[Any] = []
CIRCULAR.append(CIRCULAR)
HALF = "half a character \udce4"


@pytest.mark.parametrize(
    "extra",
    [
        {"x": WithToken()},
        {"x": Unprintable()},
        {"x": CIRCULAR},
        {"x": {("a", "tuple"): TOKEN}},
        {"x": HALF},
    ],
    ids=lambda extra: type(extra["x"]).__name__,
)
def test_line_is_logged_whatever_extra_contains(extra: dict[str, Any]) -> None:
    text = json.dumps(line("stored", extra=extra))
    assert "stored" in text
    assert TOKEN not in text


@pytest.mark.parametrize(
    ("message", "args", "part"),
    [
        ("%d readings", ("many",), "readings"),
        (Unprintable(), (), "Unprintable"),
        ("%s", (Unprintable(),), "%s"),
    ],
    ids=["text for a number", "unprintable", "unprintable argument"],
)
def test_line_is_logged_whatever_its_arguments_are(
    message: Any, args: tuple[Any, ...], part: str
) -> None:
    assert part in line(message, *args)["message"]


class LogSink:
    """What Lambda's runtime writes its lines to."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.frames: list[bytes | None] = []

    def log(self, text: str, frame_type: bytes | None = None) -> None:
        text.encode()
        self.lines.append(text)
        self.frames.append(frame_type)

    @property
    def last(self) -> dict[str, Any]:
        """The last line, which is one line."""
        text = self.lines[-1]
        assert text.endswith("\n")
        assert len(text.splitlines()) == 1
        content: dict[str, Any] = json.loads(text)
        return content


SetUp = Callable[..., LogSink]


@pytest.fixture
def set_up(root: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> SetUp:
    """Set up logging like the Lambda runtime with JSON logs, then like our handler."""
    monkeypatch.setenv("AWS_LAMBDA_LOG_FORMAT", "JSON")

    def set_up(formatter: logging.Formatter | None) -> LogSink:
        root.handlers.clear()
        sink = LogSink()
        handler = LambdaLoggerHandlerWithFrameType(sink)
        handler.setFormatter(formatter)
        handler.addFilter(LambdaLoggerFilter())
        root.addHandler(handler)
        log_json_lines()
        log_json_lines()
        return sink

    return set_up


@pytest.fixture
def lambda_logs(set_up: SetUp) -> LogSink:
    return set_up(JsonFormatter())


def broken(secret: str) -> None:
    try:
        int(secret)
    except ValueError as error:
        raise ValueError(f"cannot use {secret}") from error


@pytest.mark.parametrize(
    "logger", ["sst_cloud.serverless.scheduled_poll", "aiohttp.client", "botocore.parsers"]
)
def test_lambda_json_has_no_secret_in_any_field(lambda_logs: LogSink, logger: str) -> None:
    log = logging.getLogger(logger)
    extra = {
        "password": PASSWORD,
        "answer": {"key": PASSWORD, "lines": [f"Token {TOKEN}", {"token": PASSWORD}]},
        "body": json.dumps({"email": "me@example.com", "password": PASSWORD}),
        "object": WithToken(),
        TOKEN: "as a name",
        "readings": 4,
    }
    try:
        broken(f"Token {TOKEN} of me@example.com")
    except ValueError:
        log.exception("rejected %s", f"Token {TOKEN}", extra=extra)
    content = lambda_logs.last
    for secret in (TOKEN, PASSWORD, "me@example.com"):
        assert secret not in lambda_logs.lines[-1]
    assert content["message"] == "rejected Token ***"
    assert content["errorType"] == "ValueError"
    assert content["errorMessage"] == "cannot use Token *** of ***"
    assert "in broken" in "".join(content["stackTrace"])
    assert content["answer"] == {"key": "***", "lines": ["Token ***", {"token": "***"}]}
    assert content["readings"] == 4
    assert content["level"] == "ERROR"
    assert lambda_logs.frames == [(0xA55A0016).to_bytes(4, "big")], "the frame of JSON errors"


def test_lambda_json_keeps_a_message_that_is_an_object(lambda_logs: LogSink) -> None:
    logging.getLogger("sst_cloud").warning({"token": PASSWORD, "readings": 4})
    assert lambda_logs.last["message"] == {"token": "***", "readings": 4}


def test_lambda_json_keeps_odd_characters(lambda_logs: LogSink) -> None:
    text = 'Кухня "1"\n\u2028 \\ \x00'
    logging.getLogger("sst_cloud").warning(text)
    assert json.loads(lambda_logs.lines[-1])["message"] == text
    logging.getLogger("sst_cloud").warning(HALF)
    assert lambda_logs.last["message"] == HALF


class Nested(logging.Formatter):
    """As a logging package might write it: the message deep inside JSON."""

    def format(self, record: logging.LogRecord) -> str:
        inner = {"text": record.getMessage(), "more": str(vars(record).get("password"))}
        return json.dumps({"log": {"inner": json.dumps(inner)}}) + "\n"


TEXT = logging.Formatter("[%(levelname)s] %(message)s %(password)s\n")


@pytest.mark.parametrize("formatter", [TEXT, Nested(), None], ids=["text", "nested", "none"])
def test_output_of_other_formatters_is_masked(
    set_up: SetUp, formatter: logging.Formatter | None
) -> None:
    sink = set_up(formatter)
    try:
        broken(f"Token {TOKEN}")
    except ValueError:
        logging.getLogger("aiohttp").exception("for me@example.com", extra={"password": PASSWORD})
    for secret in (TOKEN, PASSWORD, "me@example.com"):
        assert secret not in sink.lines[-1]
    assert "***" in sink.lines[-1]


class Failing(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        raise RuntimeError(TOKEN)


def test_line_is_logged_if_its_formatter_fails(set_up: SetUp) -> None:
    sink = set_up(Failing())
    logging.getLogger("sst_cloud").warning("stored with %s", TOKEN, extra={"password": PASSWORD})
    content = sink.last
    assert content["message"] == "stored with ***"
    assert content["password"] == "***"


def test_line_is_logged_if_its_arguments_do_not_match(lambda_logs: LogSink) -> None:
    logging.getLogger("sst_cloud").warning("stored %d", f"Token {TOKEN}")
    assert lambda_logs.last["message"] == "stored %d"
    assert TOKEN not in lambda_logs.lines[-1]


def test_secrets_in_keys_and_bytes_of_extra_are_masked() -> None:
    record = logging.makeLogRecord(
        {
            "msg": "x",
            "senders": {"me@example.com": 1},
            "body": b'{"password": "hunter2"}',
            "access_token": "abc123def456",
        }
    )
    line = JsonLines().format(record)
    for secret in ("me@example.com", "hunter2", "abc123def456"):
        assert secret not in line
    assert json.loads(line)["senders"] == {"***": 1}
