"""What is secret, and how it is kept out of logs, reprs, exceptions and dumps."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

MASK: Final = "***"

SENSITIVE_KEYS: Final = frozenset(
    {
        "authorization",
        "configuration",  # the base64 frame holds the module's MAC address
        "cookie",
        "csrftoken",
        "email",
        "first_name",
        "key",
        "last_name",
        "mac_address",
        "owner",
        "password",
        "phone",
        "sessionid",
        "set-cookie",
        "token",
        "uid",
        "username",
        "users",
        "x-csrftoken",
    }
)
"""Names, in lower case, whose values never leave the program."""

_SECRET_TEXT: Final = (
    re.compile(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+"),  # e-mail
    re.compile(r"\b[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){5}\b"),  # MAC address
    re.compile(r"(?<=Token )\S+"),
    re.compile(r"\b[0-9A-Za-z]{32,}\b"),  # token, sessionid, csrftoken
    re.compile(r"(?<=//)[^/@\s]+(?=@)"),  # user:password in a URL
)


def is_sensitive(name: str) -> bool:
    """Whether values under this key must not be shown."""
    return name.lower() in SENSITIVE_KEYS


def redact_text(text: str) -> str:
    """Mask what looks like an e-mail, a MAC address, a token or the user part of a URL."""
    for pattern in _SECRET_TEXT:
        text = pattern.sub(MASK, text)
    return text


def redact(value: Any) -> Any:
    """Copy a payload with its secrets masked; JSON held in strings is opened, masked, closed."""
    if isinstance(value, Mapping):
        return {
            key: MASK if is_sensitive(str(key)) and item else redact(item)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [redact(item) for item in value]
    if isinstance(value, str):
        if value[:1] in ("{", "["):
            try:
                return json.dumps(redact(json.loads(value)), ensure_ascii=False)
            except (ValueError, RecursionError):
                return redact_text(value)
        return redact_text(value)
    return value
