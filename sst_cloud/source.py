"""The interface to clouds and modules."""

from typing import Protocol

from .models import Snapshot


class Source(Protocol):
    """Anything that can provide a snapshot: `SSTCloud`, or a module on the home network."""

    async def snapshot(self) -> Snapshot:
        """Read everything there is. Raises `SSTCloudError`."""
        ...
