"""InfluxDB, versions 1 to 3, and what speaks its line protocol."""

from .sink import InfluxDBSink

__all__ = ["InfluxDBSink"]
