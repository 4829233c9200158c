"""A Lambda like the old one: synchronous, one request after another."""

import os
import time

import boto3
import requests

URL = os.environ["SST_CLOUD_URL"]
HEADERS = {"Authorization": f"Token {os.environ['SST_CLOUT_TOKEN']}"}

timestream = boto3.client("timestream-write", endpoint_url=os.environ["TIMESTREAM_URL"])


def handler(_event, _context):
    """Store the counters of every house, a house at a time."""
    answer = []
    houses = requests.get(f"{URL}/houses/", headers=HEADERS, timeout=60).json()
    for house in houses:
        path = f"{URL}/houses/{house['id']}/counters/"
        counters = requests.get(path, headers=HEADERS, timeout=60).json()
        store(counters)
        answer += [
            {
                "id": counter["id"],
                "line": counter["line"],
                "hot_water": counter["for_hot_water"],
                "value": counter["value"],
            }
            for counter in counters
        ]
    return answer


def store(counters):
    """Write the counters of one house."""
    now = str(int(time.time()))
    records = [
        {
            "Dimensions": [
                {"Name": "service", "Value": "water"},
                {"Name": "location", "Value": os.environ["LOCATION"]},
                {
                    "Name": "water_temperature",
                    "Value": "hot" if counter["for_hot_water"] else "cold",
                },
            ],
            "MeasureName": "volume",
            "MeasureValue": str(counter["value"]),
            "MeasureValueType": "BIGINT",
            "Time": now,
            "TimeUnit": "SECONDS",
        }
        for counter in counters
    ]
    timestream.write_records(
        DatabaseName=os.environ["DATABASE_NAME"],
        TableName=os.environ["TABLE_NAME"],
        Records=records,
    )
