"""Whether an order to take back is one to obey (9.1), and what it takes back."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from . import dsse, ids, jcs, schema
from .refusal import Refusal
from .trust import Trust

EFFECT = ("connector", "action", "target", "account", "privileges", "clientToken")


@dataclass(frozen=True)
class Held:
    """An order that was believed."""

    envelope: dsse.Envelope
    digest: str
    order: dict[str, Any]
    due_ms: int

    @property
    def lease_id(self) -> str:
        lease_id: str = self.order["leaseId"]
        return lease_id


def hold(envelope: dsse.Envelope, order: dict[str, Any]) -> Held:
    return Held(envelope, dsse.payload_digest(envelope), order, ids.parse_time(order["notBefore"]))


def admit_order(envelope: Any, trust: Trust, executor_id: str, connectors: set[str]) -> Held:
    if schema.fault("dsse", envelope) is not None:
        raise Refusal("malformed", "not an envelope")
    claimed = dsse.read(envelope, "revoke-order")
    revoker = trust.revokers.get(envelope["signatures"][0]["keyid"])
    keys = trust.sidecars.get(claimed["log"], []) if revoker is None else [revoker[1]]
    if not keys:
        raise Refusal("unknown-sidecar", f"no sidecar of log {claimed['log']} is trusted")
    order = dsse.open_(envelope, dsse.REVOKE_ORDER, "revoke-order", keys)
    if revoker is not None and order["orderedBy"] != revoker[0]:
        raise Refusal("bad-signature", f"in the name of {order['orderedBy']}, signed by {revoker[0]}")
    if order["audience"] != executor_id:
        raise Refusal("wrong-audience", f"an order to {order['audience']}")
    change_id = order["changeId"]
    if (ids.log_of(change_id), ids.lease_id_of(change_id), ids.client_token_of(change_id)) != (order["log"], order["leaseId"], order["clientToken"]):
        raise Refusal("order-mismatch", "its log, change, lease and client token are not of one change")
    if order["connector"] not in connectors:
        raise Refusal("unknown-connector", f"no connector {order['connector']} here")
    return hold(envelope, order)


def effect_key(effect: dict[str, Any]) -> str:
    """Two orders with the same key undo the same thing."""
    named = {field: effect[field] for field in EFFECT}
    named["privileges"] = sorted(effect["privileges"], key=lambda one: one.encode("utf-16-be"))
    return jcs.digest(jcs.canonical_bytes(named))
