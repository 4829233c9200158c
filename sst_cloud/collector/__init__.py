"""Poll a source, deliver to sinks."""

from .loop import EVERY, PASSING, Delivery, Poll, collect, poll

__all__ = ["EVERY", "PASSING", "Delivery", "Poll", "collect", "poll"]
