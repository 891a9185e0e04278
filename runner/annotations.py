"""The types a parameter may have, read from its annotation as text, and the strict check of a value against one.

Known are float, int, bool, str, list, list[T], dict, dict[K, V], Literal[...], Optional[T], Union[...], T | U, None
and Any. A whole number is accepted where a float is wanted; True is no number.
"""

import ast
import math
from typing import Any

_PLAIN: dict[str, type] = {"float": float, "int": int, "bool": bool, "str": str, "list": list, "dict": dict}
_DEPTH = 50  # how deep lists and mappings may stand in each other
_KNOWN = "float, int, bool, str, list[T], dict[K, V], Literal[...], Optional[T], T | None"


class Mismatch(ValueError):
    """A value is not of the type that was declared."""


def check_known(annotation: str) -> None:
    """Refuse an annotation whose meaning is not known here.

    Raises:
        ValueError: It has a part that is none of the known types.
    """
    _check(_parsed(annotation))


def coerce(annotation: str, value: Any) -> Any:
    """Give the value as the annotation wants it; only whole numbers become floats, nothing else is converted.

    Raises:
        Mismatch: The value is of another type; the message says what arrived and what was allowed.
    """
    check_plain(value)
    try:
        return _coerce(_parsed(annotation), value)
    except Mismatch as error:
        raise Mismatch(f"{str(error) or describe(value)}; allowed is {annotation}") from None


def check_plain(value: Any, depth: int = _DEPTH) -> None:
    """Refuse what a record cannot hold: only JSON's own values can be written and compared.

    Raises:
        Mismatch: The value is or contains something else, such as a set, a tuple, NaN, half a character or itself.
    """
    if depth == 0:
        raise Mismatch(f"something nested more than {_DEPTH} deep, or in itself")
    match value:
        case None | bool():
            return
        case int() | str():
            _check_writable(value)
        case float():
            if not math.isfinite(value):
                raise Mismatch(f"{value}, which is no finite number")
        case list():
            for item in value:
                check_plain(item, depth - 1)
        case dict():
            for key, item in value.items():
                if not isinstance(key, str):
                    raise Mismatch(f"the key {describe(key)} must be a string")
                check_plain([key, item], depth)
        case _:
            raise Mismatch(f"{describe(value)} is neither number, bool, str, list, dict nor None")


def inferred(default: Any) -> str:
    """Give the annotation that a default without one stands for."""
    if default is None:
        return "Any"
    return type(default).__name__


def describe(value: Any) -> str:
    """Say a value and its type, shortly: 'ten' (str)."""
    text = repr(value)
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({type(value).__name__})"  # noqa: PLR2004


def wants_text(annotation: str) -> bool:
    """Tell whether a str is among the allowed types."""
    return any(isinstance(node, ast.Name) and node.id == "str" for node in ast.walk(_parsed(annotation)))


def wants_number(annotation: str) -> bool:
    """Tell whether an int or a float is among the allowed types, or inside of them."""
    return any(isinstance(node, ast.Name) and node.id in {"int", "float"} for node in ast.walk(_parsed(annotation)))


def _parsed(annotation: str) -> ast.expr:
    try:
        node = ast.parse(annotation, mode="eval").body
    except SyntaxError:
        raise ValueError(f"the type `{annotation}` is not known; known are {_KNOWN}") from None
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return _parsed(node.value)
    return node


def _name(node: ast.expr) -> str:
    """Give `Literal` for both `Literal` and `typing.Literal`."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(attr=name, value=ast.Name(id="typing" | "t")):
            return name
    return ""


def _items(node: ast.expr) -> list[ast.expr]:
    return list(node.elts) if isinstance(node, ast.Tuple) else [node]


def _check(node: ast.expr) -> None:
    match node:
        case ast.Constant(value=None):
            return
        case ast.Constant(value=str() as text):
            return _check(_parsed(text))
        case ast.Name() | ast.Attribute() if _name(node) in {*_PLAIN, "Any"}:
            return
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            parts = [left, right]
        case ast.Subscript(value=generic, slice=inside):
            parts = _items(inside)
            kind = _name(generic)
            if kind == "Literal":
                for part in parts:
                    _literal(part)
                return
            counts = {"list": 1, "List": 1, "Optional": 1, "dict": 2, "Dict": 2, "Union": len(parts)}
            if counts.get(kind) != len(parts):
                raise ValueError(f"the type `{ast.unparse(node)}` is not known; known are {_KNOWN}")
        case _:
            raise ValueError(f"the type `{ast.unparse(node)}` is not known; known are {_KNOWN}")
    for part in parts:
        _check(part)


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError):
        raise ValueError(f"`{ast.unparse(node)}` inside Literal is no literal") from None


def _coerce(node: ast.expr, value: Any) -> Any:
    match node:
        case ast.Constant(value=str() as text):
            return _coerce(_parsed(text), value)
        case ast.Constant(value=None):
            return _exactly(value, type(None))
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _any_of([left, right], value)
        case ast.Subscript(value=generic, slice=inside):
            return _generic(_name(generic), _items(inside), value)
        case _:
            return _plain(_name(node), value)


def _plain(name: str, value: Any) -> Any:
    if name == "Any":
        return value
    return _float(value) if name == "float" else _exactly(value, _PLAIN[name])


def _generic(kind: str, parts: list[ast.expr], value: Any) -> Any:
    match kind:
        case "Literal":
            for part in parts:
                allowed = _literal(part)
                if type(allowed) is type(value) and allowed == value:
                    return value
            raise Mismatch
        case "Optional":
            return value if value is None else _coerce(parts[0], value)
        case "Union":
            return _any_of(parts, value)
        case "list" | "List":
            items = enumerate(_exactly(value, list))
            return [_inner(parts[0], item, f"a list whose item {index}") for index, item in items]
        case _:
            pairs = _exactly(value, dict).items()
            return {
                _inner(parts[0], key, "a mapping whose key"): _inner(parts[1], item, f"a mapping whose {key}")
                for key, item in pairs
            }


def _inner(node: ast.expr, value: Any, where: str) -> Any:
    try:
        return _coerce(node, value)
    except Mismatch as error:
        raise Mismatch(f"{where} is {str(error) or describe(value)}") from None


def _any_of(nodes: list[ast.expr], value: Any) -> Any:
    """Take the first type that fits; one that fits without a conversion goes before."""
    fits = []
    for node in nodes:
        try:
            fits.append(_coerce(node, value))
        except Mismatch:
            continue
    if not fits:
        raise Mismatch
    return next((fit for fit in fits if type(fit) is type(value)), fits[0])


def _float(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Mismatch
    try:
        return float(value)
    except OverflowError:
        raise Mismatch(f"{describe(value)}, too large for a float") from None


def _exactly(value: Any, wanted: type) -> Any:
    if type(value) is not wanted:
        raise Mismatch
    return value


def _check_writable(value: int | str) -> None:
    try:
        str(value).encode()
    except UnicodeEncodeError:
        raise Mismatch(f"{describe(value)} holds half a character, which no file can hold") from None
    except ValueError:
        raise Mismatch("a whole number of more digits than Python writes") from None
