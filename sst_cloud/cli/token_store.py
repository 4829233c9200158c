"""The tokens saved by `login`, one per cloud, in the user's config folder."""

import json
from pathlib import Path

import click
import platformdirs

from sst_cloud.atomic_files import replace_file
from sst_cloud.bounded_json import loads


def path() -> Path:
    """The file with the tokens."""
    return platformdirs.user_config_path("sst-cloud") / "credentials.json"


def load(url: str) -> str | None:
    """The token for a cloud, if there is one."""
    entry = _read().get(url)
    return entry if isinstance(entry, str) else None


def save(url: str, token: str) -> Path:
    """Save a token atomically, readable only by its owner."""
    return _write(_read() | {url: token}, "the token cannot be saved to")


def delete(url: str) -> Path:
    """Delete the token for a cloud."""
    tokens = _read()
    tokens.pop(url, None)
    return _write(tokens, "the token cannot be removed from")


def _write(tokens: dict[str, object], failure: str) -> Path:
    file = path()
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        replace_file(file, json.dumps(tokens, indent=2).encode())
    except OSError as error:
        raise click.ClickException(f"{failure} {file}: {error.strerror}") from None
    return file


def _read() -> dict[str, object]:
    try:
        tokens = loads(path().read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        raise click.ClickException(
            f"{path()} cannot be read; remove it and run `sst-cloud login`"
        ) from None
    return tokens if isinstance(tokens, dict) else {}
