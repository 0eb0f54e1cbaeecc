"""Bundles that somebody crafted, digest and all: refused with a sentence, or scored without harm."""

from __future__ import annotations

import copy
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_models import TINY_CHANNELS, least_squares_model, tiny_model

from streamlstm.errors import BundleError
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.model.bundles.codec import MODEL_FORMAT, MODEL_FORMAT_2, WINDOW_FORMAT, read_bundle, write_bundle
from streamlstm.model.bundles.window import WindowBundle
from streamlstm.scoring.detector import Detector
from streamlstm.scoring.windows.detector import WindowDetector

GOLDEN = Path(__file__).parents[2] / "data" / "golden" / "formats" / "0.2.0"
ODD = (
    *(None, True, -1, 0, 1, 2, 3, 1.5, -2.5, 1e9, 10**9, 2**31, 2**63, 1e308, float("nan"), float("inf")),
    *("", "x", "lstm", [], ["a"], [1, 2, 3], {}, {"a": 1}),
)
DTYPES = (np.float64, np.float32, np.float16, np.int64, np.int32, np.uint8)
ODD_INTEGERS = (-1, 0, 1, 7, 200, 255, 65_535, 2**31 - 1)
ODD_NUMBERS = (np.nan, np.inf, -np.inf, -1.0, 0.0, 1e38)

Entries = dict[str, Any]


def changed_tensor(rng: np.random.Generator, tensor: np.ndarray) -> np.ndarray:
    """Return another tensor in its place: of another type, shape, order or content."""
    flat = tensor.reshape(-1)
    match int(rng.integers(9)):
        case 0:
            return tensor.astype(DTYPES[rng.integers(len(DTYPES))])
        case 1:
            return flat[: rng.integers(max(flat.size, 1))]
        case 2:
            return np.concatenate([tensor, tensor])
        case 3:
            return tensor.T if tensor.ndim > 1 else tensor[:, None]
        case 4:
            return np.zeros((0,) * tensor.ndim, tensor.dtype)
        case 5:
            return flat
        case 6:
            return tensor[::-1]
        case 7:
            factor = (0.0, -1.0, 1e30, 1e-30)[rng.integers(4)]
            return tensor * np.asarray(factor).astype(tensor.dtype) if tensor.dtype.kind == "f" else tensor + 1
    one = tensor.copy()
    if one.size:
        numbers = ODD_NUMBERS if one.dtype.kind == "f" else ODD_INTEGERS
        one.flat[rng.integers(one.size)] = np.array(numbers[rng.integers(len(numbers))]).astype(one.dtype)
    return one


def places(entry: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Walk to every value of a manifest, and to every list and object in it."""
    if path:
        yield path
    if isinstance(entry, dict | list):
        for key in entry if isinstance(entry, dict) else range(len(entry)):
            yield from places(entry[key], (*path, key))


def change_entry(rng: np.random.Generator, manifest: Entries) -> tuple[Any, ...]:
    every = list(places(manifest))
    path = every[rng.integers(len(every))]
    holder: Any = manifest
    for key in path[:-1]:
        holder = holder[key]
    if rng.random() < 0.8:
        holder[path[-1]] = copy.deepcopy(ODD[rng.integers(len(ODD))])
    elif isinstance(holder, dict):
        del holder[path[-1]]
    else:
        holder.append(holder[path[-1]])
    return path


def craft(
    rng: np.random.Generator, whole: tuple[Mapping[str, np.ndarray], Entries]
) -> tuple[dict[str, np.ndarray], Entries, list[Any]]:
    """Return a bundle with one or two changes, and what they were."""
    tensors, manifest, changes = dict(whole[0]), copy.deepcopy(whole[1]), []
    for _ in range(rng.integers(1, 3)):
        if rng.random() < 0.6:
            name = sorted(tensors)[rng.integers(len(tensors))]
            changes.append(name)
            if rng.random() < 0.1:
                del tensors[name]
            else:
                tensors[name] = np.ascontiguousarray(changed_tensor(rng, tensors[name]))
        else:
            changes.append(change_entry(rng, manifest))
    return tensors, manifest, changes


def score_a_little(bundle: ModelBundle | WindowBundle) -> None:
    """Show it and score some rows; scores are finite, or there is none."""
    repr(bundle)
    detector = Detector(bundle, max_streams=4) if isinstance(bundle, ModelBundle) else WindowDetector(bundle)
    values = np.random.default_rng(1).normal(size=(160, len(bundle.channels))).astype(np.float32)
    scores = detector.score(["a", "b"] * 80, np.arange(160) * 1000, values)
    assert not np.isinf(scores.score).any()


def outcomes(folder: Path, cases: int, seed: int) -> Counter[str]:
    rng, path = np.random.default_rng(seed), folder / "crafted.safetensors"
    tiny_model(prototypes=8, hidden=8).save(path)
    restless = folder / "restless.safetensors"
    noise = rng.normal(size=(1200, 2)).astype(np.float32)
    model = least_squares_model(noise, weights=1, hidden=8, period_rows=0, channels=TINY_CHANNELS, prototypes=8)
    assert "activity" in model.calibration.branches
    model.save(restless)
    golden = ("lstm", "peephole", "mixed", "projected")
    causal = [path, restless, *(GOLDEN / f"{name}.safetensors" for name in golden)]
    window = [GOLDEN / f"{name}.safetensors" for name in ("bidirectional", "encoder_decoder")]
    kinds = [(ModelBundle, read_bundle(one, expected=MODEL_FORMAT, older=(MODEL_FORMAT_2,))) for one in causal]
    kinds[0][1][0]["calibration.branches.prototypes.stride"] = np.array([3], np.int32)  # as models of waves have one
    kinds += [(WindowBundle, read_bundle(one, expected=WINDOW_FORMAT)) for one in window]
    found: Counter[str] = Counter()
    while found.total() < cases:
        kind, whole = kinds[rng.integers(len(kinds))]
        tensors, manifest, changes = craft(rng, whole)
        try:
            write_bundle(path, tensors, manifest)
        except (OverflowError, ValueError):  # JSON holds no such number
            continue
        try:
            score_a_little(kind.load(path))
        except BundleError as error:
            found["refused" if len(str(error)) > 40 else "refused without a sentence"] += 1
        except Exception as error:
            raise AssertionError(f"{kind.__name__} with other {changes}: {error!r}") from error
        else:
            found["scored"] += 1
    return found


@pytest.mark.parametrize("cases", [400, pytest.param(10_000, marks=pytest.mark.slow)])
def test_crafted_bundles_are_refused_or_do_no_harm(tmp_path: Path, cases: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # numbers that overflow are no harm
        found = outcomes(tmp_path, cases, seed=cases)
    assert found.keys() == {"refused", "scored"}
    assert found["refused"] > cases / 2
    assert found["scored"] > cases / 50
