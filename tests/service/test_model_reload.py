"""When models are loaded, and which routes take them up."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event, Thread
from typing import NamedTuple

import pytest
from tiny_models import tiny_model
from waiting import wait_until

from streamlstm.model.bundles.causal import ModelBundle
from streamlstm.model.bundles.loaded import LoadedModel, load_model
from streamlstm.service import model_reload
from streamlstm.service.model_reload import ModelReloader
from streamlstm.streaming.routing import ModelRoute, Router


class Clock:
    """Stands for the module `time`."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(model_reload, "time", clock)
    return clock


@pytest.fixture(scope="module")
def newer() -> ModelBundle:
    return tiny_model(weights=32, hidden=40, data=7, version=2)


@pytest.fixture
def files(tmp_path: Path, tiny_bundle: ModelBundle) -> list[Path]:
    files = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    for file in files:
        tiny_bundle.save(file)
    return files


def _router(files: Sequence[Path]) -> Router:
    return Router([ModelRoute(file.name, load_model(file)) for file in files])


def _labels(router: Router) -> list[str]:
    return [route.model.label for route in router.routes]


def _held(monkeypatch: pytest.MonkeyPatch) -> tuple[Event, list[Path]]:
    """Loads wait for the event; return it, and the paths that are loaded."""
    gate, paths = Event(), []

    def load(path: Path) -> LoadedModel:
        paths.append(path)
        gate.wait()
        return load_model(path)

    monkeypatch.setattr(model_reload, "load_model", load)
    return gate, paths


def test_the_routes_of_a_changed_file_and_no_others_take_its_model_up(files: list[Path], newer: ModelBundle) -> None:
    router = _router([*files, files[1]])
    reloader = ModelReloader(router)
    newer.save(files[1])
    reloader.reload()
    assert _labels(router) == ["tiny@1", "tiny@2", "tiny@2"]


def test_a_file_written_again_with_the_same_model_changes_nothing(
    files: list[Path], tiny_bundle: ModelBundle, caplog: pytest.LogCaptureFixture
) -> None:
    router = _router(files)
    routes, reloader = router.routes, ModelReloader(router)
    tiny_bundle.save(files[0])
    with caplog.at_level(logging.INFO):
        reloader.reload()
    assert router.routes is routes and not caplog.messages


def test_files_are_looked_at_once_an_interval_has_passed(
    files: list[Path], newer: ModelBundle, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, paths = _held(monkeypatch)
    gate.set()
    clock.now_s = 100.0
    router = _router(files)
    reloader = ModelReloader(router, interval_s=8.0)

    def change(file: Path) -> Callable[[], bool]:
        newer.save(file)
        label = f"tiny@{newer.version}"
        index = files.index(file)

        def is_taken_up() -> bool:
            reloader.poll()
            return _labels(router)[index] == label

        return is_taken_up

    is_taken_up = change(files[0])
    for clock.now_s in (100.0, 107.5):
        reloader.poll()
        assert not paths
    clock.now_s = 108.0
    wait_until(is_taken_up)
    is_taken_up = change(files[1])
    clock.now_s = 115.5
    reloader.poll()
    assert paths == files[:1]
    clock.now_s = 116.0
    wait_until(is_taken_up)
    assert paths == files


class Loading(NamedTuple):
    """A reloader in the middle of loading the first file."""

    router: Router
    reloader: ModelReloader
    gate: Event
    paths: list[Path]


@pytest.fixture
def loading(files: list[Path], newer: ModelBundle, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Loading:
    """The first of the files has changed and is being loaded, at 10 s; files are looked at every second."""
    gate, paths = _held(monkeypatch)
    router = _router(files)
    reloader = ModelReloader(router, interval_s=1.0)
    newer.save(files[0])
    clock.now_s = 10.0
    reloader.poll()
    wait_until(lambda: paths)
    return Loading(router, reloader, gate, paths)


def test_while_a_file_is_loaded_nothing_else_is_and_no_process_waits_for_it(
    files: list[Path], newer: ModelBundle, clock: Clock, loading: Loading
) -> None:
    router, reloader, gate, paths = loading
    newer.save(files[1])
    for clock.now_s in (20.0, 30.0):
        reloader.poll()
    assert paths == files[:1] and _labels(router) == ["tiny@1", "tiny@1"]
    assert all(thread.daemon for thread in reloader._loadings)
    gate.set()
    wait_until(lambda: reloader.poll() or _labels(router) == ["tiny@2", "tiny@1"])
    clock.now_s = 40.0
    wait_until(lambda: reloader.poll() or _labels(router) == ["tiny@2", "tiny@2"])
    assert paths == files


def test_a_reload_waits_for_what_is_being_loaded(
    files: list[Path], loading: Loading, monkeypatch: pytest.MonkeyPatch
) -> None:
    router, reloader, gate, paths = loading

    def join(thread: Thread) -> None:
        gate.set()
        Thread.join(thread)

    monkeypatch.setattr(model_reload._Loading, "join", join)
    reloader.reload()
    assert _labels(router) == ["tiny@2", "tiny@1"]
    gate.set()
    assert paths == files[:1]
