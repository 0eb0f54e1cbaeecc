"""`models`: what retraining has published."""

from __future__ import annotations

from typing import Annotated

import typer

from streamlstm.cli.console.options import ConfigArgument, ConfigOption, SetOption
from streamlstm.cli.console.output import print_result
from streamlstm.errors import UsageError

__all__ = ["models", "verb"]

verb = typer.Typer(add_completion=False)


@verb.command(epilog="Example: streamlstm models deploy/streamlstm.yaml --rollback")
def models(
    config: ConfigArgument = None,
    config_option: ConfigOption = None,
    overrides: SetOption = None,
    name: Annotated[str | None, typer.Option(help="Name of the model; retrain.name by default.")] = None,
    promote: Annotated[
        int | None, typer.Option(metavar="VERSION", min=1, help="Make this version the champion.")
    ] = None,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Make the previous champion the champion again.")
    ] = False,
) -> None:
    """List the versions that retraining has published, or go back to one of them."""
    from streamlstm.cli.console.clock import lock_holder
    from streamlstm.cli.console.configuration import configured, retrain_section
    from streamlstm.model.bundles.registry import Registry

    section = retrain_section(configured(config, config_option, overrides))
    registry, model = Registry(section.registry), name or section.name
    if rollback and promote is not None:
        raise UsageError("expected one of --rollback and --promote, got both")
    if rollback or promote is not None:
        if not registry.versions(model):
            raise UsageError(f"{section.registry}: there is no model {model!r} yet; streamlstm retrain makes one")
        with registry.lock(model, lock_holder()):
            if promote is not None:
                registry.promote(model, promote)
            else:
                registry.rollback(model)
    marks = {registry.previous(model): "previous", registry.champion(model): "champion"}
    for version in registry.versions(model):
        print_result(f"{model}@{version}  {marks.get(version, ''):<8}  {registry.path(model, version)}")
