"""An AWS Lambda that stores meter readings, by means of the library."""

import os
from typing import Any

from aws_secret import secret
from sst_cloud.json_logging import log_json_lines
from sst_cloud.serverless import ScheduledPoll
from sst_cloud.serverless.scheduled_poll import CounterRecord

RESERVE = 1.0
"""Seconds reserved for reporting a poll that timed out."""

log_json_lines(os.environ.get("LOG_LEVEL", "INFO"))
poll = ScheduledPoll.from_environment(os.environ, secret)


def handler(_event: object, context: Any) -> list[CounterRecord]:
    """Poll once. Failures raise: the schedule retries, and an alarm is sent if that fails, too."""
    return poll(limit=context.get_remaining_time_in_millis() / 1000 - RESERVE)
