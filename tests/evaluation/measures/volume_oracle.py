"""VUS-PR and average precision once more, from their definitions: one loop a row, a threshold and a width."""

from __future__ import annotations

import math

THRESHOLDS = 250


def events(labels: list[int]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for row, label in enumerate(labels):
        if label and found and found[-1][1] == row - 1:
            found[-1] = (found[-1][0], row)
        elif label:
            found.append((row, row))
    return found


def row_values(labels: list[int], width: int) -> list[float]:
    values = [float(label) for label in labels]
    for begin, end in events(labels):
        for row in range(len(labels)):
            distance = begin - row if row < begin else row - end
            if 0 < distance <= width // 2:
                values[row] += math.sqrt(1 - distance / width)
    return [min(1.0, value) for value in values]


def widened(labels: list[int], width: int) -> list[range]:
    """Rows of the events with their borders; those that meet are one."""
    joined: list[tuple[int, int]] = []
    for begin, end in events(labels):
        begin, end = begin - width // 2, end + width // 2
        if joined and joined[-1][1] >= begin:
            begin = joined.pop()[0]
        joined.append((begin, end))
    return [range(max(begin, 0), min(end + 1, len(labels))) for begin, end in joined]


def vus_pr(scores: list[float], labels: list[int], window: int) -> float:
    rows, downwards, areas = len(scores), sorted(scores, reverse=True), []
    thresholds = [downwards[int(k * ((rows - 1) / (THRESHOLDS - 1)))] for k in range(THRESHOLDS - 1)] + [downwards[-1]]
    for width in range(window + 1):
        values, zones, area, before = row_values(labels, width), widened(labels, width), 0.0, 0.0
        for threshold in thresholds:
            flagged = [row for row in range(rows) if scores[row] >= threshold]
            hits = sum(values[row] for row in flagged)
            beside = sum(values[row] for row in flagged if not labels[row])
            seen = sum(any(scores[row] >= threshold for row in zone) for zone in zones) / len(zones)
            recall = min(hits / (sum(labels) + beside / 2), 1.0) * seen
            area += (recall - before) * hits / len(flagged)
            before = recall
        areas.append(area)
    return sum(areas) / len(areas)


def average_precision(scores: list[float], labels: list[int]) -> float:
    area, before = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        flagged = [label for score, label in zip(scores, labels, strict=True) if score >= threshold]
        recall = sum(flagged) / sum(labels)
        area += (recall - before) * sum(flagged) / len(flagged)
        before = recall
    return area
