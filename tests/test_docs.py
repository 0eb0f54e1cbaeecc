"""The pages keep up with the code: examples run, links lead somewhere, and the paths and names they mention exist."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import re
import runpy
from pathlib import Path

import numpy as np
import pytest

import streamlstm

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md")])
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")
_PATH = re.compile(r"`((?:streamlstm|tests|src_cython|docs|deploy|benchmarks)/[\w./-]*)`")


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def fenced(page: Path, *languages: str) -> list[str]:
    return [text for language, text in _FENCED.findall(page.read_text("utf-8")) if language in languages]


def telemetry() -> np.ndarray:
    """Two coupled channels, [T, 2], as a newcomer may have them."""
    rng = np.random.default_rng(3)
    phase = 2 * np.pi * np.arange(2000) / 50
    clean = np.stack([71 + 3 * np.sin(phase), 97 + np.sin(phase + 0.7)], axis=1)
    return clean + rng.normal(0, 0.2, clean.shape)


def test_the_example_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"values": telemetry(), "event_time_ms": 1_780_000_000_000}
    blocks = fenced(ROOT / "README.md", "python")
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    result = names["result"]
    assert (result.status, result.score) == ("warming", None)  # type: ignore[attr-defined]
    assert (tmp_path / "vitals.safetensors").exists()


def test_the_examples_of_the_api_page_run_and_print_what_they_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = "\n".join(fenced(ROOT / "docs/api.md", "pycon"))
    test = doctest.DocTestParser().get_doctest(text, {}, "docs/api.md", None, None)
    assert len(test.examples) > 20
    report: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    runner.run(test, out=report.append)
    assert not runner.failures, "".join(report)


def test_the_signatures_of_the_api_page_are_those_of_the_code() -> None:
    shown = "\n".join(fenced(ROOT / "docs/api.md", "python"))
    for call, function in (
        ("train", streamlstm.train),
        ("Detector", streamlstm.Detector),
        ("Detector.load", streamlstm.Detector.load),
    ):
        (arguments,) = re.findall(rf"^{re.escape(call)}(\(.*?\))(?: ->|$)", shown, re.DOTALL | re.MULTILINE)
        (written,) = ast.parse(f"def f{arguments}: ...").body
        assert isinstance(written, ast.FunctionDef)
        keywords = zip(written.args.kwonlyargs, written.args.kw_defaults, strict=True)
        found = {one.arg: ast.literal_eval(default) for one, default in keywords if default is not None}
        parameters = inspect.signature(function).parameters.values()
        expected = {one.name: one.default for one in parameters if one.kind is one.KEYWORD_ONLY}
        if written.args.kwarg is not None:  # `**options` stands for the rest
            assert found.items() <= expected.items(), call
        else:
            assert found == expected, call


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_what_examples_import_is_there(page: Path) -> None:
    for block in fenced(page, "python"):
        if block.startswith(("train(", "Detector(")):  # a signature
            continue
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("streamlstm"):
                module = importlib.import_module(node.module or "")
                for alias in node.names:
                    assert hasattr(module, alias.name), f"{node.module}.{alias.name}"


def anchors(page: Path) -> set[str]:
    """Return a page's headings as GitHub makes anchors of them."""
    text = _FENCED.sub("", page.read_text("utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in _LINK.findall(page.read_text("utf-8")):
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), f"{name(page)}: {target}"
        if anchor:
            assert anchor in anchors(file), f"{name(page)}: {target}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_paths_that_a_page_mentions_exist(page: Path) -> None:
    for path in _PATH.findall(page.read_text("utf-8")):
        assert (ROOT / path).exists(), f"{name(page)}: {path}"


def log_lines() -> list[str]:
    """Return the text of every line that the worker and the jobs log, as it stands in the code."""
    lines = []
    for module in sorted((ROOT / "streamlstm").rglob("*.py")):
        for node in ast.walk(ast.parse(module.read_text("utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id == "_log"
            ):
                assert isinstance(node.args[0], ast.Constant), ast.unparse(node)
                lines.append(node.args[0].value)
    return lines


def test_every_log_line_has_its_row_on_the_page_of_operations() -> None:
    rows = [row for row in (ROOT / "docs/operations.md").read_text("utf-8").splitlines() if row.startswith("|")]
    lines = [line for line in log_lines() if line not in ("%s", "%s: %s")]  # the text of these is formed elsewhere
    assert len(lines) > 20
    for line in lines:
        words = [re.escape(part) for part in re.split(r"%(?:\.\d)?[a-z](?:-%d)?(?:@%d)?", line) if part.strip()]
        assert any(re.search(".+".join(words), row) for row in rows), line


def test_the_floors_of_the_map_are_those_of_the_fence() -> None:
    (picture,) = fenced(ROOT / "docs/architecture.md", "floors")
    found = {
        room.strip(): int(floor)
        for floor, rooms in re.findall(r"^ *(\d+)  (.+?)  ", picture, re.MULTILINE)
        for room in rooms.split(" | ")
    }
    fence = runpy.run_path(str(ROOT / "tests/test_architecture.py"))["FLOORS"]
    assert found == fence


def test_every_room_is_on_the_map() -> None:
    page = (ROOT / "docs/architecture.md").read_text("utf-8")
    folders = {init.parent for init in (ROOT / "streamlstm").glob("*/__init__.py")}
    for folder in folders:
        assert f"`streamlstm/{folder.name}/`" in page, folder.name


def test_the_index_names_every_page() -> None:
    index = (ROOT / "docs/README.md").read_text("utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        assert page.name == "README.md" or f"({page.name})" in index, page.name
    decisions = (ROOT / "docs/decisions/README.md").read_text("utf-8")
    for page in (ROOT / "docs/decisions").glob("0*.md"):
        assert f"({page.name})" in decisions, page.name
