"""What the manifest of a bundle holds, typed and bounded: it is read from files that anybody may have written."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from streamlstm.model.channels import ChannelDeclaration

__all__ = ["CalibrationEntry", "Manifest", "WindowCalibrationEntry"]

_Text = Annotated[str, msgspec.Meta(max_length=10_000)]
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
_Count = Annotated[int, msgspec.Meta(ge=1, le=2**53)]
_Rows = Annotated[int, msgspec.Meta(ge=0, le=2**31)]
_ClusterRows = Annotated[float, msgspec.Meta(ge=1.0, le=2**53)]
_Weight = Annotated[float, msgspec.Meta(ge=0.0, le=1e6)]


class Manifest(msgspec.Struct, frozen=True):
    """The manifest of either kind of bundle; what is not named here is not read."""

    name: _Text
    version: Annotated[int, msgspec.Meta(ge=0, le=2**53)]
    created_at: _Text
    channels: Annotated[tuple[_Name, ...], msgspec.Meta(min_length=1)]
    units: tuple[_Text, ...]
    period_s: Annotated[float, msgspec.Meta(ge=0.0, le=1e10)]
    architecture: dict[str, Any]
    calibration: dict[str, Any]
    training: dict[str, Any]
    declarations: dict[str, ChannelDeclaration] = {}

    def __post_init__(self) -> None:
        if len(set(self.channels)) != len(self.channels):
            raise ValueError("expected channels of different names")
        if len(self.units) not in (0, len(self.channels)):
            raise ValueError(f"expected no units or {len(self.channels)}, one a channel, got {len(self.units)}")


class CalibrationEntry(msgspec.Struct, frozen=True):
    """The entry of a causal model's calibration: names in their order, and numbers."""

    branches: Annotated[tuple[_Name, ...], msgspec.Meta(min_length=1)]
    tails: Annotated[tuple[_Name, ...], msgspec.Meta(min_length=1)]
    rows: _Count
    cluster_rows: _ClusterRows
    burn_in: _Rows
    warm_up: _Rows
    horizon: _Count
    weights: tuple[_Weight, ...] = ()
    """Those of the tails; all 1 where it is empty."""

    def __post_init__(self) -> None:
        if len(self.weights) not in (0, len(self.tails)):
            raise ValueError(f"expected no weights or {len(self.tails)}, one a tail, got {len(self.weights)}")


class WindowCalibrationEntry(msgspec.Struct, frozen=True):
    """The entry of a whole-window model's calibration."""

    rows: _Count
    cluster_rows: _ClusterRows
    width: Annotated[int, msgspec.Meta(ge=1, le=2**31)]
