"""Readings as data frames: the same rows in pandas and polars, both optional."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sst_cloud import Quantity, Reading, SSTCloud, Water, readings_frame, readings_from
from sst_cloud.display.dataframes import Library
from sst_cloud.enums import Point, Quality
from sst_cloud.readings import FIELDS
from sst_cloud.testing.sink_contract import sample_reading
from test_readings import readings

LIBRARIES: tuple[Library, ...] = ("pandas", "polars")
LEAK = {"quantity": Quantity.LEAK, "value": True, "unit": "", "water": None, "line": None}
WARM = {"quantity": Quantity.AIR_TEMPERATURE, "value": 21.5, "unit": "°C", "name": None}

each_library = pytest.mark.parametrize("library", LIBRARIES)


def rows(frame: Any) -> list[dict[str, Any]]:
    """The rows with plain values, as in `Reading.as_dict` except for the type of the value."""
    if isinstance(frame, pl.DataFrame):
        return frame.to_dicts()
    records: list[dict[str, Any]] = (
        frame.astype(object).where(frame.notna(), None).to_dict("records")
    )
    return records


@pytest.mark.not_quick
@each_library
@given(several=st.lists(readings(), max_size=5))
@settings(max_examples=60)
def test_every_reading_is_a_row(several: list[Reading], library: Library) -> None:
    frame = readings_frame(iter(several), library=library)
    assert tuple(frame.columns) == FIELDS
    for row, reading in zip(rows(frame), several, strict=True):
        value = type(row["value"])(reading.value)  # a whole number may have become a float
        assert row == reading.as_dict() | {"time": reading.time, "value": value}


def test_column_types_in_pandas() -> None:
    frame = readings_frame([sample_reading(), sample_reading(**LEAK)], library="pandas")
    assert {name: str(kind) for name, kind in frame.dtypes.items()} == {
        "time": "datetime64[us, UTC]",
        "quantity": "category",
        "value": "int64",
        "unit": "string",
        "house_id": "int64",
        "house": "string",
        "device_id": "int64",
        "device": "string",
        "model": "string",
        "point": "category",
        "point_id": "string",
        "name": "string",
        "line": "Int64",
        "water": "category",
        "quality": "category",
    }
    assert list(frame["quantity"].cat.categories) == list(Quantity)
    assert list(frame["line"].isna()) == [False, True]


def test_column_types_in_polars() -> None:
    frame = readings_frame([sample_reading(), sample_reading(**LEAK)], library="polars")
    assert frame.schema == {
        "time": pl.Datetime("us", "UTC"),
        "quantity": pl.Enum([*map(str, Quantity)]),
        "value": pl.Int64,
        "unit": pl.String,
        "house_id": pl.Int64,
        "house": pl.String,
        "device_id": pl.Int64,
        "device": pl.String,
        "model": pl.String,
        "point": pl.Enum([*map(str, Point)]),
        "point_id": pl.String,
        "name": pl.String,
        "line": pl.Int64,
        "water": pl.Enum([*map(str, Water)]),
        "quality": pl.Enum([*map(str, Quality)]),
    }


@each_library
@pytest.mark.parametrize(
    ("several", "expected", "kind"),
    [
        ([{}], [12], "int64"),
        ([LEAK], [True], "bool"),
        ([{}, LEAK], [12, 1], "int64"),
        ([{}, LEAK, WARM], [12.0, 1.0, 21.5], "float64"),
        ([], [], "float64"),
    ],
    ids=["litres", "leaks", "both", "with degrees", "none"],
)
def test_value_column_has_the_narrowest_possible_type(
    several: list[dict[str, Any]], expected: list[Any], kind: str, library: Library
) -> None:
    frame = readings_frame(
        [sample_reading(**({"value": 12} | fields)) for fields in several], library=library
    )
    assert list(frame["value"]) == expected
    assert str(frame["value"].dtype).lower().replace("boolean", "bool") == kind


@each_library
def test_no_readings_give_an_empty_frame_with_the_same_columns(library: Library) -> None:
    full = readings_frame([sample_reading(**WARM)], library=library)
    empty = readings_frame([], library=library)
    assert len(empty) == 0
    assert list(empty.dtypes) == list(full.dtypes)


@each_library
def test_times_of_all_years_are_supported(library: Library) -> None:
    moments = [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)]
    frame = readings_frame([sample_reading(time=moment) for moment in moments], library=library)
    assert [moment.year for moment in frame["time"]] == [1, 9999]


@each_library
async def test_a_snapshot_becomes_the_frame_of_its_readings(
    client: SSTCloud, library: Library
) -> None:
    snapshot = await client.snapshot()
    frame = readings_frame(snapshot, library=library)
    assert rows(frame) == rows(readings_frame(readings_from(snapshot), library=library))
    assert len(frame) == len(readings_from(snapshot)) > 30


async def test_frames_support_comparison_and_time_arithmetic(client: SSTCloud) -> None:
    """Rows can be selected by the enums of the library or by their text."""
    frame = readings_frame(await client.snapshot())
    volumes = frame[frame["quantity"] == Quantity.VOLUME]
    assert len(volumes) == len(frame[frame["quantity"] == "volume"]) == 5
    later = frame["time"] + timedelta(hours=1)
    assert (later > frame["time"]).all()


def test_pandas_is_the_default_library() -> None:
    assert isinstance(readings_frame([]), pd.DataFrame)


@pytest.fixture
def hide_packages(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make packages unavailable for import."""

    def lack(*names: str) -> None:
        for name in names:
            monkeypatch.setitem(sys.modules, name, None)

    return lack


def test_polars_is_used_if_pandas_is_missing(hide_packages: Any) -> None:
    hide_packages("pandas")
    assert isinstance(readings_frame([]), pl.DataFrame)


@pytest.mark.parametrize(
    ("library", "sentence"),
    [
        (None, "a data frame needs pandas: pip install 'sst-cloud[notebook]'"),
        ("pandas", "a data frame needs pandas: pip install 'sst-cloud[notebook]'"),
        ("polars", "a data frame needs polars: pip install polars"),
    ],
)
def test_missing_library_error_says_what_to_install(
    hide_packages: Any, library: Library | None, sentence: str
) -> None:
    hide_packages("pandas", "polars")
    with pytest.raises(ModuleNotFoundError) as caught:
        readings_frame([], library=library)
    assert str(caught.value) == sentence


def test_broken_library_raises_its_own_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    (tmp_path / "pandas.py").write_text("import nonsense_that_is_not_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "pandas")
    with pytest.raises(ModuleNotFoundError, match="nonsense_that_is_not_there"):
        readings_frame([])


def test_unknown_library_is_refused() -> None:
    with pytest.raises(ValueError, match="must be 'pandas' or 'polars', not 'dask'"):
        readings_frame([], library="dask")  # type: ignore[call-overload]


def test_libraries_are_loaded_only_when_a_frame_is_made() -> None:
    code = (
        "import sys; from sst_cloud import SSTCloud, Snapshot, readings_frame, readings_from;"
        "print(sorted({'pandas', 'polars', 'sst_cloud.display.html'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
