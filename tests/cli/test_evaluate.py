"""`evaluate` as a user types it: over the benchmark's layout, over recordings with labels, and what it refuses."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli.running import Verbs, start
from evaluation.labelled_data import NAB, NAB_FILE, ROWS, WARM_UP, write_series, write_sets
from tiny_models import tiny_series
from waiting import PATIENCE_S, wait_until

from streamlstm import __version__
from streamlstm.evaluation.baselines.catalogue import BASELINES
from streamlstm.model.bundles.causal import ModelBundle


@pytest.fixture
def verbs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Verbs:
    return Verbs(tmp_path, monkeypatch, capsys)


def write_recording(path: Path, *, streams: int = 2) -> None:
    """Write streams bed0, bed1, .. of 900 seconds, the flow of bed0 too high from 600 to 630 s."""
    lines = ["stream_id,ts,flow,pressure"]
    for number in range(streams):
        values = tiny_series(40 + number, 900)
        values[600:630, 0] += 15 * (number == 0)
        lines += [f"bed{number},{row},{flow},{pressure}" for row, (flow, pressure) in enumerate(values.tolist())]
    path.write_text("\n".join(lines) + "\n")


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def measured(path: Path) -> dict[str, float]:
    return {one["name"]: one["value"] for one in json.loads(path.read_text())["measurements"]}


def test_over_the_layout_of_the_benchmark(verbs: Verbs, tmp_path: Path) -> None:
    write_sets(tmp_path / "data")
    said = verbs.good("evaluate", "data", "--jobs", 1, "--out", "found", "--json", "copy.json")
    assert "pumps: 2 series, 800 rows judged, 3 events; a budget of 0.2 false alarms a stream-day\n" in said
    assert "smap: 1 series, 400 rows judged, 1 event; a budget of 0.2 false alarms a stream-day\n" in said
    assert "smap: 2 channels besides are inputs, which no model sees" in said
    found = json.loads((tmp_path / "found" / "results.json").read_text())
    assert found == json.loads((tmp_path / "copy.json").read_text())
    assert found["is_complete"] and found["schema"] == "streamlstm.evaluation/1" and found["machine"]["cores"] > 0
    ours = [one for one in found["series"] if one["method"] == "streamlstm"]
    assert [(one["set"], one["series"]) for one in ours] == [("pumps", "a"), ("pumps", "b"), ("smap", "c")]
    assert all(one["prefix_equal"] == 1 for one in ours)
    methods = {name: {one["method"] for one in found["series"] if one["set"] == name} for name in ("pumps", "smap")}
    assert methods["pumps"] == {"streamlstm", *(baseline.name for baseline in BASELINES)}
    assert methods["pumps"] - methods["smap"] == {"PCA"}  # of one channel there is none
    figures = measured(tmp_path / "copy.json")
    units = {one["name"]: one["unit"] for one in found["measurements"]}
    assert (units["pumps/streamlstm/vus_pr"], units["pumps/streamlstm/recall"]) == ("area", "share")
    assert figures["pumps/streamlstm/vus_pr"] > 0.5 and figures["pumps/streamlstm/found"] == 3
    assert figures["pumps/streamlstm/settled_vus_pr"] > 0.5
    assert "How well anomalies are found" in (tmp_path / "found" / "index.html").read_text()
    rows = table(tmp_path / "found" / "scores" / "pumps" / "b.csv")
    assert list(rows[0]) == ["row", "score", "settled", "alert"]
    assert [int(row["row"]) for row in rows] == list(range(WARM_UP, ROWS))
    waiting = [row["row"] for row in rows if row["settled"] == ""]
    assert waiting == [row["row"] for row in rows[-len(waiting) :]] and len(waiting) < 128
    in_fault = [row for row in rows if 801 <= int(row["row"]) < 830]
    assert all(float(row["score"]) > 1 and row["alert"] == "1" for row in in_fault[2:])


def test_a_real_file_in_several_processes_and_with_several_seeds(verbs: Verbs, tmp_path: Path) -> None:
    said = verbs.good("evaluate", NAB, "--seeds", 2, "--jobs", 2, "--out", "found")
    assert "nab: 1 series, 1,057 rows judged, 2 events" in said and " ±0." in said
    found = json.loads((tmp_path / "found" / "results.json").read_text())
    first, second = (one for one in found["series"] if one["method"] == "streamlstm")
    assert first["prefix_equal"] == second["prefix_equal"] == 1
    assert (first["seed"], second["seed"]) == (1, 2) and first["vus_pr"] != second["vus_pr"]
    files = [tmp_path / "found" / folder / "nab" / f"{NAB_FILE}.csv" for folder in ("scores", "scores-seed-2")]
    one, other = map(table, files)
    assert len(one) == len(other) == 1057 and one != other


def test_the_same_numbers_whatever_the_processes(verbs: Verbs, tmp_path: Path) -> None:
    write_sets(tmp_path / "data")
    for jobs in (1, 3):
        verbs.good("evaluate", "data", "--set", "pumps", "--jobs", jobs, "--out", f"found{jobs}")
    paths = ("scores/pumps/a.csv", "scores/pumps/b.csv")
    assert [(tmp_path / "found1" / path).read_bytes() for path in paths] == [
        (tmp_path / "found3" / path).read_bytes() for path in paths
    ]


def test_over_recordings_with_labels_and_against_a_bundle(
    verbs: Verbs, tmp_path: Path, tiny_bundle: ModelBundle
) -> None:
    write_recording(tmp_path / "ward.csv")
    (tmp_path / "faults.csv").write_text("stream_id,start,end\nbed0,600,629\nbed1,20,1970-01-01T00:00:30Z\n")
    tiny_bundle.save(tmp_path / "tiny.safetensors")
    said = verbs.good(
        *(
            "evaluate",
            "ward.csv",
            "--labels",
            "faults.csv",
            "--against",
            "tiny.safetensors",
            "--out",
            "found",
            "--jobs",
            1,
        )
    )
    assert "1 of 2 labels begin in a warm-up" in said
    assert "recordings: 2 series, 1,200 rows judged, 1 event; a budget of 0.2 false alarms a stream-day\n" in said
    numbers = measured(tmp_path / "found" / "results.json")
    assert numbers["recordings/tiny@1/vus_pr"] > 0.5
    assert numbers["recordings/streamlstm/vus_pr"] > 0.5
    for folder in ("scores", "scores-tiny@1"):
        assert [len(table(tmp_path / "found" / folder / "recordings" / f"bed{n}.csv")) for n in (0, 1)] == [600, 600]


def test_without_labels_everything_found_is_a_false_alarm(verbs: Verbs, tmp_path: Path) -> None:
    write_recording(tmp_path / "ward.csv", streams=1)
    said = verbs.good("evaluate", "ward.csv", "--jobs", 1)
    assert "no --labels: nothing is taken to be wrong in these recordings" in said
    assert "recordings: 1 series, 600 rows judged, 0 events; a budget of 0.2 false alarms a stream-day\n" in said


def test_quick_takes_a_few_of_each_set_and_says_so(verbs: Verbs, tmp_path: Path) -> None:
    write_sets(tmp_path / "data")
    long = np.concatenate([tiny_series(9, ROWS)] * 22)
    write_series(tmp_path / "data" / "pumps" / "c.npz", 9, values=long, label=np.zeros(len(long)))
    write_series(tmp_path / "data" / "long" / "d.npz", 9, values=long, label=np.zeros(len(long)))
    said = verbs.good("evaluate", "data", "--quick", "--jobs", 1, "--json", "quick.json")
    assert "--quick: of each set the 2 smallest series, of each at most 20,000 judged rows" in said
    found = json.loads((tmp_path / "quick.json").read_text())
    assert found["is_quick"]
    rows = {f"{one['set']}/{one['series']}": one["rows"] for one in found["series"] if one["method"] == "streamlstm"}
    assert rows == {"long/d": 20_000, "pumps/a": 400, "pumps/b": 400, "smap/c": 400}


def test_a_series_that_cannot_be_evaluated_leaves_the_others(verbs: Verbs, tmp_path: Path) -> None:
    write_sets(tmp_path / "data")
    write_series(tmp_path / "data" / "pumps" / "c.npz", 1, train_len=ROWS)
    code, out, err = verbs.run("evaluate", "data", "--set", "pumps", "--jobs", 2, "--json", "found.json")
    assert code == 1 and "pumps: 2 series" in out
    assert "error: 1 of 3 could not be evaluated; the first: pumps/c: " in err
    found = json.loads((tmp_path / "found.json").read_text())
    assert [one["series"] for one in found["failures"]] == ["pumps/c"]
    assert found["failures"][0]["reason"].endswith(
        "expected a row count from 1 to 999, so that rows are left to be judged, got 1000"
    )


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nowhere"], 1, "nowhere: "),
        (["empty"], 1, "evaluate reads the benchmark's folders (docs/detection.md) and recordings (docs/data.md)"),
        (["data", "--set", "kpi"], 2, "--set: expected sets among pumps, smap, got kpi"),
        (["ward.csv", "--set", "kpi"], 2, "--set: expected the benchmark's folder, got ward.csv"),
        (["data", "--labels", "faults.csv"], 2, "--labels: data has labels of its own; leave the option out"),
        (
            ["ward.csv", "--labels", "strangers.csv"],
            1,
            "expected streams of the recordings ('bed0', 'bed1'), got 'bed7'",
        ),
        (["ward.csv", "--labels", "backwards.csv"], 1, "backwards.csv: row 0: expected an end not before 630, got 600"),
        (["ward.csv", "--labels", "none.csv"], 1, "none.csv: the labels cannot be read"),
        (["data", "--against", "faults.csv"], 1, "faults.csv"),
        (["data", "--out", "ward.csv"], 2, "--out: expected a folder, got ward.csv, which is a file"),
        (["data", "--out", "no/where"], 2, "--out: the folder "),
        (["data", "--json", "no/where.json"], 2, "--json: expected a file in a folder that exists"),
        (["data", "--jobs", "0"], 2, "--jobs"),
    ],
)
def test_what_it_refuses(verbs: Verbs, tmp_path: Path, arguments: list[str], code: int, message: str) -> None:
    write_sets(tmp_path / "data")
    (tmp_path / "empty").mkdir()
    write_recording(tmp_path / "ward.csv")
    for name, row in (("faults", "bed0,600,630"), ("strangers", "bed7,1,2"), ("backwards", "bed0,630,600")):
        (tmp_path / f"{name}.csv").write_text(f"stream_id,start,end\n{row}\n")
    assert message in verbs.bad("evaluate", *arguments, code=code)


@pytest.mark.parametrize("jobs", [1, 2])
def test_interrupted_it_leaves_what_is_done(tmp_path: Path, jobs: int) -> None:
    for number in range(80):
        write_series(tmp_path / "data" / "pumps" / f"{number:02}.npz", number)
    process = start(tmp_path, "evaluate", "data", "--jobs", jobs, "--out", "found", stdout=subprocess.PIPE)
    scores = tmp_path / "found" / "scores" / "pumps"
    wait_until(lambda: len(list(scores.glob("*.csv"))) >= 4 if scores.exists() else False)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    found: dict[str, Any] = json.loads((tmp_path / "found" / "results.json").read_text())
    assert not found["is_complete"]
    assert 2 <= len({one["series"] for one in found["series"]}) < 80
    assert "interrupted after " in (tmp_path / "found" / "index.html").read_text()


def test_channels_of_a_bundle_that_a_set_lacks(verbs: Verbs, tmp_path: Path, tiny_bundle: ModelBundle) -> None:
    write_sets(tmp_path / "data")
    tiny_bundle.save(tmp_path / "tiny.safetensors")
    against = ("--jobs", 1, "--against", "tiny.safetensors", "--json", "found.json")
    assert "scored nothing" not in verbs.good("evaluate", "data", *against)
    methods = {(one["set"], one["method"]) for one in json.loads((tmp_path / "found.json").read_text())["series"]}
    assert ("pumps", "tiny@1") in methods and ("smap", "tiny@1") not in methods
    said = verbs.good("evaluate", "data", "--set", "smap", *against)
    assert "--against: tiny@1 scored nothing, for no series has any of its channels" in said


def test_an_interrupt_that_is_dropped_where_it_came_up_is_raised_again(
    verbs: Verbs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        write_series(tmp_path / "data" / "pumps" / f"{number}.npz", number)

    def interrupted(_labels: object) -> list[object]:
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        return []

    monkeypatch.setattr("streamlstm.jobs.evaluation.work.label_spans", interrupted)
    before = signal.getsignal(signal.SIGINT)
    code, _, _ = verbs.run("evaluate", "data", "--jobs", 1, "--json", "found.json")
    assert code == 130 and signal.getsignal(signal.SIGINT) == before
    found = json.loads((tmp_path / "found.json").read_text())
    assert not found["is_complete"] and found["versions"]["streamlstm"] == __version__
