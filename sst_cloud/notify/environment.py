"""The environment of a handler's command: that of this process, without the secrets."""

import os
from collections.abc import Collection, Mapping
from typing import Final

from sst_cloud.plugins import declared_secrets
from sst_cloud.redaction import SECRET_VARIABLES

_SHORT_VALUE: Final = 5
"""A variable with a value this short may have the value of a secret by chance."""
_LONG_SECRET: Final = 8
"""A secret at least this long is not part of another value by chance."""


def environment(extra: Mapping[str, str], withheld: Mapping[str, str]) -> dict[str, str]:
    """The variables of this process without secrets, known by name or by value, and `extra`.

    Secrets are those of this program, those `withheld`, and those that installed sinks declare.
    """
    names = {*SECRET_VARIABLES, *declared_secrets(), *withheld}
    secret_values = (*withheld.values(), *(os.environ.get(name, "") for name in names))
    values = {value.strip() for value in secret_values if len(value.strip()) > _SHORT_VALUE}
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in names and not _has_secret(value.strip(), values)
    }
    return inherited | dict(extra)


def _has_secret(text: str, secrets: Collection[str]) -> bool:
    return text in secrets or any(
        secret in text for secret in secrets if len(secret) >= _LONG_SECRET
    )
