"""The published JSON Schemas, as far as they go: docs/schemas. A keyword that is not understood here refuses the start, not the message."""
from __future__ import annotations

import json
import re
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[3] / "docs" / "schemas"
_KNOWN = {
    "$schema", "$ref", "$defs", "title", "description", "examples", "default", "type", "const", "enum", "anyOf", "oneOf", "properties", "required", "additionalProperties", "propertyNames",
    "items", "minItems", "maxItems", "minLength", "maxLength", "pattern", "minimum", "maximum", "format", "contentEncoding",
}
_TYPES: dict[str, Any] = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}
_TIME = "^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z$"


@lru_cache(maxsize=None)
def load(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    _check_keywords(document)
    return document


def _check_keywords(schema: Any) -> None:
    if not isinstance(schema, dict):
        return
    unknown = set(schema) - _KNOWN
    if unknown:
        raise RuntimeError(f"keywords that are not understood: {sorted(unknown)}")
    for member in ("properties", "$defs"):
        for one in schema.get(member, {}).values():
            _check_keywords(one)
    for member in ("items", "additionalProperties", "propertyNames"):
        _check_keywords(schema.get(member))
    for member in ("anyOf", "oneOf"):
        for one in schema.get(member, []):
            _check_keywords(one)


def fault(name: str, value: Any) -> str | None:
    """Where the value is not as the schema of that name says; None where it is."""
    document = load(name)
    return _fault(document, document, value, "")


def fault_in(name: str, field: str, value: Any) -> str | None:
    """The same for one property of a schema."""
    document = load(name)
    return _fault(document, document["properties"][field], value, f"/{field}")


def _fault(document: dict[str, Any], schema: Any, value: Any, at: str) -> str | None:
    if schema is True:
        return None
    if "$ref" in schema:
        return _fault(document, _resolve(document, schema["$ref"]), value, at)
    if "const" in schema and not _same(schema["const"], value):
        return f"{at}: not what it must be"
    if "enum" in schema and not any(_same(one, value) for one in schema["enum"]):
        return f"{at}: none of what it may be"
    for group in ("anyOf", "oneOf"):
        if group in schema and all(_fault(document, one, value, at) is not None for one in schema[group]):
            return f"{at}: none of {group}"
    if "type" in schema and not _is(schema["type"], value):
        return f"{at}: not a {schema['type']}"
    if isinstance(value, str):
        return _text_fault(schema, value, at)
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{at}: out of bounds" if value < schema.get("minimum", value) or value > schema.get("maximum", value) else None
    if isinstance(value, list):
        if len(value) < schema.get("minItems", 0) or len(value) > schema.get("maxItems", len(value)):
            return f"{at}: too few or too many"
        return next((found for n, item in enumerate(value) if (found := _fault(document, schema.get("items", True), item, f"{at}/{n}")) is not None), None)
    return _members_fault(document, schema, value, at) if isinstance(value, dict) else None


def _resolve(document: dict[str, Any], ref: str) -> Any:
    if ref == "#":
        return document
    found: Any = document
    for name in ref.removeprefix("#/").split("/"):
        found = found[name]
    return found


def _same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and a == b


def _is(kind: str, value: Any) -> bool:
    if kind in ("integer", "number"):
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, _TYPES[kind])


@lru_cache(maxsize=None)
def _pattern(pattern: str) -> re.Pattern[str]:
    # ECMA-262: `$` is the end, and digits are ASCII.
    return re.compile((pattern[:-1] + r"\Z" if pattern.endswith("$") else pattern).replace("^$|", r"^\Z|").replace("\\d", "[0-9]"))


def _text_fault(schema: dict[str, Any], value: str, at: str) -> str | None:
    if len(value) < schema.get("minLength", 0) or len(value) > schema.get("maxLength", len(value)):
        return f"{at}: too short or too long"
    pattern = schema.get("pattern")
    if pattern is not None and _pattern(pattern).search(value) is None:
        return f"{at}: not in its form"
    return f"{at}: not a real time" if pattern == _TIME and not is_time(value) else None


def is_time(text: str) -> bool:
    """Whether a text in the form of a time is a real one (1.5)."""
    try:
        datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ")
    except ValueError:
        return False
    return text[17:19] < "60"


def _members_fault(document: dict[str, Any], schema: dict[str, Any], value: dict[str, Any], at: str) -> str | None:
    properties = schema.get("properties", {})
    missing = [name for name in schema.get("required", []) if name not in value]
    if missing:
        return f"{at}/{missing[0]}: missing"
    for name, member in value.items():
        inside = properties.get(name, schema.get("additionalProperties", True))
        if inside is False:
            return f"{at}/{name}: not a field of this"
        found = _fault(document, inside, member, f"{at}/{name}")
        if found is not None:
            return found
    return None
