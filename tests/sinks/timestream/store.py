"""What Timestream stores and rejects according to its documentation."""

import re
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import attrs

FUTURE: Final = timedelta(minutes=15)
MOST_RECORDS: Final = 100
MOST_DIMENSIONS: Final = 128
RECORD_BYTES: Final = 2048
_UNITS: Final = {"SECONDS": 1, "MILLISECONDS": 1_000}
_RESERVED: Final = {"measure_name", "measure_value", "time"}
_PARSERS: Final[Mapping[str, Callable[[str], object]]] = {
    "BIGINT": int,
    "DOUBLE": float,
    "BOOLEAN": {"true": True, "false": False}.__getitem__,
    "VARCHAR": str,
}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Row = dict[str, Any]
"""A stored record: `dimensions`, `measure`, `type`, `value`, `time`, `version`."""


class ServiceError(Exception):
    """An answer that is an error: its code, status, sentence and further members."""

    def __init__(self, code: str, message: str, status: int = 400, **more: Any) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.body = {
            "__type": f"com.amazonaws.timestream.v20181101#{code}",
            "Message": message,
            **more,
        }


@attrs.define
class Table:
    """A table: what it keeps, and how long."""

    memory_hours: int = 6
    magnetic_days: int = 73_000
    magnetic_writes: bool = False
    turns_down_repeats: bool = False
    """According to one report, even the same value is rejected at the same version."""
    rows: dict[object, Row] = attrs.field(factory=dict, repr=False)
    _database: sqlite3.Connection | None = attrs.field(default=None, init=False, repr=False)
    """The rows as SQLite has them, until the next write."""

    def close(self) -> None:
        """Close the database used by queries."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def write(self, body: Mapping[str, Any], now: datetime) -> int:
        """Store the records of a request, all but those that are rejected."""
        records = body.get("Records", [])
        if not 1 <= len(records) <= MOST_RECORDS:
            raise _invalid(f"{len(records)} records; 1 to {MOST_RECORDS} are allowed")
        merged = [_row(_merge(body.get("CommonAttributes", {}), record)) for record in records]
        self.close()
        rejected = []
        for index, row in enumerate(merged):
            reason = self._reason(row, now) or self._conflict(row)
            if reason:
                rejected.append({"RecordIndex": index, **reason})
            else:
                self.rows[_key(row)] = row
        if rejected:
            raise ServiceError(
                "RejectedRecordsException",
                "One or more records have been rejected. See RejectedRecords for details.",
                419,
                RejectedRecords=rejected,
            )
        return len(merged)

    def query(self, sql: str, name: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Columns and rows of a query's answer, computed by SQLite."""
        if self._database is None:
            self._database = self._fill()
        try:
            cursor = self._database.execute(_translate(sql, name))
        except sqlite3.Error as error:
            raise _invalid(f"line 1:1: {error}") from error
        columns = [
            {"Name": column[0], "Type": {"ScalarType": "VARCHAR"}} for column in cursor.description
        ]
        return columns, [{"Data": [_datum(value) for value in values]} for values in cursor]

    def _fill(self) -> sqlite3.Connection:
        """The rows in SQLite: a column per dimension and type that was ever written."""
        dimensions = sorted({name for row in self.rows.values() for name in row["dimensions"]})
        types = sorted({row["type"] for row in self.rows.values()})
        values = [f"measure_value::{kind.lower()}" for kind in types]
        columns = ["measure_name", "time", *dimensions, *values]
        database = sqlite3.connect(":memory:")
        database.create_aggregate("max_by", 2, _MaxBy)  # type: ignore[arg-type]
        database.create_function("from_milliseconds", 1, _from_milliseconds)
        names = ", ".join(f'"{column}"' for column in columns)
        database.execute(f"CREATE TABLE records ({names})")
        database.executemany(
            f"INSERT INTO records VALUES ({', '.join('?' * len(columns))})",
            (
                (
                    row["measure"],
                    _timestamp(row["time"]),
                    *(row["dimensions"].get(name) for name in dimensions),
                    *(_plain(row["value"]) if row["type"] == kind else None for kind in types),
                )
                for row in self.rows.values()
            ),
        )
        return database

    def _reason(self, row: Row, now: datetime) -> dict[str, Any] | None:
        if len(row["dimensions"]) > MOST_DIMENSIONS:
            return {"Reason": f"More than {MOST_DIMENSIONS} dimensions."}
        if row["size"] > RECORD_BYTES:
            return {"Reason": f"The record has {row['size']} bytes, more than {RECORD_BYTES}."}
        memory = now - timedelta(hours=self.memory_hours)
        oldest = now - timedelta(days=self.magnetic_days) if self.magnetic_writes else memory
        if not oldest <= row["time"] <= now + FUTURE:
            window = f"[{oldest.isoformat()}, {(now + FUTURE).isoformat()})"
            store = "data ingestion window" if self.magnetic_writes else "memory store"
            reason = f"The record timestamp is outside the time range {window} of the {store}."
            return {"Reason": reason}
        return None

    def _conflict(self, row: Row) -> dict[str, Any] | None:
        stored = self.rows.get(_key(row))
        if stored is None or row["version"] > stored["version"]:
            return None
        if row["value"] == stored["value"] and not self.turns_down_repeats:
            return None
        return {
            "Reason": "The record version is not higher than the existing version.",
            "ExistingVersion": stored["version"],
        }


def _merge(common: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
    dimensions = [*common.get("Dimensions", ()), *record.get("Dimensions", ())]
    names = [dimension["Name"] for dimension in dimensions]
    if len(names) != len(set(names)):
        raise _invalid("A dimension is given twice.")
    return {**common, **record, "Dimensions": dimensions}


def _row(record: Mapping[str, Any]) -> Row:
    """A record as it is stored; a malformed one makes the whole request invalid."""
    dimensions = {
        _name(dimension["Name"], 60): dimension["Value"] for dimension in record["Dimensions"]
    }
    if not dimensions or not all(dimensions.values()):
        raise _invalid("A record needs dimensions, and a dimension a value.")
    if "MeasureName" not in record or "MeasureValue" not in record or "Time" not in record:
        raise _invalid("A record needs a measure name, a measure value and a time.")
    measure, kind = _name(record["MeasureName"], 256), record.get("MeasureValueType", "DOUBLE")
    try:
        value = _PARSERS[kind](record["MeasureValue"])
        seconds, rest = divmod(int(record["Time"]), _UNITS[record.get("TimeUnit", "MILLISECONDS")])
        time = _EPOCH + timedelta(seconds=seconds)
    except (KeyError, ValueError, OverflowError) as error:
        raise _invalid(f"A value or a time cannot be read: {error}") from error
    if rest or seconds < 0 or (kind == "BIGINT" and not -(2**63) <= int(str(value)) < 2**63):
        raise _invalid("A value or a time is out of range.")
    version = record.get("Version", 1)
    if not isinstance(version, int) or version < 1:
        raise _invalid("A version is a whole number from 1.")
    texts = [*dimensions, *dimensions.values(), measure, record["MeasureValue"]]
    return {
        "dimensions": dimensions,
        "measure": measure,
        "type": kind,
        "value": value,
        "time": time,
        "version": version,
        "size": sum(len(text.encode()) for text in texts) + 8,
    }


def _name(name: str, most: int) -> str:
    refused = not name or len(name.encode()) > most or name in _RESERVED
    if refused or name.startswith(("ts_", "measure_value")):
        raise _invalid(f"{name!r} is not allowed as a name.")
    return name


def _key(row: Row) -> object:
    return frozenset(row["dimensions"].items()), row["measure"], row["time"]


class _MaxBy:
    """The aggregate `max_by(value, key)`: the value where the key is greatest."""

    def __init__(self) -> None:
        self._best: tuple[str, Any] | None = None

    def step(self, value: Any, key: str) -> None:
        if self._best is None or self._best[0] < key:
            self._best = key, value

    def finalize(self) -> Any:
        return self._best and self._best[1]


def _translate(sql: str, name: str) -> str:
    """Timestream's dialect as SQLite's, as far as it is used here."""
    sql = sql.replace(name, "records")
    sql = re.sub(r"\bmeasure_value::(\w+)", r'"measure_value::\1"', sql)
    return re.sub(r"\bbin\((\w+), 1h\)", r"(substr(\1, 1, 13) || ':00:00.000000000')", sql)


def _from_milliseconds(milliseconds: int) -> str:
    return _timestamp(_EPOCH + timedelta(milliseconds=milliseconds))


def _timestamp(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S.%f}000"


def _plain(value: object) -> object:
    return str(value).lower() if isinstance(value, bool) else value


def _datum(value: object) -> dict[str, Any]:
    return {"NullValue": True} if value is None else {"ScalarValue": str(value)}


def _invalid(message: str) -> ServiceError:
    return ServiceError("ValidationException", message)


def records_of(table: Table) -> Sequence[Row]:
    """What a table holds, in the order it came."""
    return list(table.rows.values())
