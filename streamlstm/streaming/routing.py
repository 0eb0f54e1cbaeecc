"""Which model serves which stream: the first whose pattern matches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.model.bundles.loaded import LoadedModel, model_of
from streamlstm.patterns import glob_to_regex

__all__ = ["ModelRoute", "Router"]


@dataclass(frozen=True, slots=True)
class ModelRoute:
    """Streams whose id matches `pattern` are scored by `model`."""

    pattern: str
    model: LoadedModel

    @classmethod
    def of(cls, pattern: str, bundle: ModelBundle) -> Self:
        """Return the route of a bundle that was made in this process."""
        return cls(pattern, model_of(bundle))


class Router:
    """Finds the route of a stream id. Patterns stay; a route may switch to another model while a worker runs."""

    def __init__(self, routes: Sequence[ModelRoute]) -> None:
        self.routes = tuple(routes)
        self._patterns = [glob_to_regex(route.pattern) for route in routes]

    def switch_model(self, index: int, model: LoadedModel) -> None:
        """From now on this is the route's model; partitions go over to it when they are ready to."""
        routes = list(self.routes)
        routes[index] = replace(routes[index], model=model)
        self.routes = tuple(routes)

    def route_of(self, stream_id: str) -> int | None:
        """Return the index of the first route that matches, or None."""
        for index, pattern in enumerate(self._patterns):
            if pattern.fullmatch(stream_id):
                return index
        return None
