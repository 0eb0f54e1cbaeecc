"""One whole-window model of `train --arrangement`: it scores recordings, and has fewer options than a causal one."""

from __future__ import annotations

import time

from streamlstm.cli.console.output import say, tell
from streamlstm.cli.console.progress import Progress
from streamlstm.cli.training_job import Target, name_of, period_of, progress_detail
from streamlstm.config import TrainConfig
from streamlstm.recordings.grouping import Group
from streamlstm.training.trainer import TrainingProgress
from streamlstm.training.windows.fit import train_window_model

__all__ = ["train_windows"]


def train_windows(config: TrainConfig, group: Group, target: Target, *, created_at: str) -> None:
    """Train and save. Raises: as `train_window_model`; BundleError when the disk refuses."""
    shape, training = config.model, config.training
    first = group.series[0]
    values = {one.stream_id: one.values for one in group.series}
    began = time.monotonic()
    with Progress("train") as progress:

        def on_progress(at: TrainingProgress) -> None:
            progress.update(at.update, at.of, progress_detail(at), seconds_left=at.seconds_left)

        bundle = train_window_model(
            values,
            arrangement=shape.arrangement,
            period_s=period_of(config, group),
            channels=first.channels,
            units=first.units,
            name=name_of(config, group),
            version=config.version,
            created_at=created_at,
            window=training.segment,
            hidden=shape.hidden,
            cell=shape.cell,
            layers=shape.layers,
            max_updates=training.max_updates,
            seed=training.seed,
            on_progress=on_progress,
            on_choice=lambda sentence: tell(f"  {sentence}"),
        )
    bundle.save(target.bundle)
    rows = sum(map(len, values.values()))
    say(
        f"{target.bundle}: {bundle.label}, {shape.arrangement}, {len(bundle.channels)} channels, trained on {rows:,} "
        f"rows of {len(values)} stream(s) in {time.monotonic() - began:.1f} s; {bundle.training['updates']} updates, "
        f"validation loss {bundle.training['validation_loss']:.4f}"
    )
