"""What proves an approval, by its class, the template of a standing one, and a broken glass (7.7)."""
from __future__ import annotations

from typing import Any

from . import base64s, dsse, jcs, passkey, ssh
from .notes import Verifier
from .refusal import Refusal
from .trust import Trust

APPROVAL_NAMESPACE = "approval@countersign"
GLASS_NAMESPACE = "breakglass@countersign"
STANDING_NAMESPACE = "standing-approval@countersign"


def open_approval(approval: dict[str, Any], keys: list[Verifier], trust: Trust, at_ms: int) -> dict[str, Any]:
    """The statement. `at_ms`: when it is counted; a person's key must have been good then."""
    envelope, proof_class = approval["envelope"], approval["proofClass"]
    _check_id(approval)
    try:
        if proof_class == "session":
            return dsse.open_(envelope, dsse.APPROVAL, "approval-statement", keys)
        return _own(approval, dsse.APPROVAL, APPROVAL_NAMESPACE, "approval-statement", trust, at_ms)
    except Refusal as cause:
        raise Refusal("approval-invalid", str(cause)) from cause


def open_template(approval: dict[str, Any], trust: Trust, at_ms: int) -> dict[str, Any]:
    """The template of which the approval is a use, proven by whoever gave it and by no session. No plan has been looked at."""
    _check_id(approval)
    return _own(approval, dsse.STANDING, STANDING_NAMESPACE, "standing-approval-statement", trust, at_ms)


def _check_id(approval: dict[str, Any]) -> None:
    if approval["approvalId"] != f"apr_{dsse.payload_digest(approval['envelope'])[7:39]}":
        raise Refusal("approval-invalid", "not the id of its statement")


def _own(approval: dict[str, Any], payload_type: str, namespace: str, schema_name: str, trust: Trust, at_ms: int) -> dict[str, Any]:
    """A statement that its approver has proven herself, by an SSH key or a passkey."""
    envelope, proof_class = approval["envelope"], approval["proofClass"]
    if proof_class not in ("ssh", "passkey"):
        raise Refusal("approval-invalid", f"a proof of class {proof_class} cannot be checked")
    person = _by_ssh(envelope, payload_type, namespace, trust, at_ms) if proof_class == "ssh" else _by_passkey(envelope, payload_type, trust, at_ms)
    statement = dsse.read(envelope, schema_name)
    if statement["approver"] != person:
        raise Refusal("approval-invalid", f"by {person}, under the name of {statement['approver']}")
    return statement


def open_glass(envelope: dsse.Envelope, trust: Trust, at_ms: int) -> dict[str, Any]:
    person = _by_ssh(envelope, dsse.BREAK_GLASS, GLASS_NAMESPACE, trust, at_ms)
    statement = dsse.read(envelope, "break-glass-statement")
    if statement["usedBy"] != person:
        raise Refusal("approval-invalid", f"by {person}, under the name of {statement['usedBy']}")
    return statement


def _parts(envelope: dsse.Envelope, payload_type: str) -> tuple[bytes, str, bytes]:
    payload, signature = base64s.decode(envelope["payload"]), envelope["signatures"][0]
    sig = base64s.decode(signature["sig"])
    if envelope["payloadType"] != payload_type or payload is None or sig is None:
        raise Refusal("approval-invalid", "of another type, or not canonical base64")
    return payload, signature["keyid"], sig


def _by_ssh(envelope: dsse.Envelope, payload_type: str, namespace: str, trust: Trust, at_ms: int) -> str:
    """Whose key has signed the payload's bytes as they are."""
    payload, key_id, sig = _parts(envelope, payload_type)
    try:
        signature = ssh.parse_signature(sig)
    except ssh.SshFault as cause:
        raise Refusal("approval-invalid", str(cause)) from cause
    signer = trust.signers.get(key_id)
    if signer is None or signature.key.fingerprint != key_id:
        raise Refusal("approval-invalid", f"nobody's key, or not the one that is said: {key_id}")
    if signature.namespace != namespace or not signer.signs_under(namespace):
        raise Refusal("approval-invalid", f"the namespace is to be {namespace}")
    if not signer.valid_from_ms <= at_ms < signer.valid_until_ms or not signature.holds_for(payload):
        raise Refusal("approval-invalid", f"{key_id} was not good then, or its signature does not hold")
    return signer.person


def _by_passkey(envelope: dsse.Envelope, payload_type: str, trust: Trust, at_ms: int) -> str:
    payload, key_id, assertion = _parts(envelope, payload_type)
    known = trust.passkeys.get(key_id)
    if known is None or not known.valid_from_ms <= at_ms < known.valid_until_ms:
        raise Refusal("approval-invalid", f"nobody's passkey, or not good then: {key_id}")
    try:
        passkey.check(assertion, payload, known)
    except (passkey.PasskeyFault, jcs.JsonFault) as cause:
        raise Refusal("approval-invalid", str(cause)) from cause
    return known.person
