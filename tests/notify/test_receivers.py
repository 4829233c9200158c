"""Where reports are sent, from Python."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sst_cloud import SinkOptionsError, SinkUnavailableError
from sst_cloud.metering.utility_report import Report, report
from sst_cloud.notify import receiver_from, report_message
from sst_cloud.testing.sink_contract import sample_reading

START = datetime(2026, 10, 1, tzinfo=UTC)
END = datetime(2026, 11, 1, tzinfo=UTC)
SERVER = {"SST_CLOUD_SMTP": "smtp://127.0.0.1:1"}


@pytest.fixture
def october() -> Report:
    readings = [
        sample_reading(time=START + timedelta(days=10 * day), value=1_000 * day) for day in range(4)
    ]
    (house_report,) = report(readings, START, END)
    return house_report


def test_message_has_text_and_json(october: Report) -> None:
    message = report_message(october)
    assert message.subject == "Water meters: Home, October 2026"
    assert message.text.startswith("Home, October 2026: 2026-10-01 00:00 to 2026-11-01 00:00\n")
    assert json.loads(json.dumps(message.content)) == message.content
    (meter,) = message.content["meters"]
    assert (message.content["month"], meter["last_m3"], meter["used_m3"]) == ("2026-10", 3, 3)


async def test_command_gets_an_object_for_each_message(october: Report, tmp_path: Path) -> None:
    file = tmp_path / "reports.jsonl"
    receiver = receiver_from(f"tee -a {file}")
    assert receiver.name.startswith("to tee")
    await receiver.send([report_message(october)] * 2)
    assert [json.loads(line)["house"] for line in file.read_text().splitlines()] == ["Home"] * 2


async def test_command_gets_env_and_not_what_is_withheld(
    october: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_TOKEN", "hunter2-hunter2")
    file = tmp_path / "env"
    receiver = receiver_from(
        f"sh -c 'env > {file}'", env={"ADDED": "yes"}, withheld={"A_TOKEN": ""}
    )
    await receiver.send([report_message(october)])
    assert "ADDED=yes" in file.read_text().splitlines()
    assert "hunter2" not in file.read_text()


async def test_mailbox_takes_its_server_from_the_secrets(
    october: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = receiver_from("mailto:me@example.com,you@example.com", secrets=SERVER)
    assert receiver.name == "by mail to me@example.com, you@example.com"
    with pytest.raises(SinkUnavailableError, match=r"the mail server 127\.0\.0\.1 cannot be"):
        await receiver.send([report_message(october)])
    monkeypatch.setenv("SST_CLOUD_SMTP", SERVER["SST_CLOUD_SMTP"])
    assert receiver_from("mailto:me@example.com").name == "by mail to me@example.com"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("me@example.com", "write mailto:ADDRESS to send it by mail"),
        ("mailto:me", "mailto: needs an address"),
        ("https://", "a handler's URL must look like"),
        ("it's", "cannot parse the command"),
    ],
)
def test_invalid_receivers_are_refused(text: str, message: str) -> None:
    with pytest.raises(SinkOptionsError, match=message):
        receiver_from(text, secrets=SERVER)


def test_mail_without_a_server_is_refused() -> None:
    with pytest.raises(SinkOptionsError, match="mail needs a server"):
        receiver_from("mailto:me@example.com", secrets={})
