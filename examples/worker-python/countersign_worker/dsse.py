"""DSSE 1.0 envelopes over canonical JSON (2.2)."""
from __future__ import annotations

from typing import Any

from . import base64s, jcs, schema
from .notes import Signer, Verifier
from .refusal import Refusal

Envelope = dict[str, Any]
TICKET = "application/vnd.countersign.ticket+json"
REVOKE_ORDER = "application/vnd.countersign.revoke-order+json"
APPROVAL = "application/vnd.countersign.approval+json"
REPORT = "application/vnd.countersign.report+json"
STANDING = "application/vnd.countersign.standing-approval+json"
BREAK_GLASS = "application/vnd.countersign.break-glass+json"
LOCK = "application/vnd.countersign.lock+json"


def signed_bytes(payload_type: str, payload: bytes) -> bytes:
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sign(payload_type: str, document: Any, signer: Signer) -> Envelope:
    payload = jcs.canonical_bytes(document)
    signature = signer.sign(signed_bytes(payload_type, payload))
    return {"payloadType": payload_type, "payload": base64s.encode(payload), "signatures": [{"keyid": signer.key_name, "sig": base64s.encode(signature)}]}


def payload_digest(envelope: Envelope) -> str:
    return jcs.digest(base64s.decode(envelope["payload"]) or b"")


def read(envelope: Envelope, schema_name: str) -> dict[str, Any]:
    """What is in it, its signature not looked at. The envelope itself is one by its schema."""
    payload = base64s.decode(envelope["payload"])
    if payload is None:
        raise Refusal("malformed", "the payload is not canonical base64")
    try:
        value = jcs.parse(payload)
    except jcs.JsonFault as cause:
        raise Refusal("malformed", f"the payload: {cause}") from cause
    fault = schema.fault(schema_name, value)
    if fault is not None:
        raise Refusal("malformed", fault)
    if jcs.canonical_bytes(value) != payload:
        raise Refusal("malformed", "the payload is not in canonical form")
    document: dict[str, Any] = value
    return document


def open_(envelope: Envelope, payload_type: str, schema_name: str, keys: list[Verifier]) -> dict[str, Any]:
    """What is in it, once a key that is trusted for this has signed it."""
    if envelope["payloadType"] != payload_type:
        raise Refusal("bad-signature", f"{envelope['payloadType']} where {payload_type} is due")
    payload = base64s.decode(envelope["payload"])
    if payload is None:
        raise Refusal("malformed", "the payload is not canonical base64")
    signature = envelope["signatures"][0]
    key = next((one for one in keys if one.key_name == signature["keyid"]), None)
    sig = base64s.decode(signature["sig"])
    if key is None or sig is None or not key.verify(signed_bytes(payload_type, payload), sig):
        raise Refusal("bad-signature", f"{signature['keyid']} is not trusted, or its signature does not hold")
    return read(envelope, schema_name)
