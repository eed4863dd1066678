"""Writes the mutants of a module: one small fault each, of the kinds that the literature calls sufficient.

The operators are those of mutmut and cosmic-ray: comparisons, arithmetic, logic, constants, conditions,
loops, results and removed statements. An edit replaces as little text as it can, so that a survivor reads as
a diff. Lines where a mutant tells nothing are left alone, as in Petrović and Ivanković, "State of mutation
testing at Google", ICSE-SEIP 2018: log messages, annotations, decorators, texts, and arguments that only
guard a call.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

COMPARISONS: dict[type[ast.cmpop], tuple[str, tuple[str, ...]]] = {
    ast.Lt: (r"<", ("<=", ">=")),
    ast.LtE: (r"<=", ("<", ">")),
    ast.Gt: (r">", (">=", "<=")),
    ast.GtE: (r">=", (">", "<")),
    ast.Eq: (r"==", ("!=",)),
    ast.NotEq: (r"!=", ("==",)),
    ast.Is: (r"\bis\b", ("is not",)),
    ast.IsNot: (r"\bis\s+not\b", ("is",)),
    ast.In: (r"\bin\b", ("not in",)),
    ast.NotIn: (r"\bnot\s+in\b", ("in",)),
}
ARITHMETIC: dict[type[ast.operator], tuple[str, str]] = {
    ast.Add: (r"\+", "-"),
    ast.Sub: (r"-", "+"),
    ast.Mult: (r"\*", "/"),
    ast.Div: (r"/", "*"),
    ast.FloorDiv: (r"//", "*"),
    ast.Mod: (r"%", "*"),
    ast.Pow: (r"\*\*", "*"),
    ast.BitOr: (r"\|", "&"),
    ast.BitAnd: (r"&", "|"),
    ast.LShift: (r"<<", ">>"),
    ast.RShift: (r">>", "<<"),
}
OPPOSITES = {"min": "max", "any": "all", "minimum": "maximum", "argmin": "argmax", "floor": "ceil"}
OPPOSITES |= {other: name for name, other in OPPOSITES.items()}
GUARDS = frozenset({"strict", "copy", "stacklevel"})
"""Arguments that change nothing for a call without a fault."""
ELSEWHERE = frozenset(
    {"annotation", "returns", "decorator_list", "body", "orelse", "finalbody", "handlers", "cases"}
)
"""Fields of a statement that hold other statements, or what tells nothing."""


@dataclass(frozen=True)
class Mutant:
    """One changed module."""

    path: str
    scope: str
    """Class and function that the change is in, "" for the module itself."""
    within: bool
    """Whether it runs when a function is called, not when the module is imported."""
    first: int
    last: int
    """Lines of the statement that is changed, or of the head of a compound one; 1-based, both included."""
    before: str
    after: str
    """The changed lines as they were and are, white space collapsed."""
    source: str
    """The whole module with the change."""

    @property
    def name(self) -> str:
        """What identifies it in reports and in the list of equivalent ones, whatever its line number."""
        return f"{self.path} {self.scope}: {self.before} => {self.after}"


@dataclass(frozen=True)
class _Edit:
    start: int
    end: int
    text: str


def mutants(path: Path, source: str) -> list[Mutant]:
    """Return every mutant of the module that compiles, in the order of its lines, none twice."""
    module = _Module(source)
    found: dict[str, Mutant] = {}
    for statement, scope, within in _statements(module.tree, (), within=False):
        first, last = _lines(statement)
        for edit in _edits(statement, module):
            changed = module.with_edit(edit)
            if changed in found or not _compiles(changed):
                continue
            before, after = module.shown(edit)
            found[changed] = Mutant(
                path=path.as_posix(),
                scope=".".join(scope),
                within=within,
                first=first,
                last=last,
                before=before,
                after=after,
                source=changed,
            )
    return list(found.values())


class _Module:
    """Source whose offsets count bytes, as those of `ast` do."""

    def __init__(self, source: str) -> None:
        self.tree = ast.parse(source)
        self.data = source.encode()
        self.starts = [0]
        for line in self.data.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))

    def span(self, node: ast.AST) -> tuple[int, int]:
        assert isinstance(node, ast.expr | ast.stmt)
        start = self.starts[node.lineno - 1] + node.col_offset
        return start, self.starts[(node.end_lineno or 1) - 1] + (node.end_col_offset or 0)

    def between(self, left: ast.AST, right: ast.AST, sign: str, text: str) -> Iterator[_Edit]:
        """Replace the operator that stands between two operands."""
        start, end = self.span(left)[1], self.span(right)[0]
        signs = list(re.finditer(sign, self.data[start:end].decode()))
        if len(signs) == 1:
            yield _Edit(start + signs[0].start(), start + signs[0].end(), text)

    def instead(self, node: ast.AST, text: str) -> _Edit:
        return _Edit(*self.span(node), text)

    def negated(self, test: ast.expr) -> Iterator[_Edit]:
        if not isinstance(test, ast.Compare | ast.Constant | ast.UnaryOp):  # those have mutants of their own
            start, end = self.span(test)
            yield self.instead(test, f"(not ({self.data[start:end].decode()}))")

    def with_edit(self, edit: _Edit) -> str:
        return (self.data[: edit.start] + edit.text.encode() + self.data[edit.end :]).decode()

    def shown(self, edit: _Edit) -> tuple[str, str]:
        start = self.data.rfind(b"\n", 0, edit.start) + 1
        end = (self.data + b"\n").find(b"\n", edit.end)
        head, tail = self.data[start : edit.start].decode(), self.data[edit.end : end].decode()
        middle = self.data[edit.start : edit.end].decode()
        return " ".join(f"{head}{middle}{tail}".split()), " ".join(f"{head}{edit.text}{tail}".split())


def _compiles(source: str) -> bool:
    try:
        compile(source, "mutant", "exec")
    except (SyntaxError, ValueError):
        return False
    return True


def _statements(
    node: ast.AST, scope: tuple[str, ...], *, within: bool
) -> Iterator[tuple[ast.stmt | ast.excepthandler, tuple[str, ...], bool]]:
    """Every statement once, with the names of what it stands in, and whether that is a function."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
        inner = scope
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inner = (*scope, child.name)
        if isinstance(child, ast.stmt | ast.excepthandler):
            yield child, inner, within
        if isinstance(child, ast.stmt | ast.excepthandler | ast.match_case):
            yield from _statements(child, inner, within=within or is_function)


def _lines(statement: ast.stmt | ast.excepthandler) -> tuple[int, int]:
    body = getattr(statement, "body", None) or getattr(statement, "cases", None)
    last = statement.end_lineno or statement.lineno
    if body:
        start = body[0].pattern.lineno if isinstance(body[0], ast.match_case) else body[0].lineno
        last = max(statement.lineno, start - 1)
    return statement.lineno, last


def _edits(statement: ast.stmt | ast.excepthandler, module: _Module) -> Iterator[_Edit]:
    if isinstance(statement, ast.Expr) and _is_log_call(statement.value):
        return
    if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "__all__":
        return
    yield from _of_statement(statement, module)
    for expression in _expressions(statement):
        yield from _of_expression(expression, module)


def _is_log_call(value: ast.expr) -> bool:
    return isinstance(value, ast.Call) and re.match(r"_?(logger|log)\.", ast.unparse(value.func)) is not None


def _expressions(node: ast.AST) -> Iterator[ast.expr | ast.comprehension]:
    """What the statement itself evaluates, less what tells nothing."""
    for name, value in ast.iter_fields(node):
        if name in ELSEWHERE and not isinstance(node, ast.expr):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.JoinedStr) or (isinstance(child, ast.keyword) and child.arg in GUARDS):
                continue
            if isinstance(child, ast.expr | ast.comprehension):
                yield child
            if isinstance(child, ast.AST) and not isinstance(child, ast.stmt):
                yield from _expressions(child)


def _of_statement(node: ast.stmt | ast.excepthandler, module: _Module) -> Iterator[_Edit]:
    match node:
        case ast.If() | ast.While():
            yield from module.negated(node.test)
        case ast.For():
            yield module.instead(node.iter, "()")
        case ast.Break():
            yield module.instead(node, "continue")
        case ast.Continue():
            yield module.instead(node, "break")
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            yield module.instead(value, "None")
        case ast.AugAssign():
            yield module.instead(node, "pass")
            if type(node.op) in ARITHMETIC:
                yield from module.between(node.target, node.value, *ARITHMETIC[type(node.op)])
    if _is_effect(node):
        yield module.instead(node, "pass")


def _is_effect(node: ast.stmt | ast.excepthandler) -> bool:
    """Whether the code goes on without the statement, just differently."""
    match node:
        case ast.Expr(value=ast.Call() | ast.Await()) | ast.Delete():
            return True
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            return True
        case ast.Raise():
            return "NotImplementedError" not in ast.unparse(node)
    return False


def _of_expression(node: ast.expr | ast.comprehension, module: _Module) -> Iterator[_Edit]:
    match node:
        case ast.Compare() | ast.BoolOp() | ast.UnaryOp():
            yield from _of_logic(node, module)
        case ast.BinOp() if type(node.op) in ARITHMETIC and not _is_text(node.left):
            yield from module.between(node.left, node.right, *ARITHMETIC[type(node.op)])
        case ast.IfExp():
            yield from module.negated(node.test)
        case ast.comprehension():
            for condition in node.ifs:
                yield from module.negated(condition)
        case ast.Constant(value=bool() | int() | float() as value):
            yield module.instead(node, repr(not value if isinstance(value, bool) else value + 1))
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name) as function) if name in OPPOSITES:
            end = module.span(function)[1]
            yield _Edit(end - len(name), end, OPPOSITES[name])


def _of_logic(node: ast.Compare | ast.BoolOp | ast.UnaryOp, module: _Module) -> Iterator[_Edit]:
    match node:
        case ast.Compare():
            operands = [node.left, *node.comparators]
            for operation, left, right in zip(node.ops, operands, operands[1:], strict=False):
                sign, others = COMPARISONS[type(operation)]
                for other in others:
                    yield from module.between(left, right, sign, other)
        case ast.BoolOp():
            sign, other = (r"\band\b", "or") if isinstance(node.op, ast.And) else (r"\bor\b", "and")
            for left, right in pairwise(node.values):
                yield from module.between(left, right, sign, other)
        case ast.UnaryOp(op=ast.Not() | ast.USub()):
            start, length = module.span(node)[0], 3 if isinstance(node.op, ast.Not) else 1
            yield _Edit(start, start + length, "")


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))
