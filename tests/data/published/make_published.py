"""Write published.npz from checkouts: python make_published.py NAB_REPOSITORY TSB_AD_REPOSITORY."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np

# Rows with lower scores than these are left out: every published threshold lies above them.
DETECTORS = {"numenta": 0.5, "windowedGaussian": 0.999, "expose": 0.99}
PROFILES = ("standard", "reward_low_FP_rate", "reward_low_FN_rate")
# TSB-AD reads NAB's files without their first row of values, and the label of a window's last row is not set.
TSB_AD = {
    "008_NAB_id_8_Synthetic_tr_1007_1st_2734.csv": ("artificialWithAnomaly/art_load_balancer_spikes.csv", [2734, 3135]),
    "017_NAB_id_17_Synthetic_tr_1007_1st_1805.csv": (
        "artificialWithAnomaly/art_increase_spike_density.csv",
        [1805, 2206],
    ),
    "019_NAB_id_19_Facility_tr_1007_1st_1171.csv": (
        "realAWSCloudwatch/ec2_cpu_utilization_5f5533.csv",
        [1171, 1370, 2830, 3029],
    ),
    "028_NAB_id_28_Facility_tr_1007_1st_3447.csv": (
        "realAWSCloudwatch/ec2_cpu_utilization_24ae8d.csv",
        [3447, 3876],
    ),
}


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def nab(repository: Path) -> dict[str, np.ndarray]:
    labels = json.loads((repository / "labels/combined_windows.json").read_text())
    finals = json.loads((repository / "results/final_results.json").read_text())
    files = sorted(labels)
    made = {"files": np.array(files)}
    windows, rows = [], []
    for number, name in enumerate(files):
        times = [row["timestamp"] for row in table(repository / "data" / name)]
        rows.append(len(times))
        windows += [(number, times.index(begin[:19]), times.index(end[:19])) for begin, end in labels[name]]
    made |= {"rows": np.array(rows), "windows": np.array(windows)}
    for detector, cut in DETECTORS.items():
        kept = []
        for number, name in enumerate(files):
            group, base = name.split("/")
            scores = [
                float(row["anomaly_score"])
                for row in table(repository / "results" / detector / group / f"{detector}_{base}")
            ]
            kept += [(number, row, score) for row, score in enumerate(scores) if score >= cut]
        made[f"{detector}/file"], made[f"{detector}/row"] = np.array([(f, r) for f, r, _ in kept], np.int32).T
        made[f"{detector}/score"] = np.array([score for _, _, score in kept])
        results = [
            table(repository / "results" / detector / f"{detector}_{profile}_scores.csv") for profile in PROFILES
        ]
        by_file = [{row["File"]: float(row["Score"]) for row in result} for result in results]
        made[f"{detector}/raw"] = np.array([[raws[name] for name in files] for raws in by_file])
        made[f"{detector}/threshold"] = np.array([float(result[0]["Threshold"]) for result in results])
        made[f"{detector}/final"] = np.array([finals[detector][profile] for profile in PROFILES])
    return made


def tsb_ad(repository: Path, nab_repository: Path) -> dict[str, np.ndarray]:
    published = table(repository / "benchmark_exp/benchmark_eval_results/uni_mergedTable_VUS-PR.csv")
    values = {row["file"]: float(row["SR"]) for row in published if row["file"] in TSB_AD}
    made = {"vus/files": np.array([name for name, _ in TSB_AD.values()])}
    made["vus/spectral_residual"] = np.array([values[name] for name in TSB_AD])
    for number, (name, spans) in enumerate(TSB_AD.values()):
        made[f"vus/{number}/values"] = np.array([float(row["value"]) for row in table(nab_repository / "data" / name)])[
            1:
        ]
        made[f"vus/{number}/spans"] = np.array(spans).reshape(-1, 2)
    return made


if __name__ == "__main__":
    nab_repository, tsb_ad_repository = map(Path, sys.argv[1:])
    arrays = nab(nab_repository) | tsb_ad(tsb_ad_repository, nab_repository)
    np.savez_compressed(Path(__file__).with_name("published.npz"), **arrays)
