"""Signatures on the two curves that people sign with: Ed25519, and ECDSA on P-256 with SHA-256. RSA and other curves are not taken."""
from __future__ import annotations

from typing import Callable

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

#: Whether the key has signed the message. For P-256 a signature is r and s, 32 bytes each.
Verify = Callable[[bytes, bytes], bool]

_P = 2**255 - 19
# y coordinates of the points whose order divides 8.
_SMALL_ORDER = {0, 1, _P - 1} | {
    int.from_bytes(bytes.fromhex(text), "little")
    for text in ("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05", "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")
}


def ed25519(key: bytes) -> Verify | None:
    """What the key verifies with; None for one of small order, or in a second spelling."""
    y = int.from_bytes(key, "little") & (2**255 - 1)
    if len(key) != 32 or y in _SMALL_ORDER or y >= _P:
        return None
    return lambda message, signature: len(signature) == 64 and _holds(lambda: Ed25519PublicKey.from_public_bytes(key).verify(signature, message))


def p256(point: bytes) -> Verify | None:
    """The same at an uncompressed point; None where it is none of the curve."""
    if len(point) != 65 or point[0] != 4:
        return None
    try:
        key = EllipticCurvePublicKey.from_encoded_point(SECP256R1(), point)
    except ValueError:
        return None

    def verify(message: bytes, signature: bytes) -> bool:
        in_der = encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
        return len(signature) == 64 and _holds(lambda: key.verify(in_der, message, ECDSA(SHA256())))

    return verify


def _holds(verify: Callable[[], None]) -> bool:
    try:
        verify()
    except (InvalidSignature, ValueError):
        return False
    return True
