"""Public keys and signatures of OpenSSH (7.10): RFC 4251 §5, RFC 5656 §3.1, RFC 8709 §4, PROTOCOL.sshsig and PROTOCOL.u2f. One spelling of everything."""
from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Callable

from . import base64s, curves

SIGNATURE_BYTES_MAX = 2_048
_USER_PRESENT = 0x01


class SshFault(ValueError):
    """Bytes that are no such key or signature."""


class Reader:
    """Takes one value after the other."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, length: int) -> bytes:
        if length > len(self._data) - self._at:
            raise SshFault("cut short")
        self._at += length
        return self._data[self._at - length : self._at]

    def uint32(self) -> int:
        return int.from_bytes(self.take(4), "big")

    def string(self) -> bytes:
        return self.take(self.uint32())

    def end(self) -> None:
        if self._at != len(self._data):
            raise SshFault("something follows")


def _string(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def _mpint(data: bytes) -> bytes:
    """A positive number in its shortest form, as 32 bytes."""
    if data[:1] == b"" or data[0] >= 0x80 or (data[0] == 0 and (len(data) == 1 or data[1] < 0x80)):
        raise SshFault("not the shortest form of a positive number")
    digits = data.lstrip(b"\0")
    if len(digits) > 32:
        raise SshFault("a number that is too large")
    return digits.rjust(32, b"\0")


@dataclass(frozen=True)
class Key:
    type: str
    #: `SHA256:…`, as `ssh-keygen -l` prints it.
    fingerprint: str
    _raw: Callable[[bytes, bytes], bool]
    #: Of a security key.
    _application: bytes | None

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Malformed is as good as wrong."""
        try:
            parts = Reader(signature)
            if parts.string() != self.type.encode():
                return False
            raw = parts.string()
            if self._application is not None:
                flags_and_counter = parts.take(5)
                # A signature that a program could have had from it unattended does not count.
                if not flags_and_counter[0] & _USER_PRESENT:
                    return False
                message = hashlib.sha256(self._application).digest() + flags_and_counter + hashlib.sha256(message).digest()
            parts.end()
            return self._raw(message, raw)
        except SshFault:
            return False


def parse_key(blob: bytes) -> Key:
    reader = Reader(blob)
    name = reader.string().decode("latin-1")
    if name in ("ssh-ed25519", "sk-ssh-ed25519@openssh.com"):
        raw = curves.ed25519(reader.string())
    elif name in ("ecdsa-sha2-nistp256", "sk-ecdsa-sha2-nistp256@openssh.com"):
        curve, point = reader.string(), reader.string()
        raw = _two_numbers(curves.p256(point)) if curve == b"nistp256" else None
    else:
        raise SshFault(f"keys of type {name[:64]} are not taken")
    application = reader.string() if name.startswith("sk-") else None
    reader.end()
    if raw is None:
        raise SshFault("no point of its curve, or one of small order")
    return Key(name, "SHA256:" + base64s.encode(hashlib.sha256(blob).digest()).rstrip("="), raw, application)


def _two_numbers(verify: curves.Verify | None) -> curves.Verify | None:
    def read(message: bytes, signature: bytes) -> bool:
        parts = Reader(signature)
        both = _mpint(parts.string()) + _mpint(parts.string())
        parts.end()
        return verify is not None and verify(message, both)

    return None if verify is None else read


@dataclass(frozen=True)
class Signature:
    key: Key
    namespace: str
    #: Whether the key has signed this very message, for this namespace.
    holds_for: Callable[[bytes], bool]


def parse_signature(data: bytes) -> Signature:
    """An SSHSIG of version 1."""
    if len(data) > SIGNATURE_BYTES_MAX:
        raise SshFault(f"longer than {SIGNATURE_BYTES_MAX} bytes")
    reader = Reader(data)
    if reader.take(6) != b"SSHSIG" or reader.uint32() != 1:
        raise SshFault("no SSH signature of version 1")
    key = parse_key(reader.string())
    namespace, reserved, hash_name, signature = (reader.string() for _ in range(4))
    reader.end()
    if reserved != b"" or hash_name not in (b"sha256", b"sha512"):
        raise SshFault("something where nothing is reserved yet, or hashed by neither sha256 nor sha512")

    def holds_for(message: bytes) -> bool:
        digest = hashlib.new(hash_name.decode(), message).digest()
        return key.verify(b"SSHSIG" + _string(namespace) + _string(reserved) + _string(hash_name) + _string(digest), signature)

    return Signature(key, namespace.decode("latin-1"), holds_for)
