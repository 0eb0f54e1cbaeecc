"""One whole-window model: it scores recordings, and has fewer options than a causal one."""

from __future__ import annotations

import time

from streamlstm.jobs.observer import Observer
from streamlstm.jobs.training import TrainingOptions, TrainingOutcome
from streamlstm.training.windows.fit import train_window_model

__all__ = ["train_windows"]


def train_windows(job: TrainingOptions, observer: Observer, *, arrangement: str) -> TrainingOutcome:
    """Train and save. Raises: as `train_window_model`; BundleError when the disk refuses."""
    options, first = job.options, job.group.series[0]
    values = {one.stream_id: one.values for one in job.group.series}
    began = time.monotonic()
    with observer.training("train") as show:
        bundle = train_window_model(
            values,
            arrangement=arrangement,
            period_s=job.period_s,
            channels=first.channels,
            units=first.units,
            name=job.name,
            version=job.version,
            created_at=job.created_at,
            window=options["window"],
            hidden=options["hidden"],
            cell=options["cell"],
            layers=options["layers"],
            max_updates=options["max_updates"],
            seed=options["seed"],
            on_progress=show,
            on_choice=observer.note,
        )
    bundle.save(job.files.bundle)
    return TrainingOutcome(
        bundle=bundle,
        rows=sum(map(len, values.values())),
        streams=len(values),
        updates=bundle.training["updates"],
        validation_loss=bundle.training["validation_loss"],
        seconds=time.monotonic() - began,
        files=(job.files.bundle,),
    )
