"""The layout of the accuracy benchmark: a folder of sets, each a folder of NPZ series, and NAB in its own layout.

    DATA/SET/NAME.npz                        values [T, C], train_len, label [T]; period_s and channels may be there
    DATA/nab/data/GROUP/FILE.csv             with DATA/nab/labels/combined_windows.json

DATA may also be one set, or one NPZ file with a `label`. Of a NAB file the first 15 %, at most 750 rows, are the
warm-up: NAB's own probation. Files are found first and read when their turn comes.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamlstm.errors import DataError, UsageError
from streamlstm.evaluation.labelled.series import LabelledSeries
from streamlstm.evaluation.labelled.sets import traits_of
from streamlstm.evaluation.measures.nab import probation_rows
from streamlstm.recordings.reading import read_series
from streamlstm.recordings.series import Series

__all__ = ["SeriesFile", "find_series", "read_labelled"]

_NAB_WINDOWS = Path("labels", "combined_windows.json")


@dataclass(frozen=True, slots=True)
class SeriesFile:
    """A series that lies on disk. Units: windows of NAB as pairs of the times of their first and last sample."""

    set_name: str
    name: str
    path: Path
    size_bytes: int
    nab_windows: tuple[tuple[str, str], ...] | None = None


def find_series(data: Path, sets: Sequence[str] = ()) -> list[SeriesFile] | None:
    """Find the series of a folder in this layout, of the named sets or of all; None when it has another layout.

    Raises: UsageError for a set that is not there; DataError for a damaged one.
    """
    if data.is_file():
        found = {_set_name(data.parent): [data]} if _has_labels(data) else {}
    elif _is_nab(data):
        found = {"nab": [data]}
    elif files := _labelled_files(data):
        found = {_set_name(data): files}
    else:
        folders = sorted(folder for folder in data.iterdir() if folder.is_dir()) if data.is_dir() else []
        found = {folder.name: [folder] if _is_nab(folder) else _labelled_files(folder) for folder in folders}
        found = {name: paths for name, paths in found.items() if paths}
    if not found:
        return None
    if unknown := sorted(set(sets) - found.keys()):
        raise UsageError(f"--set: expected sets among {', '.join(found)}, got {', '.join(unknown)}")
    series: list[SeriesFile] = []
    for name, paths in found.items():
        if not sets or name in sets:
            is_nab = paths[0].is_dir()
            series += _nab_files(paths[0]) if is_nab else [_npz_file(name, path) for path in paths]
    return series


def read_labelled(file: SeriesFile) -> LabelledSeries:
    """Read one series. Raises: DataError with the file and what is wrong with it."""
    return _read_npz(file) if file.nab_windows is None else _read_nab(file, file.nab_windows)


def _set_name(folder: Path) -> str:
    return folder.resolve().name or "series"


def _npz_file(set_name: str, path: Path) -> SeriesFile:
    return SeriesFile(set_name, path.stem, path, path.stat().st_size)


def _labelled_files(folder: Path) -> list[Path]:
    """Return the NPZ files of a folder, if the first of them has labels."""
    files = sorted(folder.glob("*.npz")) if folder.is_dir() else []
    return files if files and _has_labels(files[0]) else []


def _has_labels(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return "label.npy" in archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False


def _is_nab(folder: Path) -> bool:
    return (folder / _NAB_WINDOWS).is_file() and (folder / "data").is_dir()


def _nab_files(folder: Path) -> list[SeriesFile]:
    labels = folder / _NAB_WINDOWS
    try:
        by_file = json.loads(labels.read_bytes())
        windows = {name: tuple((str(first), str(last)) for first, last in found) for name, found in by_file.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{labels}: expected NAB's windows by file, got something else ({error})") from None
    files = []
    for name, found in windows.items():
        path = folder / "data" / name
        if not path.is_file():
            raise DataError(f"{labels}: expected a file for each name, got none at {path}")
        files.append(SeriesFile("nab", name.removesuffix(".csv"), path, path.stat().st_size, found))
    return files


def _read_npz(file: SeriesFile) -> LabelledSeries:
    (series,) = read_series(file.path)
    with np.load(file.path, allow_pickle=False) as arrays:  # read once already: these are plain arrays
        if "label" not in arrays.files:
            raise DataError(f"{file.path}: expected an array `label` [T], as in the other files of the set")
        label = arrays["label"]
        period_s = float(arrays["period_s"]) if "period_s" in arrays.files else 0.0
    rows = len(series.values)
    if label.shape != (rows,) or label.dtype.kind not in "biuf":
        raise DataError(
            f"{file.path}: label: expected {rows} numbers, one a row, got {label.dtype} {list(label.shape)}"
        )
    if series.train_len is None or series.train_len >= rows:
        expected = f"expected a row count from 1 to {rows - 1}, so that rows are left to be judged"
        raise DataError(f"{file.path}: train_len: {expected}, got {series.train_len}")
    named = replace(series, stream_id=file.name, period_s=period_s)
    return _without_inputs(LabelledSeries(file.set_name, named, label != 0, series.train_len))


def _without_inputs(one: LabelledSeries) -> LabelledSeries:
    """Leave out the channels that are not scored: commands tell what was asked of a machine, not what it did."""
    scored = traits_of(one.set_name).scored_channels
    series = one.series
    if scored is None or scored >= len(series.channels):
        return one
    kept = replace(
        series,
        values=np.ascontiguousarray(series.values[:, :scored]),
        channels=series.channels[:scored],
        units=series.units[:scored],
    )
    return replace(one, series=kept, inputs=series.channels[scored:])


def _read_nab(file: SeriesFile, windows: Sequence[tuple[str, str]]) -> LabelledSeries:
    (series,) = read_series(file.path)
    rows = len(series.values)
    labels = np.zeros(rows, np.bool_)
    for first, last in windows:
        labels[_row_at(series, first, file) : _row_at(series, last, file) + 1] = True
    return LabelledSeries("nab", replace(series, stream_id=file.name), labels, probation_rows(rows))


def _row_at(series: Series, time: str, file: SeriesFile) -> int:
    """Return the first row with a time."""
    at_ms = _milliseconds(time, file)
    row = int(np.searchsorted(series.event_time_ms, at_ms))
    if row == len(series.event_time_ms) or series.event_time_ms[row] != at_ms:
        raise DataError(f"{file.path}: expected a sample at each end of a window, got none at {time}")
    return row


def _milliseconds(time: str, file: SeriesFile) -> int:
    try:
        moments: NDArray[np.datetime64] = np.array(time, "datetime64[ms]")
    except ValueError:
        raise DataError(
            f"{file.path}: expected windows between times such as 2014-04-01 00:05:00, got {time!r}"
        ) from None
    return int(moments.astype(np.int64))
