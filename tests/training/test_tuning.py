"""The search: seeded, on the validation part alone, and gone on with from its table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from streamlstm.errors import StreamLstmError, UsageError
from streamlstm.training.causal.plan import CausalPlan, make_plan
from streamlstm.training.trials import Choice, Range, Space, Trial, identity_of, read_trials, write_trials
from streamlstm.training.tuning import search

pytest.importorskip("optuna")

SPACE: Space = {
    "hidden": Choice((3, 5, 8)),
    "layers": Choice((1, 2)),
    "learning_rate": Range(0.004, 0.04, is_logarithmic=True),
    "dropout": Range(0.0, 0.4),
}


def series(seed: int = 3) -> NDArray[np.float32]:
    rng, phase = np.random.default_rng(seed), np.arange(400) / 20 * 2 * np.pi
    return np.stack([3 * np.sin(phase) + 7, np.cos(phase) + rng.normal(0, 0.2, 400)], axis=1).astype(np.float32)


def maker(values: NDArray[np.float32]) -> Any:
    fixed = {"max_updates": 20, "validate_every": 2, "reconstruct": 6, "forecast": 2, "batch": 4}

    def make(options: dict[str, Any]) -> CausalPlan:
        return make_plan({"a": values}, **fixed | options)

    return make


def test_the_same_seed_gives_the_same_trials_and_calibration_rows_play_no_part() -> None:
    first = search(maker(series()), SPACE, trials=7, seed=5)
    values = series()
    values[320:] = np.random.default_rng(8).normal(500, 90, values[320:].shape)
    assert search(maker(values), SPACE, trials=7, seed=5) == first
    values[250] += 2  # of the validation part
    assert search(maker(values), SPACE, trials=7, seed=5).trials[0] != first.trials[0]
    assert search(maker(series()), SPACE, trials=7, seed=6).trials[1:] != first.trials[1:]
    assert len({tuple(sorted(trial.options.items())) for trial in first.trials}) == 7
    assert all(("dropout" in trial.options) == (trial.options["layers"] == 2) for trial in first.trials)
    assert all(0.004 <= float(trial.options["learning_rate"]) <= 0.04 for trial in first.trials)
    best = first.best
    assert best is not None
    assert best.validation_loss == min(t.validation_loss for t in first.trials if t.state == "complete")


def test_trials_are_told_to_the_caller_and_not_logged_by_optuna() -> None:
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.INFO)
    told = list[Trial]()
    search(maker(series()), SPACE, trials=1, seed=1, on_trial=told.append)
    assert [trial.number for trial in told] == [0]
    assert optuna.logging.get_verbosity() == optuna.logging.WARNING


def test_the_first_trial_is_what_would_be_trained_without() -> None:
    space: Space = {"hidden": Choice((4, 32)), "learning_rate": Range(0.001, 0.1, is_logarithmic=True)}
    [trial] = search(maker(series()), space, trials=1, seed=1).trials
    assert trial.options == {"hidden": 32, "learning_rate": 0.02}
    assert [update for update, _ in trial.curve] == list(range(2, 21, 2))


def test_an_interrupted_search_goes_on_from_its_table(tmp_path: Path) -> None:
    whole = search(maker(series()), SPACE, trials=6, seed=2)
    table, identity = tmp_path / "t.csv", identity_of(maker(series())({}), seed=2)
    assert len(identity) == 16, "tables that were written before are known by it"
    made: list[Trial] = []

    def on_trial(trial: Trial) -> None:
        made.append(trial)
        write_trials(table, made, SPACE, identity=identity)
        if len(made) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(maker(series()), SPACE, trials=6, seed=2, on_trial=on_trial)
    known = read_trials(table, SPACE, identity=identity)
    assert known == list(whole.trials[:4])
    trained: list[int] = []
    again = search(
        maker(series()), SPACE, trials=6, seed=2, known=known, on_progress=lambda number, _: trained.append(number)
    )
    assert again == whole
    assert set(trained) == {4, 5}
    # Trials of another search are none of this one.
    assert read_trials(table, SPACE, identity="other") == []
    assert read_trials(table, {"hidden": Choice((3, 5))}, identity=identity) == []
    table.write_text(table.read_text().replace("complete", "splendid"))
    with pytest.raises(StreamLstmError, match="delete it to begin anew"):
        read_trials(table, SPACE, identity=identity)


def test_ctrl_c_keeps_what_was_found() -> None:
    def on_progress(number: int, _: object) -> None:
        if number == 2:
            raise KeyboardInterrupt

    found = search(maker(series()), SPACE, trials=6, seed=2, on_progress=on_progress)
    assert found.is_interrupted and len(found.trials) == 2
    assert found.best is not None


def test_bad_trials_are_pruned_or_fail_and_the_search_goes_on() -> None:
    space: Space = {"learning_rate": Range(0.00001, 0.02, is_logarithmic=True)}
    found = search(maker(series()), space, trials=12, seed=1)
    states = [trial.state for trial in found.trials]
    assert "pruned" in states and found.best is not None
    pruned = found.trials[states.index("pruned")]
    assert pruned.updates < 20 and pruned.validation_loss > found.best.validation_loss

    def make(options: dict[str, Any]) -> CausalPlan:
        plan = maker(series())(options)
        return plan if options.get("hidden") != 3 else replace(plan, options=replace(plan.options, clip_norm=-1))

    found = search(make, {"hidden": Choice((3, 5))}, trials=5, seed=1)
    assert {(trial.options["hidden"], trial.state) for trial in found.trials} == {(3, "failed"), (5, "complete")}
    with pytest.raises(UsageError, match="expected something to search"):
        search(maker(series()), {}, trials=1, seed=1)


def test_nothing_is_pruned_before_four_trials_and_a_fifth_of_the_updates() -> None:
    made: list[float] = []

    def make(options: dict[str, Any]) -> CausalPlan:
        plan = maker(series())(options)
        made.append(0.02 if len(made) < 4 else 1e-9)  # the plan that is asked for its options, then three trials
        return replace(plan, options=replace(plan.options, learning_rate=made[-1]))

    found = search(make, {"hidden": Choice((3, 5, 8, 32))}, trials=5, seed=1)
    assert [trial.state for trial in found.trials] == ["complete"] * 4 + ["pruned"]
    assert [trial.number for trial in found.trials] == list(range(5))
    assert found.trials[3].updates == 20 and found.trials[4].updates == 4
    assert found.trials[4].validation_loss == min(loss for _, loss in found.trials[4].curve)


def test_what_the_plan_has_is_the_first_trial_where_the_space_holds_it() -> None:
    space: Space = {
        "layers": Choice((2, 3)),
        "cell": Choice(("gru", "lstm")),
        "batch": Range(4, 8),
        "dropout": Range(0.1, 0.4),
        "learning_rate": Range(0.001, 0.02),
    }
    [trial] = search(maker(series()), space, trials=1, seed=3).trials
    assert (trial.options["cell"], trial.options["batch"], trial.options["learning_rate"]) == ("lstm", 4, 0.02)
    [one] = search(maker(series()), {"layers": Choice((1, 2)), "dropout": Range(0.0, 0.4)}, trials=1, seed=3).trials
    assert one.options == {"layers": 1}
    [held] = search(maker(series()), {"dropout": Range(0.0, 0.4)}, trials=1, seed=3).trials
    assert held.options == {}  # the plan has one layer
