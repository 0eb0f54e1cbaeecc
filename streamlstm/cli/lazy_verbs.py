"""A group of verbs whose modules are imported when they are called: a list of verbs needs none of what they do."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any, ClassVar, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup

from streamlstm.errors import UsageError

__all__ = ["LazyVerbs", "Verb"]


class Verb(NamedTuple):
    """A module whose `verb` is a typer app of one command or a group, and the line by which it is listed: its first."""

    module: str
    line: str


class LazyVerbs(TyperGroup):
    """Lists the verbs in their order, and imports the module of the one that is called."""

    verbs: ClassVar[Mapping[str, Verb]] = {}

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for name, verb in self.verbs.items():
            self.add_command(TyperCommand(name, help=verb.line), name)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[Any, Any, list[str]]:
        """Return the verb itself in the place of its line.

        Raises: UsageError that names the nearest verb, or all of them.
        """
        if not args[0].startswith("-") and args[0] not in self.verbs:
            near = get_close_matches(args[0], self.verbs, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(self.verbs)}"
            raise UsageError(f"there is no command {args[0]!r}; {hint} (see {ctx.command_path} --help)")
        name, command, rest = super().resolve_command(ctx, args)
        verb = None if name is None else self.verbs.get(name)
        if verb is not None:
            command = typer.main.get_command(import_module(verb.module).verb)
            command.name = name
        return name, command, rest
