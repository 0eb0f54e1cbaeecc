"""Reload models whose files have changed, off the worker's thread.

A champion's link that was switched is picked up, and so is any file that was replaced. What cannot be used is logged
once, and the old model stays: a file that is broken or gone, or a model of other channels, under which every stream
would have to warm up again. (A worker that starts does switch to a model of other channels: that was asked for.)
"""

from __future__ import annotations

import logging
import time
from pathlib import Path
from threading import Thread

from streamlstm.errors import BundleError
from streamlstm.model.bundles.loaded import LoadedModel, Stamp, load_model, stamp_of
from streamlstm.streaming.routing import Router

__all__ = ["ModelReloader"]

_log = logging.getLogger(__name__)

_INTERVAL_S = 1.0
"""How often paths are checked: a system call each, a millisecond on a network file system."""


class _Loading(Thread):
    """One path being loaded; `model` or `error` is set when that has ended."""

    def __init__(self, path: Path) -> None:
        super().__init__(name="load model", daemon=True)
        self.path = path
        self.model: LoadedModel | None = None
        self.error = ""

    def run(self) -> None:
        """Load the path's model."""
        try:
            self.model = load_model(self.path)
        except BundleError as error:
            self.error = str(error)


class ModelReloader:
    """Keeps the models of a router up to date. Its methods are called by the one thread that uses the router."""

    def __init__(self, router: Router, *, interval_s: float = _INTERVAL_S) -> None:
        self._router = router
        self._interval_s = interval_s
        self._polled_at = time.monotonic()
        self._loadings: list[_Loading] = []
        models = [route.model for route in router.routes]
        self._stamps: dict[Path, Stamp | None] = {model.path: model.stamp for model in models if model.path}

    def poll(self) -> None:
        """Take up what has been loaded by now; at most once an interval, begin to load what has changed."""
        for loading in [one for one in self._loadings if not one.is_alive()]:
            self._loadings.remove(loading)
            self._take_up(loading)
        now = time.monotonic()
        if self._loadings or now - self._polled_at < self._interval_s:
            return
        self._polled_at = now
        self._loadings = self._changed()
        for loading in self._loadings:
            loading.start()

    def reload(self) -> None:
        """Load what has changed and take it up before returning: for the moment at which a partition is taken over."""
        for loading in self._loadings:
            loading.join()
        for loading in self._loadings:
            self._take_up(loading)
        self._loadings = []
        for loading in self._changed():
            loading.run()
            self._take_up(loading)

    def _changed(self) -> list[_Loading]:
        """Return what is to be loaded; each state of a path comes once."""
        now = {path: stamp_of(path) for path in self._stamps}
        changed = [path for path, stamp in now.items() if stamp != self._stamps[path]]
        self._stamps = now
        return [_Loading(path) for path in changed]

    def _take_up(self, loading: _Loading) -> None:
        """Give the routes of a path their new model, or log why they keep the old one."""
        for index, route in enumerate(self._router.routes):
            if route.model.path != loading.path:
                continue
            old, new = route.model, loading.model
            if new is None:
                _log.error("%s; %s stays in use", loading.error, old.label)
            elif new.bundle.channels != old.bundle.channels:
                _log.error(
                    "%s: expected a model of the channels %s, got %s of %s; %s stays in use. To switch to it, start "
                    "the worker again: every stream then warms up",
                    *(
                        loading.path,
                        ", ".join(old.bundle.channels),
                        new.label,
                        ", ".join(new.bundle.channels),
                        old.label,
                    ),
                )
            elif new.digest != old.digest:
                _log.info("%s: %s replaces %s, partition by partition", loading.path, new.label, old.label)
                self._router.switch_model(index, new)
