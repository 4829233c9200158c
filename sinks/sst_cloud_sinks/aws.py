"""What a deployment on AWS needs besides a sink: a secret from Secrets Manager or SSM."""

import json
from typing import Any, Final

from sst_cloud.errors import SSTCloudError

_LIMIT: Final = 5.0
"""Timeouts in seconds, to connect and to read; three attempts."""


async def secret(arn: str) -> str:
    """The text of a Secrets Manager secret, or of an SSM parameter, by its ARN.

    If it is JSON, the value of its key `token`. Raises `SSTCloudError`.
    """
    parts = arn.split(":", 5)
    service = parts[2] if len(parts) == 6 and parts[0] == "arn" else ""
    if service not in ("secretsmanager", "ssm"):
        raise SSTCloudError(f"{arn} is not the ARN of a secret or an SSM parameter")
    import aioboto3  # noqa: PLC0415  half a second, and an extra
    from aiobotocore.config import AioConfig  # noqa: PLC0415
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    config = AioConfig(
        connect_timeout=_LIMIT,
        read_timeout=_LIMIT,
        retries={"mode": "standard", "total_max_attempts": 3},
    )
    try:
        session = aioboto3.Session(region_name=parts[3])
        async with session.client(service, config=config) as client:
            return _token(await _fetch(client, service, arn))
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        action = "ssm:GetParameter" if service == "ssm" else "secretsmanager:GetSecretValue"
        raise SSTCloudError(
            f"{arn} cannot be read ({code}); check that it exists and that this role has {action}"
        ) from error
    except BotoCoreError as error:
        raise SSTCloudError(f"{arn} cannot be read: {error}") from error


async def _fetch(client: Any, service: str, arn: str) -> str:
    if service == "ssm":
        answer = await client.get_parameter(Name=arn, WithDecryption=True)
        return str(answer["Parameter"]["Value"])
    answer = await client.get_secret_value(SecretId=arn)
    return str(answer.get("SecretString", ""))


def _token(text: str) -> str:
    try:
        held = json.loads(text)
    except ValueError:
        return text
    return str(held["token"]) if isinstance(held, dict) and "token" in held else text
