"""Which model serves which stream: the first whose pattern matches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.model.bundles.loaded import LoadedModel, model_of
from streamlstm.patterns import glob_to_regex

__all__ = ["NO_ROUTE", "ModelRoute", "Router"]


@dataclass(frozen=True, slots=True)
class ModelRoute:
    """Streams whose id matches `pattern` are scored by `model`."""

    pattern: str
    model: LoadedModel

    @classmethod
    def of(cls, pattern: str, bundle: ModelBundle) -> Self:
        """Return the route of a bundle that was made in this process."""
        return cls(pattern, model_of(bundle))


NO_ROUTE = -1


class Router:
    """Finds the route of a stream id. Patterns stay; a route may switch to another model while a worker runs."""

    def __init__(self, routes: Sequence[ModelRoute], *, remembered_streams: int = 2_000_000) -> None:
        self.routes = tuple(routes)
        self._patterns = [glob_to_regex(route.pattern) for route in routes]
        self._known: dict[str, int] = {}
        self._remembered_streams = remembered_streams

    def switch_model(self, index: int, model: LoadedModel) -> None:
        """From now on this is the route's model; partitions go over to it when they are ready to."""
        routes = list(self.routes)
        routes[index] = replace(routes[index], model=model)
        self.routes = tuple(routes)

    def routes_of(self, stream_ids: Sequence[str]) -> NDArray[np.int64]:
        """Return the index of each stream's route, the first that matches, or NO_ROUTE. Shapes: int64 [N]."""
        known = self._known
        try:
            return np.fromiter(map(known.__getitem__, stream_ids), np.int64, count=len(stream_ids))
        except KeyError:
            if len(known) > self._remembered_streams:  # ids that match nothing must not fill the memory
                known.clear()
            for stream_id in stream_ids:
                if stream_id not in known:
                    known[stream_id] = self._route_of(stream_id)
            return np.fromiter(map(known.__getitem__, stream_ids), np.int64, count=len(stream_ids))

    def _route_of(self, stream_id: str) -> int:
        matches = (index for index, pattern in enumerate(self._patterns) if pattern.fullmatch(stream_id))
        return next(matches, NO_ROUTE)
