"""The port for whatever gives a snapshot; and, so far, two facts about SST Cloud."""

from datetime import timedelta
from typing import Final, Protocol

from .models import Snapshot


class Source(Protocol):
    """Anything that can provide a snapshot: `SSTCloud`, or a module on the home network."""

    async def snapshot(self) -> Snapshot:
        """Read everything. Raises `SSTCloudError`."""
        ...


NO_HOUSES: Final = (
    "the account has no houses; if it was migrated to the ATLAS app, it has left SST Cloud for good"
)
REFRESH: Final = timedelta(minutes=10)
"""Roughly how often the cloud receives new values, and so how old a total may be when read."""
