"""Describes public names by what stands in the source: signatures, fields and the texts under them."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LONGEST_LINE = 100
FACTORIES = {"`field(default_factory=dict)`": "`{}`", "`_same`": "the same"}


def opening(module: str) -> str:
    """Return the docstring of a module."""
    return ast.get_docstring(_tree(module)) or ""


def described(module: str, name: str, *, level: int, methods: tuple[str, ...] | None = None) -> str:
    """Return the heading, signature and texts of a name; of a class also its fields and `methods`.

    `methods`: None: all that are public and have a text.
    """
    node, text = _definition(module, name)
    head = f"{'#' * level} `{name}`\n\n"
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return head + _function(node)
    if not isinstance(node, ast.ClassDef):
        return head + f"```python\n{_assignment(node)}\n```\n\n{text}".rstrip() + "\n"
    parts = [f"{head}{ast.get_docstring(node) or ''}".rstrip() + "\n", fields_table(node)]
    parts += [
        f"{'#' * (level + 1)} `{name}.{method.name}`\n\n{_function(method)}"
        for method in _methods(node, methods)
    ]
    return "\n".join(part for part in parts if part)


def class_of(module: str, name: str) -> ast.ClassDef:
    """Return the definition of a class, wherever the module has it from."""
    node, _text = _definition(module, name)
    assert isinstance(node, ast.ClassDef), name
    return node


def text_of(module: str, name: str) -> str:
    """Return the docstring of a class or function."""
    node, text = _definition(module, name)
    return (ast.get_docstring(node) or "") if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) else text


def fields_table(node: ast.ClassDef) -> str:
    """Return a table of the documented attributes, with what they are where nothing is given."""
    texts = attribute_texts(node)
    whole = _is_record(node)
    rows = []
    for entry in node.body:
        if isinstance(entry, ast.AnnAssign) and isinstance(entry.target, ast.Name):
            name, default = entry.target.id, "" if entry.value is None else f"`{ast.unparse(entry.value)}`"
            if not name.startswith("_") and (whole or name in texts):
                rows.append(
                    _row(name, entry.annotation, FACTORIES.get(default, default), texts.get(name, ""))
                )
        elif (
            isinstance(entry, ast.FunctionDef)
            and not entry.name.startswith("_")
            and _is_property(entry)
            and (text := ast.get_docstring(entry))
        ):
            rows.append(_row(entry.name, entry.returns, "", text))
    return "| attribute | type | default | |\n|---|---|---|---|\n" + "\n".join(rows) + "\n" if rows else ""


def attribute_texts(node: ast.ClassDef) -> dict[str, str]:
    """Return the string under each field of a class."""
    return {
        entry.target.id: inspect.cleandoc(str(following.value.value))
        for entry, following in zip(node.body, node.body[1:], strict=False)
        if isinstance(entry, ast.AnnAssign)
        and isinstance(entry.target, ast.Name)
        and isinstance(following, ast.Expr)
        and isinstance(following.value, ast.Constant)
    }


def _row(name: str, kind: ast.expr | None, default: str, text: str) -> str:
    shown = f"`{ast.unparse(kind)}`".replace("|", "\\|") if kind is not None else ""
    return f"| `{name}` | {shown} | {default} | {' '.join(text.split())} |"


def _is_record(node: ast.ClassDef) -> bool:
    """All fields of a dataclass or named tuple are shown, also those whose name says enough."""
    marks = [ast.unparse(mark) for mark in (*node.decorator_list, *node.bases)]
    return any(mark.startswith(("dataclass", "NamedTuple")) for mark in marks)


def _is_property(node: ast.FunctionDef) -> bool:
    return any(ast.unparse(mark) in ("property", "cached_property") for mark in node.decorator_list)


def _methods(node: ast.ClassDef, wanted: tuple[str, ...] | None) -> Iterator[ast.FunctionDef]:
    for entry in node.body:
        if not isinstance(entry, ast.FunctionDef) or _is_property(entry):
            continue
        public = not entry.name.startswith("_") and ast.get_docstring(entry)
        if entry.name in wanted if wanted is not None else public:
            yield entry


def _assignment(node: ast.stmt) -> str:
    """As it is written, unless that is more than a line."""
    written = ast.unparse(node)
    return written if len(written) <= LONGEST_LINE else f"{written.partition(' = ')[0]} = ..."


@lru_cache
def _tree(module: str) -> ast.Module:
    path = ROOT.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(file.read_text(encoding="utf-8"))


def _definition(module: str, name: str) -> tuple[ast.stmt, str]:
    """The statement that defines the name, and the string under it."""
    body = _tree(module).body
    for entry, following in zip(body, [*body[1:], ast.Pass()], strict=True):
        if isinstance(entry, ast.ImportFrom) and any((one.asname or one.name) == name for one in entry.names):
            return _definition(str(entry.module), name)
        if name in _names(entry):
            is_text = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
            text = inspect.cleandoc(str(following.value.value)) if is_text else ""  # type: ignore[attr-defined]
            return entry, text
    raise LookupError(f"{module} has no {name}")


def _names(entry: ast.stmt) -> set[str]:
    if isinstance(entry, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {entry.name}
    targets = entry.targets if isinstance(entry, ast.Assign) else [getattr(entry, "target", None)]
    return {target.id for target in targets if isinstance(target, ast.Name)}


def _function(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """As it is written, without its body."""
    kind = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    (shown,) = ast.parse(f"{kind} _(): ...").body
    assert isinstance(shown, ast.FunctionDef | ast.AsyncFunctionDef)
    shown.name, shown.returns = node.name, node.returns
    arguments = list(_arguments(node.args))
    head, tail = ast.unparse(shown).replace(":\n    ...", ": ...").split("()", 1)
    line = f"{head}({', '.join(arguments)}){tail}"
    if len(line) > LONGEST_LINE:
        line = f"{head}(\n" + "".join(f"    {one},\n" for one in arguments) + f"){tail}"
    return f"```python\n{line}\n```\n\n{ast.get_docstring(node) or ''}".rstrip() + "\n"


def _arguments(given: ast.arguments) -> Iterator[str]:
    """Without the context that a template gives its tags."""
    missing: list[ast.expr | None] = [None] * (len(given.args) - len(given.defaults))
    for one, default in zip(given.args, [*missing, *given.defaults], strict=True):
        if ast.unparse(one) != "context: Context":
            yield _argument(one, default)
    if given.vararg is not None:
        yield f"*{ast.unparse(given.vararg)}"
    elif given.kwonlyargs:
        yield "*"
    for one, default in zip(given.kwonlyargs, given.kw_defaults, strict=True):
        yield _argument(one, default)
    if given.kwarg is not None:
        yield f"**{ast.unparse(given.kwarg)}"


def _argument(given: ast.arg, default: ast.expr | None) -> str:
    return ast.unparse(given) + (f" = {ast.unparse(default)}" if default is not None else "")
