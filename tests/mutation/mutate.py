"""Small changes of a module, one at a time: what a slip of the keyboard, or of a thought, could make of it."""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}


@dataclass(frozen=True)
class Mutant:
    """A changed module. `before` and `after` are the changed expression or statement."""

    line: int
    place: str
    """The function or class that it stands in, as `Class.method`; `module` outside of any."""
    is_import_time: bool
    """Whether it runs when the module is imported: a constant, a default, a field."""
    before: str
    after: str
    number: int
    """Which it is of those that are alike in their place, from 1."""
    of: int
    tree: ast.Module


def mutants(source: str) -> Iterator[Mutant]:
    """Yield every mutant of a module in the order of its lines."""
    alike = Counter((place, _text(before), _text(after)) for before, place, after in _changes(source))
    seen = Counter[tuple[str, str, str]]()
    original = ast.parse(source)
    sites = list(_sites(original))
    for number, (before, place, is_import_time) in enumerate(sites):
        for variant in range(len(list(_variants(before)))):
            tree = copy.deepcopy(original)
            node = list(_sites(tree))[number][0]
            after = list(_variants(node))[variant]
            _replace(tree, node, after)
            ast.fix_missing_locations(tree)
            change = place, _text(before), _text(after)
            seen[change] += 1
            yield Mutant(
                before.lineno,
                place or "module",
                is_import_time,
                *change[1:],
                number=seen[change],
                of=alike[change],
                tree=tree,
            )


def _changes(source: str) -> Iterator[tuple[ast.expr | ast.stmt, str, ast.expr | ast.stmt]]:
    """Yield what every mutant changes, its place, and into what."""
    for before, place, _ in _sites(ast.parse(source)):
        for after in _variants(before):
            yield before, place, after


def _sites(tree: ast.Module) -> Iterator[tuple[ast.expr | ast.stmt, str, bool]]:
    """Yield the nodes that can be changed, with their place, and whether they run at import.

    Annotations, docstrings, messages and what only logs are left alone.
    """
    waiting: list[tuple[ast.AST, str, bool]] = [(tree, "", True)]
    while waiting:
        node, place, is_import_time = waiting.pop()
        if isinstance(node, ast.expr | ast.stmt) and any(True for _ in _variants(node)):
            yield node, place, is_import_time
        bodies: set[int] = set()
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            place = f"{place}.{node.name}" if place else node.name
            if not isinstance(node, ast.ClassDef):
                bodies = set(map(id, node.body))
        for child in reversed(list(_children(node))):
            waiting.append((child, place, is_import_time and id(child) not in bodies))


def _children(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    if isinstance(node, ast.Raise | ast.JoinedStr | ast.Import | ast.ImportFrom | ast.Assert):
        return
    if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
        return
    if isinstance(node, ast.Expr) and (_is_logging(node) or isinstance(node.value, ast.Constant)):
        return
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list", "type_params", "bases"):
            continue
        if isinstance(node, ast.AnnAssign) and field == "target":
            continue
        yield from (one for one in (value if isinstance(value, list) else [value]) if isinstance(one, ast.AST))


def _is_logging(node: ast.Expr) -> bool:
    return isinstance(node.value, ast.Call) and ast.unparse(node.value.func).startswith(("_log.", "self._log"))


def _variants(node: ast.AST) -> Iterator[ast.expr | ast.stmt]:
    match node:
        case ast.Compare(left=left, ops=[op, *ops], comparators=comparators) if type(op) in COMPARISONS:
            yield ast.Compare(left, [COMPARISONS[type(op)](), *ops], comparators)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS and not _is_text(left, right):
            yield ast.BinOp(left, OPERATORS[type(op)](), right)
        case ast.BoolOp(op=op, values=values):
            yield ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield operand
        case ast.Constant(value=bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(value=int() | float() as value):
            yield ast.Constant(value + 1)
        case ast.If(test=ast.Name() | ast.Attribute() | ast.Call() as test, body=body, orelse=orelse):
            yield ast.If(ast.UnaryOp(ast.Not(), test), body, orelse)
        case ast.IfExp(test=test, body=body, orelse=orelse) if isinstance(test, ast.Name | ast.Attribute | ast.Call):
            yield ast.IfExp(ast.UnaryOp(ast.Not(), test), body, orelse)
        case ast.Expr(value=ast.Call()) if not _is_logging(node):
            yield ast.Pass()
        case ast.AugAssign():
            yield ast.Pass()
        case ast.Continue():
            yield ast.Break()
        case ast.Break():
            yield ast.Pass()


def _is_text(*sides: ast.expr) -> bool:
    return any(isinstance(side, ast.JoinedStr) or _is_string(side) for side in sides)


def _is_string(side: ast.expr) -> bool:
    return isinstance(side, ast.Constant) and isinstance(side.value, str | bytes)


def _replace(tree: ast.Module, node: ast.AST, after: ast.AST) -> None:
    for parent in ast.walk(tree):
        for field, value in ast.iter_fields(parent):
            if value is node:
                setattr(parent, field, ast.copy_location(after, node))
                return
            if isinstance(value, list):
                for index, one in enumerate(value):
                    if one is node:
                        value[index] = ast.copy_location(after, node)
                        return


def _text(node: ast.AST) -> str:
    """Write a node in one line; of a block only its head."""
    return ast.unparse(node).splitlines()[0]
