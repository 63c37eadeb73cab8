"""Every code of an error or a warning that the sources can make, found by reading them.

A code is the first argument where a BuildgraphError or a Warned is made: a text, a choice of texts, or a local name
for one; or a parameter named ``code``: then it stands where that function is called. Anything else is unclear.
"""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path


def parse_sources(folder: Path) -> dict[str, ast.Module]:
    """Module path → syntax tree, for every module below ``folder``."""
    return {
        str(path.relative_to(folder.parent)): ast.parse(path.read_text())
        for path in sorted(folder.rglob("*.py"))
    }


@dataclass(frozen=True)
class Found:
    """One place that makes an error: ``message`` and ``hint`` as templates, ``…`` where a value goes."""

    code: str
    kind: str
    message: str
    hint: str


_GROUPS = ("ErrorGroup", "MistakesError")
"""Made of errors, without a code of their own."""


def error_kinds(trees: Mapping[str, ast.Module]) -> dict[str, int]:
    """Every subclass of BuildgraphError with its exit code."""
    known = {"BuildgraphError": 1}
    grown = True
    while grown:
        grown = False
        for tree in trees.values():
            for node in ast.walk(tree):
                if not isinstance(node, ast.ClassDef) or node.name in known:
                    continue
                base = next(
                    (b.id for b in node.bases if isinstance(b, ast.Name) and b.id in known), None
                )
                if base is None:
                    continue
                known[node.name] = exit_code(node, known[base])
                grown = True
    return {name: code for name, code in known.items() if name not in _GROUPS}


def exit_code(node: ast.ClassDef, default: int) -> int:
    for line in node.body:
        if isinstance(line, ast.Assign) and getattr(line.targets[0], "id", "") == "exit_code":
            return int(ast.literal_eval(line.value))
    return default


def scan(trees: Mapping[str, ast.Module]) -> tuple[list[Found], list[str]]:
    """What was found, and the places whose code cannot be told from the source."""
    makers = {*error_kinds(trees), "Warned"}
    forwarders = {name: (0, name) for name in makers} | find_forwarders(trees, makers)
    found: list[Found] = []
    unclear: list[str] = []
    for file, tree in trees.items():
        for function, call in calls(tree):
            if called(call) not in forwarders:
                continue
            at, kind = forwarders[called(call)]
            value = argument(call, at, "code")
            if value is None or is_parameter(function, value):
                continue
            direct = called(call) in makers
            if not direct and not argument(call, at + 1, "message"):
                continue  # something else of that name, such as a set's add
            codes = texts_of(value, function)
            if direct and not codes:
                unclear.append(f"{file}:{call.lineno}")
            message = template(argument(call, at + 1, "message"), function)
            hint = template(argument(call, -1, "hint"), function)
            found += [Found(code, kind, message, hint) for code in codes]
    return found, unclear


def find_forwarders(
    trees: Mapping[str, ast.Module], makers: set[str]
) -> dict[str, tuple[int, str]]:
    """Functions that hand a parameter on as the code: name → (its position in a call, the error made)."""
    known: dict[str, tuple[int, str]] = {}
    grown = True
    while grown:
        grown = False
        for tree in trees.values():
            for function, call in calls(tree):
                name = called(call)
                if function is None or function.name in known:
                    continue
                if name in makers:
                    at, kind = 0, name
                elif name in known:
                    at, kind = known[name]
                else:
                    continue
                value = argument(call, at, "code")
                if not isinstance(value, ast.Name) or value.id != "code":
                    continue
                names = [arg.arg for arg in (*function.args.posonlyargs, *function.args.args)]
                names = names[1:] if names[:1] in (["self"], ["cls"]) else names
                if value.id not in names:
                    continue
                known[function.name] = (names.index(value.id), kind)
                grown = True
    return known


def calls(
    tree: ast.AST, function: ast.FunctionDef | None = None
) -> Iterator[tuple[ast.FunctionDef | None, ast.Call]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Call):
            yield function, node
        inner = node if isinstance(node, ast.FunctionDef) else function
        yield from calls(node, inner)


def called(call: ast.Call) -> str:
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def argument(call: ast.Call, at: int, name: str) -> ast.expr | None:
    if 0 <= at < len(call.args):
        return call.args[at]
    return next((keyword.value for keyword in call.keywords if keyword.arg == name), None)


def is_parameter(function: ast.FunctionDef | None, value: ast.expr) -> bool:
    if function is None or not isinstance(value, ast.Name | ast.Attribute):
        return False
    if isinstance(value, ast.Attribute):  # self.code and the like: the error repeats itself
        return value.attr == "code"
    return value.id in {
        arg.arg
        for arg in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)
    }


def texts_of(value: ast.expr, function: ast.FunctionDef | None) -> list[str]:
    match value:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.IfExp(body=one, orelse=two):
            return texts_of(one, function) + texts_of(two, function)
        case ast.Name(id=name) if function is not None:
            return [text for given in assigned(function, name) for text in texts_of(given, None)]
    return []


def assigned(function: ast.FunctionDef, name: str) -> Iterator[ast.expr]:
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and any(getattr(t, "id", "") == name for t in node.targets):
            yield node.value


def template(value: ast.expr | None, function: ast.FunctionDef | None) -> str:
    """The text with ``…`` for what is filled in; empty when nothing can be said."""
    match value:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(part.value if isinstance(part, ast.Constant) else "…" for part in parts)
        case ast.IfExp(body=one):
            return template(one, function)
        case ast.BinOp(left=left, right=right):
            return template(left, function) + (template(right, function) or "…")
        case ast.Name(id=name) if function is not None:
            given = [template(each, None) for each in assigned(function, name)]
            return next((text for text in given if text), "…")
        case None:
            return ""
    return "…"
