"""Damaged payloads, reproducible by seed, like those that firmware and clouds produce."""

import copy
import json
import random
from typing import Any, Final

JUNK: Final[tuple[Any, ...]] = (
    None,
    True,
    False,
    0,
    1,
    -1,
    7,
    1.5,
    -0.0,
    2**31,
    2**63,
    -(2**63) - 1,
    10**400,
    1e308,
    "",
    " ",
    "0",
    "7",
    "+-3",
    "--1",
    "1e3",
    "nan",
    "yes",
    "no",
    "on",
    "opened",
    "half_opened",
    "one_group",
    "two_groups",
    "chart",
    "24:00:00",
    "2026-02-30T00:00:00Z",
    "0001-01-01T00:00:00+03:00",
    "Europe",
    "../../etc/passwd",
    "Moon/Tranquility",
    "Шум",
    "\ud800",
    "\0",
    "9" * 30,
    "x" * 300,
    "AlRBUgAA",
    [],
    {},
    [None],
    [[]],
    [[1, 2], [3]],
    [[540, 20], [100, 30]],
    {"": ""},
    {"air": {}, "counters": [5, {"value": True}]},
    [{"a": [{"b": [{"c": [[[[[]]]]]}]}]}],
)


def mutated(payload: Any, rng: random.Random) -> Any:
    """A copy with one to four things changed, at any depth, inside strings of JSON too."""
    payload = copy.deepcopy(payload)
    for _ in range(rng.randint(1, 4)):
        payload = _change(payload, rng)
    return payload


def _change(value: Any, rng: random.Random) -> Any:
    """Descend at random, and change the value found there."""
    if isinstance(value, str) and value[:1] == "{" and rng.random() < 0.9:
        return _change_json(value, rng)
    if not isinstance(value, dict | list) or not value or rng.random() < 0.1:
        return _replaced(value, rng)
    keys: list[Any] = list(value) if isinstance(value, dict) else list(range(len(value)))
    key = rng.choice(keys)
    if isinstance(value, dict) and "parsed_configuration" in value and rng.random() < 0.5:
        key = "parsed_configuration"
    action = rng.random()
    if action < 0.15:
        del value[key]
    elif action < 0.2 and isinstance(value, list):
        value.append(copy.deepcopy(value[key]))
    elif action < 0.25 and isinstance(value, dict):
        value[rng.choice(["extra", "\ud800", key.upper()])] = _junk(rng)
    else:
        value[key] = _change(value[key], rng)
    return value


def _change_json(text: str, rng: random.Random) -> Any:
    if rng.random() < 0.1:
        return text[: rng.randrange(len(text))]
    try:
        inside = json.loads(text)
    except ValueError:
        return _replaced(text, rng)
    return json.dumps(_change(inside, rng))


def _replaced(value: Any, rng: random.Random) -> Any:
    """Another value: null, another type, the same value in another format, or a part of it."""
    ways = [_junk(rng), _junk(rng), None, [value], {"value": value}]
    if isinstance(value, bool):
        ways += ["yes" if value else "no", int(value), not value]
    elif isinstance(value, int | float):
        ways += [str(value), float(value) if abs(value) < 2**63 else 0.5, -value, value * 10**30]
    elif isinstance(value, str):
        ways += [value.upper(), value[: len(value) // 2], value + "?", value[::-1]]
    elif isinstance(value, list):
        ways += [value[:1], value[1:], value * 3, value[::-1]]
    return rng.choice(ways)


def _junk(rng: random.Random) -> Any:
    return copy.deepcopy(rng.choice(JUNK))
