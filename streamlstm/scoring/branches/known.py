"""The branches there are: which are fitted, and how a calibration's numbers become branches again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from streamlstm.errors import BundleError, ShapeError
from streamlstm.kernels.faces import check_array
from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.scoring.branches.activity import Activity, fit_activity
from streamlstm.scoring.branches.beats import BeatPrototypes, beats_of
from streamlstm.scoring.branches.clean_rows import CleanRows
from streamlstm.scoring.branches.network_residuals import NetworkResiduals
from streamlstm.scoring.branches.protocol import Branch
from streamlstm.scoring.branches.prototypes import Prototypes, prototypes_of
from streamlstm.scoring.state import StatePiece

__all__ = ["branches_of", "fit_branches", "network_residuals_of", "state_of"]


def fit_branches(clean: CleanRows) -> tuple[Branch, ...]:
    """Fit the branches that stand beside the network's residuals, each where there are rows enough for it."""
    return tuple(branch for fit in _FITS if (branch := fit(clean)))


def branches_of(bundle: ModelBundle) -> tuple[Branch, ...]:
    """Return the branches of a bundle's score, in the order of its calibration.

    Raises: BundleError for a branch that this release does not know, or whose numbers do not fit the network.
    """
    if unknown := bundle.calibration.branches.keys() - _KNOWN.keys():
        raise BundleError(
            f"{bundle.label}: expected branches of the score among {', '.join(_KNOWN)}, got {min(unknown)!r}; "
            "use the release that wrote the bundle, or train again"
        )
    try:
        branches = tuple(_KNOWN[name](bundle) for name in bundle.calibration.branches)
    except KeyError as error:
        raise BundleError(f"{bundle.label}: expected numbers {error} of a branch, got none; train again") from error
    except ShapeError as error:
        raise BundleError(f"{bundle.label}: a branch does not fit the network ({error}); train again") from error
    parts = [part for branch in branches for part in branch.parts]
    if len(parts) != len(bundle.calibration.tails):  # their names were others before
        raise BundleError(
            f"{bundle.label}: expected {len(parts)} tails ({', '.join(parts)}), "
            f"got {len(bundle.calibration.tails)}; train again"
        )
    return branches


def network_residuals_of(bundle: ModelBundle) -> NetworkResiduals:
    """Return the branch of the network's residuals."""
    held, architecture = bundle.calibration.branches[NetworkResiduals.name], bundle.network.architecture
    steady = held.get("steady", np.zeros(architecture.channels, np.uint8))  # 0.2.0 and before did not know
    rules, burn_in = bundle.channel_rules, bundle.calibration.burn_in
    return NetworkResiduals(
        architecture, burn_in, held["scales"], held["widths"], steady, rules.directions, rules.least
    )


def state_of(branches: Iterable[Branch]) -> Mapping[str, StatePiece]:
    """Return the pieces of the state row of all branches."""
    return {name: piece for branch in branches for name, piece in branch.state.items()}


def _prototypes_of(bundle: ModelBundle) -> Prototypes:
    return _with_prototypes(bundle, Prototypes)


def _beats_of(bundle: ModelBundle) -> Prototypes:
    return _with_prototypes(bundle, BeatPrototypes)


def _with_prototypes(bundle: ModelBundle, branch: type[Prototypes]) -> Prototypes:
    held, channels = bundle.calibration.branches[branch.name], bundle.network.architecture.channels
    stride = held.get("stride", np.ones(1, np.int32))
    check_array("stride", stride, np.int32, (1,))
    prototypes = branch(centres=held["centres"], floors=held["floors"], stride=int(stride[0]))
    if len(prototypes.floors) != channels:
        raise ShapeError(f"floors: expected {channels}, one a channel, got {len(prototypes.floors)}")
    return prototypes


def _activity_of(bundle: ModelBundle) -> Activity:
    held, channels = bundle.calibration.branches[Activity.name], bundle.network.architecture.channels
    check_array("scales", held["scales"], np.float32, (2, channels))
    check_array("widths", held["widths"], np.float32, (2,))
    if not (held["scales"] > 0).all() or not 1 <= held["widths"][0] <= held["widths"][1]:
        raise ShapeError("activity: expected scales above 0, and widths of 1 and more that do not fall")
    return Activity(scales=held["scales"], widths=held["widths"])


_KNOWN: Mapping[str, Callable[[ModelBundle], Branch]] = {
    NetworkResiduals.name: network_residuals_of,
    Prototypes.name: _prototypes_of,
    BeatPrototypes.name: _beats_of,
    Activity.name: _activity_of,
}
_FITS: Sequence[Callable[[CleanRows], Branch | None]] = (prototypes_of, beats_of, fit_activity)
