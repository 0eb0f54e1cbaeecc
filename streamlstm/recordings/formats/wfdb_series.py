"""WFDB records (PhysioNet): a header `.hea` and the signals it names, read with the package wfdb (extra `medical`)."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamlstm.errors import DataError, UsageError
from streamlstm.recordings.rates import distinct_names, lay_frames
from streamlstm.recordings.series import Series, make_series
from streamlstm.recordings.times import regular_times, within_range

__all__ = ["read_wfdb"]

_BLOCK_FRAMES = 1 << 18
"""Frames read at once: beside the values, a block of them as float64 and as integers is in memory."""


@dataclass(frozen=True, slots=True)
class _Segment:
    """One pair of header and signals, and where in the record it stands."""

    record: str
    begin: int
    frames: int
    names: tuple[str, ...]
    units: tuple[str, ...]
    per_frame: tuple[int, ...]


def read_wfdb(source: str, stream_id: str) -> Series:
    """Read the record of a header. Gaps between segments, and signals that a segment lacks, are missing.

    Signals at different rates are laid on the rows of the fastest. Without a date and time of its own, or with one
    outside [1970, 2200) as de-identified records have, a record begins at 1970.
    Raises: DataError for a header or signals that are damaged or not there; UsageError without the package.
    """
    record = str(Path(source).with_suffix("")) if source.endswith(".hea") else source
    with _refusals(source):
        import wfdb

        header = wfdb.rdheader(record)
        segments = _segments(wfdb, record, header)
        if not any(segment.names for segment in segments):
            raise DataError(f"{source}: expected signals, got a header without any")
        if not np.isfinite(float(header.fs)) or header.fs <= 0:
            raise DataError(f"{source}: expected a sampling frequency above 0, got {header.fs}")
        fastest = max(rate for segment in segments for rate in segment.per_frame)
        frames = max(segment.begin + segment.frames for segment in segments)
        if header.sig_len:
            frames = max(frames, int(header.sig_len))
        if not frames:
            raise DataError(f"{source}: expected samples, got a record of none")
        units = _units(segments)
        for segment in segments:
            _read_last(wfdb, segment)
        values = np.full((frames * fastest, len(units)), np.nan, np.float32)
        for segment in segments:
            _read_segment(wfdb, segment, values, list(units), fastest)
        start = header.base_datetime
    period_s = 1.0 / (float(header.fs) * fastest)
    times = regular_times(len(values), period_s, start_ms=start.replace(tzinfo=UTC).timestamp() * 1000 if start else 0)
    if not within_range(times[[0, -1]]).all():
        times = regular_times(len(values), period_s)
    return make_series(
        source,
        stream_id,
        values=values,
        event_time_ms=times,
        channels=tuple(units),
        rows=np.arange(len(values), dtype=np.int64),
        period_s=period_s,
        units=tuple(units.values()),
    )


def _segments(wfdb: Any, record: str, header: Any) -> list[_Segment]:
    """Return the segments of a record, itself if it is one; a layout comes first, with no frames."""
    if not hasattr(header, "seg_name"):
        return [_segment(wfdb, record, header, begin=0)]
    segments, begin = [], 0
    for name, frames in zip(header.seg_name, header.seg_len, strict=True):
        if name != "~":
            path = str(Path(record).with_name(name))
            segments.append(_segment(wfdb, path, wfdb.rdheader(path), begin=begin, frames=int(frames)))
        begin += int(frames)
    return segments


def _segment(wfdb: Any, record: str, header: Any, *, begin: int, frames: int | None = None) -> _Segment:
    names = distinct_names(header.sig_name or ())
    if frames is None:
        frames = header.sig_len
    if frames is None:  # an old header leaves it to the size of the signals
        frames = wfdb.rdrecord(record, physical=False).sig_len if names else 0
    units = tuple(unit or "" for unit in header.units or ())
    return _Segment(record, begin, int(frames), names, units, tuple(header.samps_per_frame or ()))


def _units(segments: list[_Segment]) -> dict[str, str]:
    """Return the unit of each channel of the record, in order of appearance."""
    units: dict[str, str] = {}
    for segment in segments:
        for name, unit in zip(segment.names, segment.units, strict=True):
            if units.setdefault(name, unit) != unit:
                raise DataError(f"{segment.record}.hea: signal {name}: expected {units[name]} as before, got {unit}")
    return units


def _read_last(wfdb: Any, segment: _Segment) -> None:
    """Read the last frame, so that signals which break off are refused before memory is taken for the whole."""
    if segment.frames:
        wfdb.rdrecord(segment.record, sampfrom=segment.frames - 1, sampto=segment.frames, smooth_frames=False)


def _read_segment(wfdb: Any, segment: _Segment, values: NDArray[np.float32], channels: list[str], fastest: int) -> None:
    for begin in range(0, segment.frames, _BLOCK_FRAMES):
        end = min(begin + _BLOCK_FRAMES, segment.frames)
        block = wfdb.rdrecord(segment.record, sampfrom=begin, sampto=end, smooth_frames=False)
        rows = slice((segment.begin + begin) * fastest, (segment.begin + end) * fastest)
        for name, column, per_frame in zip(segment.names, block.e_p_signal, segment.per_frame, strict=True):
            if len(column) != (end - begin) * per_frame:
                raise ValueError(f"signal {name}: expected {(end - begin) * per_frame} samples, got {len(column)}")
            lay_frames(values[rows, channels.index(name)], column, per_frame)


@contextmanager
def _refusals(source: str) -> Iterator[None]:
    """Turn what wfdb raises on damaged records into a sentence; what it warns of is its own code's age."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except ImportError:
        raise UsageError(f'{source}: WFDB records need the package wfdb: pip install "streamlstm[medical]"') from None
    except DataError:
        raise
    except OSError as error:
        file = Path(error.filename or source).name
        of = "" if file == Path(source).name else f" of {file}, which its header names"
        raise DataError(f"{source}: cannot read the data{of}: {error.strerror or error}") from error
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError) as error:
        cause = str(error).partition("\n")[0]
        raise DataError(f"{source}: expected a whole WFDB record, got a damaged or truncated one: {cause}") from error
