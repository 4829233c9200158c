"""Secrets stay in."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sst_cloud.redaction import MASK, SENSITIVE_KEYS, redact, redact_text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("write to me@example.com now", "write to *** now"),
        ("module 02:00:aB:00:00:01 lost", "module *** lost"),
        ("Authorization: Token abc123", "Authorization: Token ***"),
        ("key 0123456789abcdef0123456789abcdef01234567", "key ***"),
        ("influxdb:https://me:secret@host:8086/x", "influxdb:https://***@host:8086/x"),
        ("nothing to hide", "nothing to hide"),
    ],
)
def test_text(text: str, shown: str) -> None:
    assert redact_text(text) == shown


@given(
    st.sampled_from(sorted(SENSITIVE_KEYS)),
    st.text(min_size=6, alphabet="QXZ"),
    st.booleans(),
)
def test_values_under_sensitive_keys(key: str, secret: str, upper: bool) -> None:
    name = key.upper() if upper else key
    payload: dict[str, Any] = {"a": [{"b": {name: secret, "kept": 1}}]}
    inside = {"parsed_configuration": json.dumps(payload)}
    for shape in (payload, inside):
        assert secret not in json.dumps(redact(shape))
    assert redact(payload) == {"a": [{"b": {name: MASK, "kept": 1}}]}


def test_what_is_empty_stays_empty() -> None:
    assert redact({"email": "", "phone": None}) == {"email": "", "phone": None}


def test_text_that_only_begins_like_json() -> None:
    assert redact("{me@example.com") == "{***"


@pytest.mark.parametrize("part", ["a", "a.", "a@", "a@a", "//a", "00:", "-"])
def test_long_text_takes_no_time(part: str) -> None:
    """Only as long as it is: once, an answer of 100 kB held up everything else for minutes."""
    text = part * (400_000 // len(part))
    assert redact_text(text + " me@example.com").endswith(MASK)
