"""Amazon Timestream for LiveAnalytics."""

from .sink import TimestreamSink

__all__ = ["TimestreamSink"]
