"""What sources in tests have in common."""

from datetime import timedelta
from typing import Self


class OpenSource:
    """A source that needs no opening; refreshed every ten minutes, like SST Cloud."""

    name: str = "the test source"
    refresh: timedelta = timedelta(minutes=10)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None
