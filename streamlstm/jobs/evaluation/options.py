"""What is evaluated, and how."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from streamlstm.evaluation.labelled.layout import SeriesFile, read_labelled
from streamlstm.evaluation.labelled.series import LabelledSeries

__all__ = ["QUICK_ROWS", "QUICK_SERIES", "Case", "EvaluationOptions", "own_case", "quick_cases", "series_cases"]

QUICK_SERIES, QUICK_ROWS = 2, 20_000
"""Of each set a quick evaluation takes the smallest files, and of each of them the first judged rows."""


@dataclass(frozen=True, slots=True)
class Case:
    """The series that share one model: one of the benchmark, or all of one's own; files are read when they are due."""

    name: str
    set_name: str
    source: SeriesFile | tuple[LabelledSeries, ...]
    most_rows: int | None = None
    """At most so many rows of each series are judged."""

    @property
    def size_bytes(self) -> int:
        """About how much there is to do."""
        if isinstance(self.source, SeriesFile):
            return self.source.size_bytes
        return sum(one.series.values.nbytes for one in self.source)

    def read(self) -> list[LabelledSeries]:
        """Return the series. Raises: DataError."""
        series = [read_labelled(self.source)] if isinstance(self.source, SeriesFile) else list(self.source)
        most = self.most_rows
        return series if most is None else [one.head(one.train_len + most) for one in series]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationOptions:
    """What is evaluated.

    Each case is trained with seeds 1 to `seeds`. `against` is a bundle that scores the same rows beside. Into `out` go
    the scores of every series and the results.
    """

    cases: tuple[Case, ...]
    seeds: int = 1
    jobs: int = 1
    against: Path | None = None
    out: Path | None = None


def series_cases(files: Sequence[SeriesFile]) -> tuple[Case, ...]:
    """Make a case of each series."""
    return tuple(Case(f"{file.set_name}/{file.name}", file.set_name, file) for file in files)


def own_case(series: Sequence[LabelledSeries]) -> Case:
    """Make one case of one's own recordings: `train` makes one model of them, too."""
    name = series[0].name if len(series) == 1 else f"{len(series)} streams"
    return Case(name, series[0].set_name, tuple(series))


def quick_cases(cases: Sequence[Case]) -> tuple[Case, ...]:
    """Return the smallest cases of each set, in their order, with fewer rows."""
    kept: set[str] = set()
    for set_name in {case.set_name for case in cases}:
        of_set = sorted((case for case in cases if case.set_name == set_name), key=lambda case: case.size_bytes)
        kept |= {case.name for case in of_set[:QUICK_SERIES]}
    return tuple(Case(case.name, case.set_name, case.source, QUICK_ROWS) for case in cases if case.name in kept)
