"""Poll a source, deliver to sinks."""

from .loop import EVERY, Delivery, Poll, collect, poll

__all__ = ["EVERY", "Delivery", "Poll", "collect", "poll"]
