"""Bundles: whole ones load to the same bits; truncated, altered, foreign and newer ones are refused with a sentence."""

from __future__ import annotations

import dataclasses
import json
import struct
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save_file

from streamlstm.errors import BundleError, ShapeError
from streamlstm.kernels import CELL_FIELDS
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.model.network import Architecture, Network
from streamlstm.training.parameters import initial_parameters, to_network


@pytest.fixture
def saved(tmp_path: Path, tiny_bundle: ModelBundle) -> Path:
    path = tmp_path / "tiny.safetensors"
    tiny_bundle.save(path)
    return path


def random_network(architecture: Architecture) -> Network:
    return to_network(architecture, initial_parameters(architecture, np.random.default_rng(3)))


def rewrite(path: Path, change: str, to: str) -> None:
    """Change the manifest in place, keeping the file well formed."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    manifest = header["__metadata__"]["streamlstm"]
    assert change in manifest
    header["__metadata__"]["streamlstm"] = manifest.replace(change, to)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])


def test_round_trip(saved: Path, tiny_bundle: ModelBundle) -> None:
    loaded = ModelBundle.load(saved)
    assert loaded.digest == tiny_bundle.digest
    assert (loaded.label, loaded.channels, loaded.units) == ("tiny@1", ("flow", "pressure"), ("l/min", "bar"))
    assert np.array_equal(loaded.network.layers[0].w_hh, tiny_bundle.network.layers[0].w_hh)
    assert loaded.calibration.warm_up == tiny_bundle.calibration.warm_up
    loaded.save(saved.with_name("again.safetensors"))
    assert saved.with_name("again.safetensors").read_bytes() == saved.read_bytes()


def test_names_in_the_file_are_those_of_every_version(saved: Path, tiny_bundle: ModelBundle) -> None:
    with safe_open(str(saved), framework="numpy") as file:
        stored = json.loads(file.metadata()["streamlstm"])["calibration"]
        names = set(file.keys())
    c = tiny_bundle.calibration
    assert {name for name in names if name.startswith("calibration.tails.ensemble")} == {
        f"calibration.tails.ensemble/{width}.{array}"
        for width in ("1", "4", "16", "32")
        for array in ("statistic", "surprise", "fit")
    }
    assert {"calibration.branches.network_residuals.scales", "calibration.total.fit"} <= names
    assert stored == {
        "branches": ["network_residuals"],
        "tails": list(c.tails),
        "weights": [tail.weight for tail in c.tails.values()],
        "rows": c.rows,
        "cluster_rows": c.cluster_rows,
        "burn_in": c.burn_in,
        "warm_up": c.warm_up,
        "horizon": c.horizon,
    }
    assert ModelBundle.load(saved).calibration.burn_in == c.burn_in > 0


@pytest.mark.parametrize("cells", [("peephole", "gru"), ("gru_reset_before", "lstm", "rnn")])
def test_every_cell_makes_the_round_trip(saved: Path, tiny_bundle: ModelBundle, cells: tuple[str, ...]) -> None:
    network = random_network(Architecture(2, 5, cells, 4, 8, projection=3))
    dataclasses.replace(tiny_bundle, network=network).save(saved)
    loaded = ModelBundle.load(saved).network
    assert loaded.architecture == network.architecture
    for layer, other in zip(network.layers, loaded.layers, strict=True):
        assert layer.kind is other.kind
        for name in CELL_FIELDS:
            one, two = getattr(layer, name), getattr(other, name)
            assert (one is None and two is None) or np.array_equal(one, two)
    with safe_open(str(saved), framework="numpy") as file:
        names = {name for name in file.keys() if name.startswith("layers.0.")}  # noqa: SIM118 (not a mapping)
    optional = {"peephole": {"peephole", "w_hr"}, "gru_reset_before": set()}[cells[0]]
    assert names == {f"layers.0.{name}" for name in {"w_ih", "w_hh", "bias"} | optional}


def test_a_network_of_another_architecture_is_refused() -> None:
    architecture = Architecture(2, 5, ("lstm", "gru"), 4, 8, projection=3)
    network = random_network(architecture)
    assert (architecture.inputs, architecture.outputs) == ((2, 3), (3, 5))
    for change, message in (
        ({"architecture": dataclasses.replace(architecture, cells=("lstm",))}, "expected 1 layers, got 2"),
        (
            {"architecture": dataclasses.replace(architecture, cells=("peephole", "gru"))},
            r"layers\[0\]: expected peephole of 2 inputs, 5 hidden units and 3 outputs, got lstm of 2",
        ),
        ({"architecture": dataclasses.replace(architecture, hidden=6)}, r"layers\[0\]: expected .* 6 hidden"),
        ({"layers": network.layers[::-1]}, r"layers\[1\]\.w_ih: expected 5 inputs"),
        ({"head_weight": network.head_weight[:, :3]}, r"head_weight: expected float32 \[10, 5\]"),
        ({"head_bias": network.head_bias.astype(np.float64)}, r"head_bias: expected float32 \[10\], got float64"),
    ):
        with pytest.raises(ShapeError, match=message):
            dataclasses.replace(network, **change)  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match=r"cells: expected lstm, .*, got 'transformer'"):
        Architecture(2, 5, ("transformer",))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10**9), st.integers(1, 255), st.booleans())
def test_any_changed_or_missing_byte_is_noticed(saved: Path, place: int, flip: int, cut: bool) -> None:
    content = saved.read_bytes()
    place %= len(content)
    altered = content[:place] if cut else content[:place] + bytes([content[place] ^ flip]) + content[place + 1 :]
    path = saved.with_name("altered.safetensors")
    path.write_bytes(altered)
    with suppress(BundleError):  # what loads all the same holds the same: white space of the header is not content
        assert ModelBundle.load(path).digest == ModelBundle.load(saved).digest


def test_an_altered_manifest_names_both_digests(saved: Path) -> None:
    rewrite(saved, '"warm_up":', '"warm_up": ')
    ModelBundle.load(saved)  # the same content, spaced otherwise
    rewrite(saved, '"period_s":1.0', '"period_s":2.0')
    with pytest.raises(
        BundleError, match=r"digest does not match: the manifest says [0-9a-f]{64}, the content has [0-9a-f]{64}"
    ):
        ModelBundle.load(saved)


def test_a_newer_format_names_both_versions(saved: Path) -> None:
    rewrite(saved, "streamlstm.bundle/3", "streamlstm.bundle/9")
    with pytest.raises(
        BundleError,
        match=r"this release reads streamlstm\.bundle/3 and streamlstm\.bundle/2, the file is 'streamlstm\.bundle/9'",
    ):
        ModelBundle.load(saved)


def test_a_foreign_file_is_refused(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.safetensors"
    save_file({"weight": np.ones(3, np.float32)}, foreign)
    with pytest.raises(BundleError, match="without its manifest"):
        ModelBundle.load(foreign)
    foreign.write_bytes(b"\x80\x04\x95 a pickle")
    with pytest.raises(BundleError, match="truncated or foreign"):
        ModelBundle.load(foreign)
    with pytest.raises(BundleError, match="cannot be read"):
        ModelBundle.load(tmp_path)


def test_a_failed_save_leaves_the_old_file(saved: Path, tiny_bundle: ModelBundle) -> None:
    before = saved.read_bytes()
    with pytest.raises(BundleError, match="cannot be written"):
        tiny_bundle.save(saved / "inside-a-file.safetensors")
    assert saved.read_bytes() == before
    assert [p.name for p in saved.parent.iterdir()] == [saved.name]
