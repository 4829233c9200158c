"""Which credentials requests are signed with."""

from pathlib import Path

import pytest

from sinks.timestream.stand_in import Timestream
from sinks.timestream.store import Table
from sst_cloud.errors import SinkRefusedError
from sst_cloud.plugins import open_sink
from sst_cloud.testing.sink_contract import sample_reading

OTHERS = {"AWS_ACCESS_KEY_ID": "AKIAOTHER", "AWS_SECRET_ACCESS_KEY": "other-secret"}
PROFILE = "[mine]\naws_access_key_id = AKIAPROFILE\naws_secret_access_key = profile-secret\n"


@pytest.mark.parametrize(
    ("secrets", "key"),
    [
        (None, "AKIATEST"),
        ({}, "AKIATEST"),
        ({"AWS_SECRET_ACCESS_KEY": "without its key"}, "AKIATEST"),
        (OTHERS, "AKIAOTHER"),
    ],
)
async def test_given_secrets_win_over_the_environment(
    timestream: Timestream, table: Table, secrets: dict[str, str] | None, key: str
) -> None:
    url = f"timestream:mydb/meters?endpoint_url={timestream.url}"
    async with open_sink(url, secrets) as sink:
        await sink.write([sample_reading()])
    assert f"Credential={key}/" in timestream.requests[0].signed
    assert "secret" not in repr(sink)


async def test_profile_in_the_url_wins_over_secrets_and_environment(
    timestream: Timestream, table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "credentials").write_text(PROFILE)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    url = f"timestream:mydb/meters?profile=mine&endpoint_url={timestream.url}"
    async with open_sink(url, OTHERS) as sink:
        await sink.write([sample_reading()])
    assert "Credential=AKIAPROFILE/" in timestream.requests[0].signed


async def test_session_token_is_sent_with_its_key(timestream: Timestream, table: Table) -> None:
    secrets = OTHERS | {"AWS_SESSION_TOKEN": "of a session"}
    url = f"timestream:mydb/meters?endpoint_url={timestream.url}"
    async with open_sink(url, secrets) as sink:
        await sink.write([sample_reading()])
    assert "x-amz-security-token" in timestream.requests[0].signed


async def test_key_without_its_secret_is_refused(timestream: Timestream, table: Table) -> None:
    url = f"timestream:mydb/meters?endpoint_url={timestream.url}"
    async with open_sink(url, {"AWS_ACCESS_KEY_ID": "AKIAOTHER"}) as sink:
        with pytest.raises(SinkRefusedError, match="set both AWS_ACCESS_KEY_ID and"):
            await sink.write([sample_reading()])
    assert timestream.requests == []
