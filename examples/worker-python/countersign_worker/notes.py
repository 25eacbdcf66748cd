"""Keys and signed notes (2.1, 7.5): c2sp.org/signed-note, tlog-checkpoint, tlog-cosignature."""
from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from . import base64s, curves

ED25519 = 1
COSIGNATURE = 4
_VKEY = re.compile(r"([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)\Z")
_SKEY = "PRIVATE+KEY+"


class NoteFault(ValueError):
    """A key or a note that is none, or is not believed."""


def _key_id(name: str, typed_key: bytes) -> str:
    return hashlib.sha256(f"{name}\n".encode() + typed_key).hexdigest()[:8]


def is_key_name(name: str) -> bool:
    return name != "" and not any(c.isspace() or c in "+\ufeff" or ord(c) < 0x20 for c in name)


@dataclass(frozen=True)
class Verifier:
    name: str
    key_name: str
    vkey: str
    type: int
    public_key: bytes

    def verify(self, message: bytes, signature: bytes) -> bool:
        if self.type == COSIGNATURE:
            if len(signature) != 72:
                return False
            time = int.from_bytes(signature[:8], "big")
            message, signature = f"cosignature/v1\ntime {time}\n".encode() + message, signature[8:]
        verify = curves.ed25519(self.public_key)
        return verify is not None and verify(message, signature)


def parse_verifier(vkey: str) -> Verifier:
    match = _VKEY.match(vkey)
    data = None if match is None else base64s.decode(match[3])
    if match is None or data is None or len(data) != 33 or not is_key_name(match[1]):
        raise NoteFault("not a verifier key")
    name, key_id, kind, key = match[1], match[2], data[0], data[1:]
    if kind not in (ED25519, COSIGNATURE) or _key_id(name, data) != key_id:
        raise NoteFault(f"a key of {name} of another type or id")
    if curves.ed25519(key) is None:
        raise NoteFault(f"a key of {name} of small order, or in a second spelling")
    return Verifier(name, f"{name}+{key_id}", vkey, kind, key)


@dataclass(frozen=True)
class Signer:
    name: str
    key_name: str
    vkey: str
    private_key: Ed25519PrivateKey

    def sign(self, message: bytes) -> bytes:
        return self.private_key.sign(message)


def signer_of(name: str, seed: bytes) -> Signer:
    private_key = Ed25519PrivateKey.from_private_bytes(seed)
    typed = bytes([ED25519]) + private_key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    key_name = f"{name}+{_key_id(name, typed)}"
    return Signer(name, key_name, f"{key_name}+{base64s.encode(typed)}", private_key)


def parse_signer(skey: str) -> Signer:
    match = _VKEY.match(skey.removeprefix(_SKEY)) if skey.startswith(_SKEY) else None
    data = None if match is None else base64s.decode(match[3])
    if match is None or data is None or len(data) != 33 or data[0] != ED25519:
        raise NoteFault("not a signer key")
    signer = signer_of(match[1], data[1:])
    if signer.key_name != f"{match[1]}+{match[2]}":
        raise NoteFault("a signer key with another id")
    return signer


@dataclass(frozen=True)
class Note:
    """With its final newline: the text that is signed."""

    text: str
    signatures: tuple[tuple[str, bytes], ...]


def parse_note(note: str) -> Note:
    split = note.rfind("\n\n")
    if re.search("[\x00-\x09\x0b-\x1f\ud800-\udfff]", note) or split < 0 or not note.endswith("\n") or split + 2 >= len(note):
        raise NoteFault("not a note")
    lines = note[split + 2 : -1].split("\n")
    if len(lines) > 100:
        raise NoteFault("too many signatures")
    return Note(note[: split + 1], tuple(_signature(line) for line in lines))


def _signature(line: str) -> tuple[str, bytes]:
    match = re.fullmatch("\u2014 ([^ ]+) ([^ ]+)", line)
    data = None if match is None else base64s.decode(match[2])
    if match is None or data is None or len(data) < 5 or not is_key_name(match[1]):
        raise NoteFault("a line that is no signature")
    return f"{match[1]}+{data[:4].hex()}", data[4:]


def verified_by(note: Note, verifiers: list[Verifier]) -> list[Verifier]:
    """Whose signatures hold, each once. A known key's that does not hold makes the note bad, however many good ones there are."""
    found: list[Verifier] = []
    seen: set[str] = set()
    for key_name, signature in note.signatures:
        verifier = next((one for one in verifiers if one.key_name == key_name), None)
        if verifier is None or key_name in seen:
            continue
        seen.add(key_name)
        if not verifier.verify(note.text.encode("utf-8"), signature):
            raise NoteFault(f"the signature of {key_name} does not hold")
        found.append(verifier)
    return found


@dataclass(frozen=True)
class Checkpoint:
    origin: str
    size: int
    root: bytes


def parse_checkpoint(text: str) -> Checkpoint:
    origin, *rest = text.split("\n")
    size, root = (rest + ["", ""])[:2]
    data = base64s.decode(root)
    if not is_key_name(origin) or data is None or len(data) != 32 or re.fullmatch("0|[1-9][0-9]{0,15}", size) is None or int(size) > 2**53 - 1:
        raise NoteFault("not a checkpoint")
    if len(rest) < 3 or rest[-1] != "" or "" in rest[2:-1]:
        raise NoteFault("a checkpoint with an empty line")
    return Checkpoint(origin, int(size), data)


def log_id_of(origin: str) -> str:
    return hashlib.sha256(origin.encode("utf-8")).hexdigest()[:16]
