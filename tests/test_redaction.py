"""Secrets are masked in texts and payloads."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sst_cloud.redaction import MASK, SENSITIVE_KEYS, redact, redact_text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("write to me@example.com now", "write to *** now"),
        ("module 02:00:aB:00:00:01 lost", "module *** lost"),
        ("Authorization: Token abc123", "Authorization: Token ***"),
        ("key 0123456789abcdef0123456789abcdef01234567", "key ***"),
        ("influxdb:https://me:secret@host:8086/x", "influxdb:https://***@host:8086/x"),
        ("nothing to hide", "nothing to hide"),
    ],
)
def test_secrets_in_text_are_masked(text: str, expected: str) -> None:
    assert redact_text(text) == expected


@given(
    st.sampled_from(sorted(SENSITIVE_KEYS)),
    st.text(min_size=6, alphabet="QXZ"),
    st.booleans(),
)
def test_values_of_sensitive_keys_are_masked(key: str, secret: str, upper: bool) -> None:
    name = key.upper() if upper else key
    payload: dict[str, Any] = {"a": [{"b": {name: secret, "kept": 1}}]}
    inside = {"parsed_configuration": json.dumps(payload)}
    for shape in (payload, inside):
        assert secret not in json.dumps(redact(shape))
    assert redact(payload) == {"a": [{"b": {name: MASK, "kept": 1}}]}


def test_empty_values_are_not_masked() -> None:
    assert redact({"email": "", "phone": None}) == {"email": "", "phone": None}


def test_text_starting_like_json_is_redacted_as_plain_text() -> None:
    assert redact("{me@example.com") == "{***"


@pytest.mark.parametrize("part", ["a", "a.", "a@", "a@a", "//a", "00:", "-"])
def test_long_text_is_redacted_quickly(part: str) -> None:
    """In linear time: an answer of 100 kB once blocked everything else for minutes."""
    text = part * (400_000 // len(part))
    assert redact_text(text + " me@example.com").endswith(MASK)
