"""The fence: who may import whom, and that time is an argument."""

from __future__ import annotations

import ast
import os
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

import streamlstm

PACKAGE = Path(streamlstm.__file__).parent
FLOORS = {
    name: floor
    for floor, names in enumerate(
        (
            ("errors", "_version", "patterns"),
            ("types",),
            ("ports",),
            ("recordings",),
            ("kernels",),
            ("model",),
            ("scoring",),
            ("streaming", "training", "simulation"),
            ("evaluation",),
            ("reporting",),
            ("service",),
            ("jobs", "adapters", "config"),  # they meet in wiring alone
            ("wiring",),
            ("benchmarks",),
            ("cli",),
        )
    )
    for name in names
}
ONLY_IN: dict[str, str | tuple[str, ...]] = {
    "typer": "cli",
    "rich": ("cli", "benchmarks/report.py"),
    "kafka": "adapters/kafka_python",
    "yaml": "config/source.py",
    "pyarrow": "recordings/formats/arrow_series.py",
    "wfdb": "recordings/formats/wfdb_series.py",
}
NOWHERE = {"torch", "keras", "tensorflow", "onnx", "onnxruntime", "jax", "openvino", "pickle", "pandas", "h5py"}
# What streamlstm is compared with, and what reads other frameworks' files: imported there only, inside the functions
# that are called when it is asked for.
WHEN_ASKED_FOR = {
    "benchmarks/peers/": {"torch", "jax", "onnx", "onnxruntime", "openvino", "tensorflow", "keras"},
    "model/interchange/": {"onnx", "h5py"},
}
CLOCK_READERS = ("service", "jobs", "adapters", "cli", "training", "benchmarks")
MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))


def imports(tree: ast.AST) -> Iterator[str]:
    """Yield the dotted names of everything a module imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def asked_for(path: Path) -> set[str]:
    return next((names for folder, names in WHEN_ASKED_FOR.items() if path.as_posix().startswith(folder)), set())


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_imports_only_what_lies_below(path: Path) -> None:
    tree = ast.parse((PACKAGE / path).read_text("utf-8"))
    room = path.parts[0].removesuffix(".py")
    for name in imports(tree):
        top, _, rest = name.partition(".")
        assert top not in NOWHERE - asked_for(path), f"{path} imports {name}"
        if top in ONLY_IN:
            assert path.as_posix().startswith(ONLY_IN[top]), f"{path} imports {name}, which only {ONLY_IN[top]} may"
        # The package's own face (__init__, __main__) stands above everything.
        if top == "streamlstm" and room in FLOORS:
            other = rest.partition(".")[0]
            allowed = other == room or (other in FLOORS and FLOORS[other] < FLOORS[room])
            assert allowed, f"{path} imports {name}: {room} may import only from floors below it"


@pytest.mark.parametrize("path", [path for path in MODULES if asked_for(path)], ids=str)
def test_imported_only_when_asked_for(path: Path) -> None:
    outside = [
        node for node in ast.parse((PACKAGE / path).read_text("utf-8")).body if not isinstance(node, ast.FunctionDef)
    ]
    classes = [part for node in outside if isinstance(node, ast.ClassDef) for part in node.body]
    for node in [node for node in (*outside, *classes) if not isinstance(node, ast.ClassDef | ast.FunctionDef)]:
        assert not asked_for(path) & {name.partition(".")[0] for name in imports(node)}, f"{path}:{node.lineno}"


@pytest.mark.parametrize("path", [path for path in MODULES if path.parts[0] not in CLOCK_READERS], ids=str)
def test_time_is_an_argument(path: Path) -> None:
    for node in ast.walk(ast.parse((PACKAGE / path).read_text("utf-8"))):
        if isinstance(node, ast.Attribute) and node.attr in ("time", "time_ns", "monotonic", "now", "utcnow", "today"):
            assert ast.unparse(node.value) not in ("time", "datetime", "date", "datetime.datetime"), (
                f"{path}:{node.lineno}"
            )


def test_every_room_is_known() -> None:
    rooms = {path.parts[0].removesuffix(".py") for path in MODULES} - {"__init__", "__main__"}
    assert rooms <= FLOORS.keys(), "give the new room a floor in FLOORS"


@pytest.mark.skipif("STREAMLSTM_TEST_INSTALLED" not in os.environ, reason="says what `make test` runs against")
def test_the_installed_package_is_what_is_tested() -> None:
    assert PACKAGE.parent == Path(sysconfig.get_path("platlib"))
    assert not PACKAGE.is_relative_to(Path(__file__).parents[1] / "streamlstm")
