"""The part of JSON Schema that `results/schema.json` is written in, checked without a package for it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "null": (type(None),),
}
KEYWORDS = frozenset(
    {"type", "properties", "required", "additionalProperties", "items", "enum", "const", "minimum", "exclusiveMinimum"}
    | {"title", "description", "$schema"}
)


def problems(value: Any, schema: Mapping[str, Any], where: str = "record") -> Iterator[str]:
    """What is wrong with `value`, a line each. Raises ValueError for a keyword not known here."""
    unknown = schema.keys() - KEYWORDS
    if unknown:
        raise ValueError(f"{where}: this reads no {', '.join(sorted(unknown))}")
    if "const" in schema and value != schema["const"]:
        yield f"{where}: {schema['const']!r} expected, got {value!r}"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{where}: one of {schema['enum']} expected, got {value!r}"
    if "type" in schema and not _is(value, schema["type"]):
        yield f"{where}: {schema['type']} expected, got {value!r}"
    elif isinstance(value, dict):
        yield from _of_object(value, schema, where)
    elif isinstance(value, list) and "items" in schema:
        for i, item in enumerate(value):
            yield from problems(item, schema["items"], f"{where}[{i}]")
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _of_number(value, schema, where)


def _is(value: Any, expected: str | list[str]) -> bool:
    names = [expected] if isinstance(expected, str) else expected
    if isinstance(value, bool):
        return "boolean" in names
    return any(isinstance(value, _TYPES[name]) for name in names)


def _of_object(value: Mapping[str, Any], schema: Mapping[str, Any], where: str) -> Iterator[str]:
    known, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{where}: {name} is missing"
    for name, item in value.items():
        if name in known:
            yield from problems(item, known[name], f"{where}.{name}")
        elif others is False:
            yield f"{where}: {name} is not known"
        elif isinstance(others, dict):
            yield from problems(item, others, f"{where}.{name}")


def _of_number(value: float, schema: Mapping[str, Any], where: str) -> Iterator[str]:
    if not math.isfinite(value):
        yield f"{where}: a finite number expected, got {value}"
    if "minimum" in schema and value < schema["minimum"]:
        yield f"{where}: at least {schema['minimum']} expected, got {value}"
    if "exclusiveMinimum" in schema and value <= schema["exclusiveMinimum"]:
        yield f"{where}: more than {schema['exclusiveMinimum']} expected, got {value}"
