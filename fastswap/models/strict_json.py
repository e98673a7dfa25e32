"""A dataclass from JSON that a stranger may have written: every field there, none besides, each of its type. Nothing is
converted but a list to a tuple and a whole number to a float."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from typing import Any, TypeVar

T = TypeVar("T")


def parse(kind: type[T], content: object, where: str = "") -> T:
    """Builds the dataclass `kind` from `content`. Raises ValueError naming the field (`where`) that is wrong."""
    name = where or kind.__name__
    if not isinstance(content, dict):
        raise ValueError(f"{name} is not an object")
    hints = typing.get_type_hints(kind)
    fields = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    if fields != set(content):
        odd = ", ".join(sorted(fields ^ {str(key) for key in content}))
        raise ValueError(f"{name} has missing or unknown fields: {odd}")
    return kind(**{field: _value(hints[field], content[field], f"{name}.{field}") for field in sorted(fields)})


def _value(kind: Any, value: object, where: str) -> Any:
    if dataclasses.is_dataclass(kind):
        return parse(typing.cast(type, kind), value, where)
    if typing.get_origin(kind) is tuple:
        return _tuple(typing.get_args(kind), value, where)
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        (inner,) = (arm for arm in typing.get_args(kind) if arm is not type(None))
        return None if value is None else _value(inner, value, where)
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError(f"{where} is {value!r}, not a {kind.__name__}")
    return value


def _tuple(kinds: tuple[Any, ...], value: object, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise ValueError(f"{where} is {value!r}, not a list")
    if kinds[-1] is Ellipsis:
        kinds = (kinds[0],) * len(value)
    if len(kinds) != len(value):
        raise ValueError(f"{where} has {len(value)} values, not {len(kinds)}")
    return tuple(_value(kind, item, f"{where}[{i}]") for i, (kind, item) in enumerate(zip(kinds, value, strict=True)))
