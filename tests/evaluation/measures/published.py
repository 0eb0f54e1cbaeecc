"""Results that NAB and TSB-AD publish; tests/data/published/README.md says what there is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamlstm.evaluation.measures.nab import NabFile

PUBLISHED = np.load(Path(__file__).parents[2] / "data/published/published.npz")
DETECTORS = ("numenta", "windowedGaussian", "expose")


def nab_files() -> list[NabFile]:
    windows = PUBLISHED["windows"]
    return [NabFile(int(rows), windows[windows[:, 0] == n, 1:]) for n, rows in enumerate(PUBLISHED["rows"])]


def nab_scores(detector: str) -> list[NDArray[np.float64]]:
    """Scores by file; rows whose scores were left out have less than any of the others."""
    file, row, score = (PUBLISHED[f"{detector}/{name}"] for name in ("file", "row", "score"))
    every = [np.full(rows, -np.inf) for rows in PUBLISHED["rows"]]
    for n, scores in enumerate(every):
        scores[row[file == n]] = score[file == n]
    return every


def spectral_residual(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """What a series has beyond a smooth spectrum, as TSB-AD's SR computes it (there the smoothing is padded with
    samples of the series itself, and of the amplitudes the one of frequency 0 stays)."""
    series = (values - values.min()) / (values.max() - values.min())
    spectrum = np.fft.fft(series)
    amplitudes = np.log(np.abs(spectrum))
    half = amplitudes[1 : len(amplitudes) // 2 + 1]
    padded = np.concatenate([np.full(49, series[0]), half, np.full(50, series[-1])])
    smooth = np.convolve(padded, np.full(100, 1 / 100), "valid")
    mirrored = smooth[: len(amplitudes) - 1 - len(smooth)][::-1]
    expected = np.concatenate([amplitudes[:1], smooth, mirrored])
    return np.abs(np.fft.ifft(np.exp(amplitudes - expected + 1j * np.angle(spectrum))))
