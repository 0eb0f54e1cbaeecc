"""`retrain`: one run of the retraining job."""

from __future__ import annotations

import signal
import sys
import time
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from streamlstm.cli.console.log import LogFormat, LogFormatOption, configure_logging
from streamlstm.cli.console.options import ConfigArgument, ConfigOption, SetOption
from streamlstm.cli.console.output import print_note, print_result

if TYPE_CHECKING:
    from streamlstm.training.trainer import TrainingProgress

__all__ = ["retrain", "verb"]

verb = typer.Typer(add_completion=False)


@verb.command(epilog="Example: streamlstm retrain deploy/streamlstm.yaml --set retrain.from=-14d")
def retrain(
    config: ConfigArgument = None,
    config_option: ConfigOption = None,
    overrides: SetOption = None,
    name: Annotated[str | None, typer.Option(help="Name of the model; retrain.name by default.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read and plan only: train nothing, publish nothing and take no lock.")
    ] = False,
    log_format: LogFormatOption = LogFormat.TEXT,
) -> None:
    """Train on recent telemetry, and publish the model if it is better than the one in use.

    The job reads the worker's own topics by time, outside its group, and writes one line of JSON to standard output.
    It exits with 0 when it is done, published or not; with 1 when it failed, or another job holds the model's lock; and
    with 2 for a mistake in the configuration.
    """
    import msgspec

    from streamlstm.cli.console.clock import lock_holder
    from streamlstm.cli.console.configuration import configured, retrain_section
    from streamlstm.cli.console.progress import ProgressBar
    from streamlstm.jobs.retraining.job import retrain as run_job
    from streamlstm.model.bundles.registry import Registry
    from streamlstm.wiring.retraining import retraining_options
    from streamlstm.wiring.transports import open_history

    configure_logging(log_format)
    loaded = configured(config, config_option, [*(overrides or ()), *([f"retrain.name={name}"] if name else ())])
    section = retrain_section(loaded)
    options = retraining_options(loaded, section, now_ms=time.time_ns() // 1_000_000)
    signal.signal(signal.SIGTERM, _end)
    reader = open_history(loaded)
    try:
        with ProgressBar("retrain") as progress:

            def on_progress(at: TrainingProgress) -> None:
                losses = f"loss {at.loss:.4f}, validation {at.validation_loss:.4f}"
                progress.update(at.update, at.of, f"{losses}, {at.seconds_left:.0f} s left")

            outcome = run_job(
                options,
                reader,
                Registry(section.registry),
                holder=lock_holder(),
                on_progress=on_progress,
                dry_run=dry_run,
            )
    except KeyboardInterrupt:
        print_note("interrupted; nothing was published")
        sys.exit(130)
    finally:
        reader.close()
    print_result(msgspec.json.encode(outcome).decode())


def _end(number: int, _frame: FrameType | None) -> None:
    """End at once, as Ctrl-C does: whatever was under way is undone or has not begun."""
    print_note(f"{signal.Signals(number).name}: ending; nothing half-written is left")
    sys.exit(128 + number)
