"""Tokens from Secrets Manager and Parameter Store, simulated by moto."""

from collections.abc import Iterator
from typing import Any

import aioboto3
import pytest
from moto.server import ThreadedMotoServer

from aws_secret import secret
from echo import FORMS, PLACES, Echo, all_of, http, leaked
from sst_cloud import SSTCloudError


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    yield url
    server.stop()


def client(service: str) -> Any:
    return aioboto3.Session().client(service)


@pytest.mark.parametrize("text", ["abc123", '{"token": "abc123"}'])
async def test_token_is_read_from_secrets_manager(server: str, text: str) -> None:
    async with client("secretsmanager") as manager:
        response = await manager.create_secret(Name=f"token-{len(text)}", SecretString=text)
    assert await secret(response["ARN"]) == "abc123"


async def test_token_is_read_from_parameter_store(server: str) -> None:
    async with client("ssm") as store:
        await store.put_parameter(Name="/home/token", Value="abc123", Type="SecureString")
        response = await store.get_parameter(Name="/home/token")
    assert await secret(response["Parameter"]["ARN"]) == "abc123"


@pytest.mark.parametrize(
    ("arn", "message"),
    [
        ("arn:aws:secretsmanager:eu-central-1:1:secret:no", "this role has secretsmanager:Get"),
        ("arn:aws:ssm:eu-central-1:1:parameter/no", "this role has ssm:GetParameter"),
    ],
)
async def test_missing_secret_is_a_clear_error(server: str, arn: str, message: str) -> None:
    with pytest.raises(SSTCloudError, match=message):
        await secret(arn)


@pytest.mark.parametrize("arn", ["arn:aws:s3:::bucket", "arn:aws:ssm", "token"])
async def test_other_arns_are_refused(arn: str) -> None:
    with pytest.raises(SSTCloudError, match="is not the ARN"):
        await secret(arn)


async def test_unreachable_secret_store_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(SSTCloudError, match="cannot be read"):
        await secret("arn:aws:ssm:eu-central-1:1:parameter/token")


KEY_ID = "AKIAECHO7ECHO7ECHO7E"
SESSION = "IQoJb3JpZ2luX2VjEA=="
ARNS = ("arn:aws:ssm:eu-central-1:1:parameter/t", "arn:aws:secretsmanager:eu-central-1:1:secret:t")


@pytest.fixture
def one_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    """With credentials to look for, and no waits between attempts."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY_ID)
    monkeypatch.setenv("AWS_SESSION_TOKEN", SESSION)
    monkeypatch.setattr("aws_secret._ATTEMPTS", 1)


@pytest.mark.usefixtures("one_attempt")
@pytest.mark.parametrize("place", ["200", "400 JSON", "500", "reason", "status line", "no HTTP"])
async def test_credentials_repeated_by_the_server_are_never_shown(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All encodings in one answer, because a client of AWS is slow to create."""
    texts = [form(each) for form in FORMS.values() for each in (KEY_ID, SESSION)]
    async with Echo(lambda sent: PLACES[place](f"{sent.decode()} {' '.join(texts)}")) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        with pytest.raises(SSTCloudError, match="cannot be read") as caught:
            await secret(ARNS[0])
    assert leaked(all_of(caught.value), KEY_ID, SESSION) == []


@pytest.mark.usefixtures("one_attempt")
@pytest.mark.parametrize("arn", ARNS)
@pytest.mark.parametrize(
    "body",
    [
        "{}",
        "s3same-0pen",
        '{"Parameter": {"Value": "s3same-0pen"}',
        '{"Parameter": {"Val": "s3same-0pen"}, "Secret": "s3same-0pen"}',
        "[" * 100_000,
        " " * 9_000_000,
    ],
    ids=range(6),
)
async def test_an_answer_without_a_secret_is_not_shown(
    arn: str, body: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Echo(lambda _: http(200, body)) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        with pytest.raises(SSTCloudError, match="cannot be read") as caught:
            await secret(arn)
    assert "s3same" not in all_of(caught.value)
