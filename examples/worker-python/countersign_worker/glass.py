"""Whether a broken glass stands for the approvals of a step (7.8), by this worker's own trust folder."""
from __future__ import annotations

from typing import Any

from . import dsse, ids
from .proofs import open_glass
from .refusal import Refusal
from .trust import Trust

_STATEMENT_MS_MAX = 3_600_000


def open_recorded(envelope: dict[str, Any], body: dict[str, Any], trust: Trust, as_of_ms: int) -> dict[str, Any] | None:
    """The very statement that the record names; None where it names none."""
    recorded, came = body.get("breakGlass"), envelope.get("breakGlass")
    if recorded is not None and came is None:
        raise Refusal("approvals-insufficient", "the record says that the glass was broken, and the statement did not come")
    if came is None:
        return None
    if recorded != dsse.payload_digest(came):
        raise Refusal("approval-invalid", "a broken glass that is not the recorded one")
    return open_glass(came, trust, as_of_ms)


def check(statement: dict[str, Any], ticket: dict[str, Any], plan: dict[str, Any], trust: Trust, as_of_ms: int) -> None:
    if any(statement[field] != ticket[field] for field in ("log", "changeId", "revision", "planDigest")):
        raise Refusal("approval-invalid", "the glass was broken for another plan")
    lease = plan["lease"]
    if lease is None or "extends" in plan or any(step["action"] not in ("provision", "grant") for step in plan["steps"]):
        raise Refusal("below-floor", "the glass is broken for what a lease takes back, and for nothing else")
    limits = trust.glass(ticket["step"])
    if limits is None or statement["usedBy"] not in limits[0]:
        raise Refusal("below-floor", f"the floor does not let {statement['usedBy']} break the glass for this")
    floor = trust.floor(ticket["step"])
    longest = min(limits[1], floor.max_lease_seconds) if floor is not None and floor.max_lease_seconds is not None else limits[1]
    if lease["leaseSeconds"] > longest:
        raise Refusal("below-floor", f"longer than {longest} s")
    until_ms = ids.parse_time(statement["expiresAt"])
    if until_ms <= as_of_ms:
        raise Refusal("approvals-insufficient", f"the statement was good until {statement['expiresAt']}")
    if until_ms > as_of_ms + _STATEMENT_MS_MAX + trust.clock_skew_ms:
        raise Refusal("below-floor", "the statement is good for longer than an hour")
