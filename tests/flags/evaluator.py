"""Evaluates the part of Python that declares arguments, from syntax trees.

Values are ordinary Python objects; what comes from outside of the package and of `SAFE` is `Unknown`. Nothing
that is evaluated can reach a file, a process or the network.
"""

from __future__ import annotations

import ast
import builtins
import dataclasses
import enum
import operator
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tests.flags.values import MISSING, Declared, Member, Undecided, Unknown, declared

NAMES = """
all any bool classmethod dict enumerate filter float frozenset getattr hasattr int isinstance issubclass len
list map max min next object property range repr reversed set setattr sorted staticmethod str sum tuple type
zip Ellipsis Exception KeyError TypeError ValueError
"""
BUILTINS = {name: getattr(builtins, name) for name in NAMES.split()}
OPERATORS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.LShift: operator.lshift,
    ast.BitAnd: operator.and_,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda item, container: item in container,
    ast.NotIn: lambda item, container: item not in container,
}


class Raised(Exception):
    """The evaluated code raises an exception."""


class _Return(Exception):
    def __init__(self, value: Any) -> None:
        self.value = value


class Scope:
    """The names that code can see: its own, then those of the code around it."""

    def __init__(self, around: Scope | None, names: Mapping[str, Any] | None = None) -> None:
        self.around = around
        self.names: dict[str, Any] = dict(names or {})

    def get(self, name: str) -> Any:
        """Return the value of a name."""
        if name in self.names:
            return self.names[name]
        if self.around is not None:
            return self.around.get(name)
        if name in BUILTINS:
            return BUILTINS[name]
        return Unknown(name)

    def load(self, module: str | None, level: int = 0) -> Any:
        """Return a module, as code in this scope imports it."""
        if self.around is None:
            return Unknown(module or "")
        return self.around.load(module, level)


def run(body: list[ast.stmt], scope: Scope) -> None:
    """Carry out statements."""
    for statement in body:
        _statement(statement, scope)


def _statement(node: ast.stmt, scope: Scope) -> None:
    match node:
        case ast.Expr(value):
            if not isinstance(value, ast.Constant):
                evaluate(value, scope)
        case ast.Return(value):
            raise _Return(evaluate(value, scope) if value else None)
        case ast.Assign(targets, value):
            found = evaluate(value, scope)
            for target in targets:
                assign(target, found, scope)
        case ast.AnnAssign(target, _, value):
            if value is not None:
                assign(target, evaluate(value, scope), scope)
        case ast.AugAssign(target, operation, value):
            before = evaluate(_reading(target), scope)
            added = evaluate(value, scope)
            if isinstance(before, list) and isinstance(operation, ast.Add):
                before += added
            else:
                assign(target, OPERATORS[type(operation)](before, added), scope)
        case ast.If(test, body, orelse):
            run(body if evaluate(test, scope) else orelse, scope)
        case ast.For(target, iterable, body, _):
            for item in list(evaluate(iterable, scope)):
                assign(target, item, scope)
                run(body, scope)
        case ast.With(items, body):
            for item in items:
                if item.optional_vars is not None:
                    assign(item.optional_vars, evaluate(item.context_expr, scope), scope)
            run(body, scope)
        case ast.Try(body, handlers, _, _):
            try:
                run(body, scope)
            except (_Return, Undecided):
                raise
            except Exception:
                run(handlers[0].body, scope)
        case ast.FunctionDef():
            scope.names[node.name] = decorated(function(node, scope), node.decorator_list, scope)
        case ast.ClassDef():
            scope.names[node.name] = klass(node, scope)
        case ast.Import(names):
            for name in names:
                scope.names[name.asname or name.name.partition(".")[0]] = scope.load(
                    name.name if name.asname else name.name.partition(".")[0]
                )
        case ast.ImportFrom(module, names, level):
            source = scope.load(module, level)
            for name in names:
                scope.names[name.asname or name.name] = member(source, name.name)
        case ast.Delete(targets):
            for target in targets:
                if isinstance(target, ast.Subscript):
                    del evaluate(target.value, scope)[evaluate(target.slice, scope)]
        case ast.Raise():
            raise Raised(ast.unparse(node))
        case ast.Assert() | ast.Pass() | ast.Global() | ast.Nonlocal():
            pass
        case _:
            raise Undecided(ast.unparse(node))


def _reading(target: ast.expr) -> ast.expr:
    return ast.parse(ast.unparse(target), mode="eval").body


def assign(target: ast.expr, value: Any, scope: Scope) -> None:
    """Bind a target of an assignment."""
    match target:
        case ast.Name(name):
            scope.names[name] = value
        case ast.Tuple(targets) | ast.List(targets):
            values = list(value)
            for index, each in enumerate(targets):
                if isinstance(each, ast.Starred):
                    rest = len(values) - (len(targets) - index - 1)
                    assign(each.value, values[index:rest], scope)
                    values[index:rest] = [None]
                else:
                    assign(each, values[index], scope)
        case ast.Subscript(container, key):
            evaluate(container, scope)[evaluate(key, scope)] = value
        case ast.Attribute(owner, name):
            setattr(evaluate(owner, scope), name, value)
        case _:
            raise Undecided(ast.unparse(target))


def member(owner: Any, name: str) -> Any:
    """Return an attribute."""
    if name.startswith("__") and name not in ("__name__", "__doc__", "__module__", "__init__", "__members__"):
        raise Undecided(name)
    if isinstance(owner, Scope):
        return owner.get(name)
    return getattr(owner, name)


def evaluate(node: ast.expr, scope: Scope) -> Any:
    """Return the value of an expression."""
    match node:
        case ast.Constant(value):
            return value
        case ast.Name(name):
            return scope.get(name)
        case ast.Attribute(owner, name):
            return member(evaluate(owner, scope), name)
        case ast.Subscript(container, key):
            return _subscript(evaluate(container, scope), evaluate(key, scope))
        case ast.Slice(lower, upper, step):
            return slice(*(evaluate(part, scope) if part else None for part in (lower, upper, step)))
        case ast.Call():
            return _call(node, scope)
        case ast.Tuple(elements):
            return tuple(_elements(elements, scope))
        case ast.List(elements):
            return _elements(elements, scope)
        case ast.Set(elements):
            return set(_elements(elements, scope))
        case ast.Dict(keys, values):
            found: dict[Any, Any] = {}
            for entry, value in zip(keys, values, strict=True):
                if entry is None:
                    found.update(evaluate(value, scope))
                else:
                    found[evaluate(entry, scope)] = evaluate(value, scope)
            return found
        case ast.BinOp(left, operation, right):
            return _binary(operation, evaluate(left, scope), evaluate(right, scope))
        case ast.BoolOp(operation, values):
            result: Any = None
            for value in values:
                result = evaluate(value, scope)
                if bool(result) is isinstance(operation, ast.Or):
                    break
            return result
        case ast.UnaryOp(ast.Not(), operand):
            return not evaluate(operand, scope)
        case ast.UnaryOp(ast.USub(), operand):
            return -evaluate(operand, scope)
        case ast.Compare(left, operations, rights):
            before = evaluate(left, scope)
            for compare, right in zip(operations, rights, strict=True):
                after = evaluate(right, scope)
                if not OPERATORS[type(compare)](before, after):
                    return False
                before = after
            return True
        case ast.IfExp(test, body, orelse):
            return evaluate(body if evaluate(test, scope) else orelse, scope)
        case ast.JoinedStr(parts):
            return "".join(str(evaluate(part, scope)) for part in parts)
        case ast.FormattedValue(value):
            return evaluate(value, scope)
        case ast.NamedExpr(target, value):
            found = evaluate(value, scope)
            assign(target, found, scope)
            return found
        case ast.Lambda():
            return function(node, scope)
        case ast.ListComp(element, generators):
            return [evaluate(element, inner) for inner in _inside(generators, scope)]
        case ast.GeneratorExp(element, generators):
            return iter([evaluate(element, inner) for inner in _inside(generators, scope)])
        case ast.SetComp(element, generators):
            return {evaluate(element, inner) for inner in _inside(generators, scope)}
        case ast.DictComp(key, value, generators):
            return {evaluate(key, inner): evaluate(value, inner) for inner in _inside(generators, scope)}
        case _:
            raise Undecided(ast.unparse(node))


def _elements(nodes: list[ast.expr], scope: Scope) -> list[Any]:
    found: list[Any] = []
    for node in nodes:
        if isinstance(node, ast.Starred):
            found += evaluate(node.value, scope)
        else:
            found.append(evaluate(node, scope))
    return found


def _inside(generators: list[ast.comprehension], scope: Scope) -> Iterator[Scope]:
    first, *others = generators
    for item in list(evaluate(first.iter, scope)):
        inner = Scope(scope)
        assign(first.target, item, inner)
        if all(evaluate(test, inner) for test in first.ifs):
            if others:
                yield from _inside(others, inner)
            else:
                yield inner


def _binary(operation: ast.operator, left: Any, right: Any) -> Any:
    if not isinstance(operation, ast.BitOr):
        return OPERATORS[type(operation)](left, right)
    try:
        return left | right
    except TypeError:  # a hint in quotes
        return typing.Union[left, right]  # noqa: UP007


def _subscript(container: Any, key: Any) -> Any:
    if isinstance(container, type) and issubclass(container, Declared):
        return container  # a generic class
    return container[key]


def _call(node: ast.Call, scope: Scope) -> Any:
    if isinstance(node.func, ast.Name) and node.func.id == "super" and not node.args:
        return super(scope.get("__class__"), scope.get(scope.get("__first__")))
    called = evaluate(node.func, scope)
    args = _elements(node.args, scope)
    kwargs: dict[str, Any] = {}
    for keyword in node.keywords:
        if keyword.arg is None:
            kwargs.update(evaluate(keyword.value, scope))
        else:
            kwargs[keyword.arg] = evaluate(keyword.value, scope)
    if isinstance(called, type) and issubclass(called, Declared):
        return _instance(called, kwargs)
    try:
        return called(*args, **kwargs)
    except (TypeError, ValueError):
        if any(isinstance(value, Unknown) for value in (*args, *kwargs.values())):
            return Unknown(ast.unparse(node))
        raise


def _instance(cls: type[Declared], values: dict[str, Any]) -> Declared:
    made = cls.__new__(cls)
    for name, value in values.items():
        setattr(made, name, value)
    return made


# -- functions and classes --------------------------------------------------------------------------------


def function(node: ast.FunctionDef | ast.Lambda, scope: Scope, owner: type | None = None) -> Any:
    """Return a function that evaluates the body of a definition; `scope` is where it is defined."""
    positional = [*node.args.posonlyargs, *node.args.args]
    names = [argument.arg for argument in positional]
    given = dict(
        zip(reversed(names), [evaluate(each, scope) for each in reversed(node.args.defaults)], strict=False)
    )
    for argument, value in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True):
        if value is not None:
            given[argument.arg] = evaluate(value, scope)

    def call(*args: Any, **kwargs: Any) -> Any:
        values: dict[str, Any] = {**given, **dict(zip(names, args, strict=False))}
        if node.args.vararg:
            values[node.args.vararg.arg] = args[len(names) :]
        known = {*names, *(each.arg for each in node.args.kwonlyargs)}
        values.update({name: value for name, value in kwargs.items() if name in known})
        if node.args.kwarg:
            rest = {name: value for name, value in kwargs.items() if name not in known}
            values[node.args.kwarg.arg] = rest
        if call.owner is not None and names:  # type: ignore[attr-defined]
            values.update({"__class__": call.owner, "__first__": names[0]})  # type: ignore[attr-defined]
        inner = Scope(scope, values)
        if isinstance(node, ast.Lambda):
            return evaluate(node.body, inner)
        try:
            run(node.body, inner)
        except _Return as ended:
            return ended.value
        return None

    call.__name__ = getattr(node, "name", "<lambda>")
    call.owner = owner  # type: ignore[attr-defined]
    call.scope = Scope(scope, given)  # type: ignore[attr-defined]
    return call


def decorated(value: Any, decorators: list[ast.expr], scope: Scope) -> Any:
    """Return a function as a class has it. Other decorators, such as caches, change nothing."""
    for decorator in decorators:
        name = ast.unparse(decorator)
        if name in ("staticmethod", "classmethod", "property"):
            value = BUILTINS[name](value)
    return value


def klass(node: ast.ClassDef, scope: Scope) -> Any:
    """Return a class with its fields and methods; the defaults of the fields are its attributes."""
    bases = [base for base in (evaluate(each, scope) for each in node.bases) if isinstance(base, type)]
    if any(issubclass(base, enum.Enum) for base in bases):
        return _enum(node, scope, bases)
    known = [base for base in bases if issubclass(base, Declared) or base is dict]
    inner = Scope(scope)
    found: dict[str, Any] = {}
    made: Any = type(
        node.name, (*known, *([] if any(issubclass(b, Declared) for b in known) else [Declared])), {}
    )
    marks = [ast.unparse(decorator).partition("(")[0].rpartition(".")[2] for decorator in node.decorator_list]
    for statement in node.body:
        match statement:
            case ast.AnnAssign(ast.Name(name), hint, value):
                each = attempt(value, inner) if value is not None else declared()
                each = each if isinstance(each, Member) else declared(each)
                if each.default is not MISSING:
                    setattr(made, name, each.default)
                each.name, each.type = name, evaluate(hint, inner)
                if not _is_no_field(each.type):
                    found[name] = inner.names[name] = each
            case ast.Assign([ast.Name(name)], value):
                inner.names[name] = attempt(value, inner)
                setattr(made, name, inner.names[name])
            case ast.FunctionDef(name) if not name.startswith("__"):
                setattr(
                    made, name, decorated(function(statement, scope, made), statement.decorator_list, scope)
                )
            case ast.ClassDef(name):
                inner.names[name] = klass(statement, inner)
                setattr(made, name, inner.names[name])
            case _:
                pass
    made.members = found
    made.__module__ = getattr(scope, "name", "vllm")
    if {"dataclass", "config"} & set(marks):
        made.dataclass = True
    return made


def _is_no_field(hint: Any) -> bool:
    return isinstance(hint, dataclasses.InitVar) or typing.get_origin(hint) is typing.ClassVar


def attempt(node: ast.expr, scope: Scope) -> Any:
    """Return a value in the body of a class; unknown where it depends on the machine."""
    try:
        return evaluate(node, scope)
    except Exception:
        return Unknown(ast.unparse(node))


def _enum(node: ast.ClassDef, scope: Scope, bases: list[type]) -> Any:
    members: dict[str, Any] = {}
    inner = Scope(scope)
    for statement in node.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            value = attempt(statement.value, inner)
            inner.names[statement.targets[0].id] = value
            members[statement.targets[0].id] = value
    mixed = str if str in bases else int if int in bases or enum.IntEnum in bases else None
    make: Any = enum.Enum
    return make(node.name, members, type=mixed)
