"""The tokens saved by a login, one per cloud, in a file that only its owner can read."""

import json
from pathlib import Path
from typing import Self

import attrs

from sst_cloud.atomic_files import replace_file
from sst_cloud.bounded_json import loads
from sst_cloud.errors import SSTCloudError
from sst_cloud.extras import require


@attrs.frozen
class TokenFile:
    """A file with the token of each cloud, by its URL."""

    path: Path

    @classmethod
    def of_user(cls) -> Self:
        """The file in the user's config folder, where the command line saves its token."""
        require("the user's token file", "platformdirs", extra="cli", error=SSTCloudError)
        import platformdirs  # noqa: PLC0415  an extra

        return cls(platformdirs.user_config_path("sst-cloud") / "credentials.json")

    def load(self, url: str) -> str | None:
        """The token for a cloud, if there is one. Raises `SSTCloudError`."""
        entry = self._read().get(url)
        return entry if isinstance(entry, str) else None

    def save(self, url: str, token: str) -> None:
        """Save a token atomically, readable only by its owner. Raises `SSTCloudError`."""
        self._write(self._read() | {url: token}, "the token cannot be saved to")

    def delete(self, url: str) -> None:
        """Delete the token for a cloud. Raises `SSTCloudError`."""
        tokens = self._read()
        tokens.pop(url, None)
        self._write(tokens, "the token cannot be removed from")

    def _write(self, tokens: dict[str, object], failure: str) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            replace_file(self.path, json.dumps(tokens, indent=2).encode())
        except OSError as error:
            raise SSTCloudError(f"{failure} {self.path}: {error.strerror}") from None

    def _read(self) -> dict[str, object]:
        try:
            tokens = loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError):
            raise SSTCloudError(f"{self.path} cannot be read; remove it and log in again") from None
        return tokens if isinstance(tokens, dict) else {}
