"""Strict JSON and its one canonical form (1.1, 1.2): RFC 8785 within I-JSON, integers only."""
from __future__ import annotations

import hashlib
import json
import re
from typing import Any, NoReturn

SAFE_INTEGER_MAX = 2**53 - 1
DEPTH_MAX = 32
MESSAGE_BYTES_MAX = 2_097_152
_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")


class JsonFault(ValueError):
    """Bytes that are no JSON of ours."""


def parse(data: bytes, bytes_max: int = MESSAGE_BYTES_MAX) -> Any:
    """The value of a text in any spacing, key order and escaping."""
    if len(data) > bytes_max:
        raise JsonFault(f"more than {bytes_max} bytes")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as cause:
        raise JsonFault("not UTF-8") from cause
    # The parser of the standard library is told to refuse what it would let pass: it takes NaN, any number, any key twice.
    try:
        value = json.loads(text, object_pairs_hook=_members, parse_float=_no_number, parse_int=_integer, parse_constant=_no_number)
    except (json.JSONDecodeError, RecursionError) as cause:
        raise JsonFault(f"not JSON: {cause}") from cause
    _check(value, 0)
    return value


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs) or "__proto__" in members:
        raise JsonFault("a key twice, or __proto__")
    return members


def _no_number(spelled: str) -> NoReturn:
    raise JsonFault(f"not an integer: {spelled[:40]}")


def _integer(spelled: str) -> int:
    if _INTEGER.fullmatch(spelled) is None or spelled == "-0" or len(spelled) > 17:
        raise JsonFault("not an integer in its one spelling")
    value = int(spelled)
    if abs(value) > SAFE_INTEGER_MAX:
        raise JsonFault("not a safe integer")
    return value


def _check(value: Any, depth: int) -> None:
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, (list, dict)):
        if depth >= DEPTH_MAX:
            raise JsonFault(f"deeper than {DEPTH_MAX}")
        for item in value if isinstance(value, list) else (*value.keys(), *value.values()):
            _check(item, depth + 1)


def _check_text(text: str) -> None:
    if any(0xD800 <= ord(character) <= 0xDFFF for character in text):
        raise JsonFault("a lone surrogate")


def canonical_text(value: Any, depth: int = 0) -> str:
    """RFC 8785. Raises JsonFault for what has no canonical form here."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        _check_text(value)
        return _string(value)
    if isinstance(value, int):
        if abs(value) > SAFE_INTEGER_MAX:
            raise JsonFault("not a safe integer")
        return str(value)
    if isinstance(value, (list, dict)) and depth >= DEPTH_MAX:
        raise JsonFault(f"deeper than {DEPTH_MAX}")
    if isinstance(value, list):
        return "[" + ",".join(canonical_text(item, depth + 1) for item in value) + "]"
    if isinstance(value, dict):
        # By UTF-16 code units, not by code points.
        keys = sorted(value, key=lambda key: key.encode("utf-16-be", "surrogatepass"))
        if "__proto__" in value:
            raise JsonFault("__proto__")
        return "{" + ",".join(f"{canonical_text(key)}:{canonical_text(value[key], depth + 1)}" for key in keys) + "}"
    raise JsonFault(f"a {type(value).__name__}")


_ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}


def _string(text: str) -> str:
    return '"' + "".join(_ESCAPES.get(c) or (f"\\u{ord(c):04x}" if ord(c) < 0x20 else c) for c in text) + '"'


def canonical_bytes(value: Any) -> bytes:
    return canonical_text(value).encode("utf-8")


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
