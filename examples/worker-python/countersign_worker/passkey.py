"""`passkeys.json` (3) and assertions of passkeys (7.11): Web Authentication Level 3, §7.2, and stricter."""
from __future__ import annotations

import hashlib
import ipaddress
import re
from dataclasses import dataclass
from typing import Any

from . import base64s, curves, ids, jcs

_P256 = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")
_ED25519 = bytes.fromhex("302a300506032b6570032100")
_UP, _UV, _ELIGIBLE, _BACKED_UP, _MORE = 0x01, 0x04, 0x08, 0x10, 0xC0
_FIELDS = {"authenticatorData", "clientDataJSON", "signature"}
_NEVER_BEFORE, _NEVER_AFTER = -(2**62), 2**62


class PasskeyFault(ValueError):
    """An entry, or an assertion, that cannot be believed."""


@dataclass(frozen=True)
class Passkey:
    person: str
    rp_id: str
    origins: list[str]
    verify: curves.Verify
    valid_from_ms: int
    valid_until_ms: int


def parse(entries: list[dict[str, Any]]) -> dict[str, Passkey]:
    """By the digest of the credential's id. The entries are of their schema."""
    passkeys: dict[str, Passkey] = {}
    keys: set[str] = set()
    for one in entries:
        credential = _base64url(one["credentialId"])
        spki = base64s.decode(one["publicKey"])
        verify = None if spki is None else _verifier(spki)
        if credential is None or verify is None:
            raise PasskeyFault("a credential or a key that is not in its one spelling, or of another algorithm")
        key_id = jcs.digest(credential)
        if key_id in passkeys or one["publicKey"] in keys:
            raise PasskeyFault("a credential or a key that is listed already")
        if not all(_is_origin_of(one["rpId"], origin) for origin in one["origins"]):
            raise PasskeyFault(f"not an origin at or below {one['rpId']}, over https and without a path")
        from_ms = ids.parse_time(one["validAfter"]) if "validAfter" in one else _NEVER_BEFORE
        until_ms = ids.parse_time(one["validBefore"]) if "validBefore" in one else _NEVER_AFTER
        if from_ms >= until_ms:
            raise PasskeyFault("valid at no time")
        keys.add(one["publicKey"])
        passkeys[key_id] = Passkey(one["person"], one["rpId"], one["origins"], verify, from_ms, until_ms)
    return passkeys


def _base64url(text: str) -> bytes | None:
    return base64s.decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4))


def _verifier(spki: bytes) -> curves.Verify | None:
    if spki.startswith(_ED25519):
        return curves.ed25519(spki[len(_ED25519) :])
    verify = curves.p256(spki[len(_P256) :]) if spki.startswith(_P256) else None

    def in_der(message: bytes, signature: bytes) -> bool:
        both = _two_numbers(signature)
        return both is not None and verify is not None and verify(message, both)

    return None if verify is None else in_der


def _two_numbers(der: bytes) -> bytes | None:
    """r and s, 32 bytes each, of `SEQUENCE { INTEGER r, INTEGER s }` in DER."""
    if not 8 <= len(der) <= 72 or der[0] != 0x30 or der[1] != len(der) - 2:
        return None
    numbers, at = b"", 2
    for _ in range(2):
        length = der[at + 1] if at + 1 < len(der) else 0
        digits = der[at + 2 : at + 2 + length]
        if not 1 <= length <= 33 or der[at] != 0x02 or len(digits) != length or digits[0] >= 0x80 or (length > 1 and digits[0] == 0 and digits[1] < 0x80):
            return None
        digits = digits[1:] if digits[0] == 0 else digits
        if len(digits) > 32:
            return None
        numbers, at = numbers + digits.rjust(32, b"\0"), at + 2 + length
    return numbers if at == len(der) else None


def _is_origin_of(rp_id: str, origin: str) -> bool:
    match = re.fullmatch("(https?)://([a-z0-9._-]+)(?::([1-9][0-9]{0,4}))?", origin)
    if match is None or match[3] in ("443" if match[1] == "https" else "80",) or int(match[3] or 0) > 65_535:
        return False
    host = match[2]
    if re.fullmatch("[0-9]+|0x[0-9a-f]*", host.rstrip(".").split(".")[-1]):
        try:
            ipaddress.IPv4Address(host)
        except ValueError:
            return False
    return (match[1] == "https" or host == "localhost") and (host == rp_id or host.endswith(f".{rp_id}"))


def check(assertion: bytes, message: bytes, passkey: Passkey) -> None:
    """Returns once it proves that the holder of the passkey stands for exactly this message. Raises PasskeyFault, JsonFault."""
    parts = jcs.parse(assertion, 16_384)
    if not isinstance(parts, dict) or set(parts) != _FIELDS or jcs.canonical_bytes(parts) != assertion:
        raise PasskeyFault("no assertion in its one spelling")
    data, client, signature = (base64s.decode(parts[name]) if isinstance(parts[name], str) and len(parts[name]) <= 8_192 else None for name in ("authenticatorData", "clientDataJSON", "signature"))
    if data is None or client is None or signature is None:
        raise PasskeyFault("not canonical base64")
    _check_client(jcs.parse(client, 4_096), message, passkey)
    _check_data(data, passkey)
    if not passkey.verify(data + hashlib.sha256(client).digest(), signature):
        raise PasskeyFault("the signature does not hold")


def _check_client(client: Any, message: bytes, passkey: Passkey) -> None:
    challenge = base64s.encode(hashlib.sha256(message).digest()).replace("+", "-").replace("/", "_").rstrip("=")
    if not isinstance(client, dict) or client.get("type") != "webauthn.get" or client.get("challenge") != challenge:
        raise PasskeyFault("not made for this statement")
    if client.get("origin") not in passkey.origins:
        raise PasskeyFault("made at another page")
    if client.get("crossOrigin", False) is not False or "topOrigin" in client:
        raise PasskeyFault("made in a frame of another page")


def _check_data(data: bytes, passkey: Passkey) -> None:
    if len(data) != 37 or data[:32] != hashlib.sha256(passkey.rp_id.encode()).digest():
        raise PasskeyFault("made for another relying party, cut short, or with more than is asked for")
    flags = data[32]
    if not flags & _UP or not flags & _UV or flags & _MORE or (flags & _BACKED_UP and not flags & _ELIGIBLE):
        raise PasskeyFault("nobody was there, or was not verified; or flags that cannot be")
