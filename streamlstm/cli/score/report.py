"""The page of a scored recording, made when it is scored: its streams once more, each alone."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import NamedTuple

from streamlstm.evaluation.overview import Tally
from streamlstm.evaluation.recording import Recording
from streamlstm.evaluation.summary import summarise_streams
from streamlstm.recordings.labels import labelled_spans
from streamlstm.recordings.reading import TimeUnit
from streamlstm.reporting.explanation.page import write_page
from streamlstm.reporting.explanation.recording_page import RecordingReport, render_recording
from streamlstm.reporting.quantities import counted, number
from streamlstm.scoring.alerts import AlertPolicy
from streamlstm.scoring.detector import Detector

__all__ = ["ReportFiles", "Reporter"]

_log = logging.getLogger(__name__)


class ReportFiles(NamedTuple):
    """Where the page goes, and the labels that it shows."""

    page: Path
    labels: Path | None


class Reporter:
    """Counts while a recording is scored, and writes the page afterwards.

    Raises: DataError for labels that cannot be read.
    """

    def __init__(
        self, files: ReportFiles, recording: Recording, detector: Detector, policy: AlertPolicy, *, ts_unit: TimeUnit
    ) -> None:
        self.tally = Tally(recording)
        self._files, self._recording, self._policy = files, recording, policy
        self._model, self._gaps, self._threshold = detector.bundle, detector.gaps, detector.threshold
        self._labels = labelled_spans(files.labels, ts_unit=ts_unit) if files.labels else []

    def write(self, *, held_back: int, stream_days: float) -> None:
        """Replay the foremost streams and write the page. Raises: DataError."""
        bundle = self._model
        streams = summarise_streams(
            self._detector, self._recording, self.tally, policy=self._policy, labels=self._labels
        )
        budget = f"{number(stream_days)} stream-days · budget: {self._threshold.summary}"
        rows = f"{counted(len(self._recording), 'row')} of {counted(len(self.tally.streams), 'stream')}"
        report = RecordingReport(
            name="standard input" if self._recording.source == "-" else self._recording.source,
            channels=bundle.channels,
            units=bundle.units or ("",) * len(bundle.channels),
            facts=(
                f"{bundle.label} · {rows}",
                budget + (f" · {held_back:,} more alerts were held back by it" if held_back else ""),
            ),
            tallies=self.tally.streams,
            streams=streams,
        )
        write_page(self._files.page, render_recording(report))
        _log.info("wrote %s", self._files.page)

    def _detector(self) -> Detector:
        return Detector(self._model, gaps=self._gaps, threshold=self._threshold, max_streams=16, settled=True)
