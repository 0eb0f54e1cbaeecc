"""Small files that describe gigabytes, or take hours to follow, are refused before any of it is made."""

from __future__ import annotations

import struct
import tracemalloc
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from streamlstm.errors import BundleError
from streamlstm.model.interchange import read_layers, size_limit, torch_archive

GIB = 1 << 30


def text(word: str) -> bytes:
    return b"X" + struct.pack("<I", len(word)) + word.encode()


def whole(number: int) -> bytes:
    return b"\x8a\x06" + struct.pack("<Q", number)[:6]  # LONG1 of six bytes


def tensor(size: tuple[int, ...], stride: tuple[int, ...], count: int = 1) -> bytes:
    """The words of pickle for a view of the storage `0`."""
    storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + whole(count) + b"tQ"
    shape = b"".join(b"(" + b"".join(map(whole, numbers)) + b"t" for numbers in (size, stride))
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + whole(0) + shape + b"tR"


def archive(folder: Path, program: bytes, storage: bytes = bytes(4)) -> Path:
    file = folder / "net.pt"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("net/data.pkl", program)
        made.writestr("net/data/0", storage)
    return file


def refused(file: Path, said: str) -> None:
    """It is refused, and takes no more memory than a few times the file and the budget of these tests."""
    tracemalloc.start()
    try:
        with pytest.raises(BundleError, match=said):
            read_layers(file)
        assert tracemalloc.get_traced_memory()[1] < 100_000_000
    finally:
        tracemalloc.stop()


def test_strides_of_zero_show_one_number_as_gigabytes(tmp_path: Path) -> None:
    file = archive(tmp_path, b"}" + text("weight_ih_l0") + tensor((40_000, 50_000), (0, 0)) + b"s.")
    assert file.stat().st_size < 1000
    refused(
        file, "expected weights of at most 1,073,741,824 bytes, got 8,000,000,.* and more with what its tensors show"
    )


def test_tensors_add_up(tmp_path: Path) -> None:
    one = tensor((20_000, 8_000), (0, 0))  # 640 MB
    words = b"".join(text(f"weight_ih_l{n}") + tensor((9_000, 9_000), (0, 0)) + b"s" for n in range(4))
    file = archive(tmp_path, b"}" + text("first") + one + b"s" + words + b".")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(size_limit, "MAX_EXPANDED_BYTES", 10_000_000)
        refused(file, "expected weights of at most 10,000,000 bytes")


def test_a_member_that_inflates_is_not_inflated(tmp_path: Path) -> None:
    count = GIB // 4 + 100
    file = tmp_path / "net.pt"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("net/data.pkl", b"}" + text("weight_ih_l0") + tensor((4, 4), (4, 1), count) + b"s.")
        with made.open("net/data/0", "w", force_zip64=True) as member:
            for _ in range(4 * count >> 20):
                member.write(bytes(1 << 20))
            member.write(bytes(4 * count % (1 << 20)))
    assert file.stat().st_size < 2_000_000
    refused(file, "bytes, got 1,073,.* and more with net/data/0")


def test_a_keras_file_that_inflates(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "net.weights.h5", "w") as file:
        file.create_dataset("layers/lstm/cell/vars/0", shape=(20_000, 20_000), dtype="f4", fillvalue=1.0)
    assert (tmp_path / "net.weights.h5").stat().st_size < 10_000
    refused(tmp_path / "net.weights.h5", "bytes, got 3,200,000,000 and more with layers/lstm/cell/vars/0")


@pytest.mark.parametrize(
    ("program", "said"),
    [
        # Tuples of twice the same tuple, 60 deep, as a key: its hash takes 2^60 steps; as a name: so many characters.
        (
            b"}" + b")" + b"".join(b"q\x00h\x00\x86" for _ in range(60)) + b"K\x01s.",
            "keys that",
        ),
        (b")" + b"".join(b"q\x00h\x00\x86" for _ in range(60)) + text("x") + b"\x93.", "a name that is no text"),
        (b"}" + text("w") + tensor((1,) * 9, (1,) * 9) + b"s.", "_rebuild_tensor_v2 with other arguments"),
        (b"}" + b"N0" * 2_000_001 + b".", "a description of 4000004 bytes"),
    ],
)
def test_descriptions_that_would_take_for_ever(program: bytes, said: str, tmp_path: Path) -> None:
    refused(archive(tmp_path, program), said)


def test_a_dictionary_that_is_there_often_is_looked_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = []
    real = torch_archive._tensors
    monkeypatch.setattr(torch_archive, "_tensors", lambda values: looked.append(1) or real(values))
    inner = b"}q\x00" + text("weight_ih_l0") + tensor((4, 4), (1, 1), 16) + b"s"
    again = b"".join(text(f"copy {n}") + b"h\x00s" for n in range(500))
    file = archive(tmp_path, b"}" + text("state") + inner + b"s" + again + b".", np.ones(16, np.float32).tobytes())
    with pytest.raises(BundleError):
        read_layers(file)  # a weight without its others
    assert len(looked) < 5
