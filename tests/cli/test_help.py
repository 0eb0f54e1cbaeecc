"""`--help` and `--version`: at once, and in the words of the verbs themselves."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import typer
from cli.running import ENVIRONMENT, Verbs
from waiting import PATIENCE_S

from streamlstm import __version__
from streamlstm.cli.app import VERBS
from streamlstm.cli.bench.verb import VERBS as BENCH_VERBS
from streamlstm.cli.train.verb import CELLS
from streamlstm.kernels import CellKind

PROGRAM = """
import contextlib, io, json, sys
from streamlstm.cli import main
with contextlib.redirect_stdout(io.StringIO()) as shown:
    try:
        main()
    except SystemExit as ended:
        assert not ended.code
assert "Usage" in shown.getvalue()
print(json.dumps(sorted(sys.modules)))
"""
LISTING = {"_version", "errors", "cli", "cli.app", "cli.lazy_verbs", "cli.console", "cli.console.output"}
"""All of ours that the list of verbs may import."""
DRAWING = {
    "typer",
    "rich",
    "pygments",
    "markdown_it",
    "mdurl",
    "shellingham",
    "annotated_doc",
    "typing_extensions",
    "attr",
}
"""All of others that it may: what draws it, and what rich looks for."""
ON_THEIR_OWN = [*VERBS, *(f"bench {name}" for name in BENCH_VERBS)]


@pytest.fixture
def verbs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Verbs:
    return Verbs(tmp_path, monkeypatch, capsys)


def imported(*arguments: str) -> set[str]:
    """Return the modules that are there after a help text was shown."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments, "--help"],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_S,
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_the_list_of_verbs_imports_what_draws_it_and_nothing_else() -> None:
    modules = imported()
    ours = {name.removeprefix("streamlstm.") for name in modules if name.startswith("streamlstm.")}
    assert ours == LISTING
    others = {name.partition(".")[0] for name in modules} - sys.stdlib_module_names - {"__main__", "streamlstm"}
    assert {name for name in others if not name.startswith("_")} <= DRAWING


@pytest.mark.parametrize("name", [*VERBS])
def test_the_help_of_a_verb_needs_none_of_what_the_verb_does(name: str) -> None:
    modules = imported(name)  # pydantic may be there: typer looks for it
    heavy = {"numpy", "scipy", "yaml", "kafka", "msgspec", "safetensors", "streamlstm.config", "streamlstm.kernels"}
    assert not heavy & modules


@pytest.mark.parametrize("name", ON_THEIR_OWN)
def test_a_verb_is_listed_by_its_own_first_sentence(name: str) -> None:
    table = {**VERBS, **{f"bench {name}": verb for name, verb in BENCH_VERBS.items()}}
    command = typer.main.get_command(import_module(table[name].module).verb)
    assert (command.help or "").splitlines()[0] == table[name].line


def test_the_cells_that_help_names_are_those_of_the_kernels() -> None:
    assert tuple(CellKind) == CELLS


def test_version(verbs: Verbs) -> None:
    assert verbs.good("--version") == f"streamlstm {__version__}\n"


def test_a_mistyped_verb_is_told_the_nearest(verbs: Verbs) -> None:
    code, _, err = verbs.run("scor")
    assert code == 2
    assert err == "error: there is no command 'scor'; did you mean 'score'? (see streamlstm --help)\n"


def test_without_arguments_help_is_shown_and_nothing_else(verbs: Verbs) -> None:
    code, out, err = verbs.run()
    assert (code, err) == (2, "")
    assert "Usage: streamlstm" in out
