"""The port towards clouds and modules."""

from typing import Protocol

from .models import Snapshot


class Source(Protocol):
    """Anything that can say how things stand: `SSTCloud`, or a module in the home network."""

    async def snapshot(self) -> Snapshot:
        """Read everything there is. Raises `SSTCloudError`."""
        ...
