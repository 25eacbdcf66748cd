"""Admission (7): whether a step is to be acted on. Pure."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable

from . import base64s, dsse, glass, ids, jcs, schema
from .merkle import ProofFault, leaf_hash, verify_consistency, verify_inclusion
from .notes import Checkpoint, NoteFault, Verifier, log_id_of
from .orders import Held, hold
from .plan import TAKES_AWAY, check_plan
from .refusal import Refusal
from .standing import open_counted
from .trust import PROOF_CLASSES, Trust

#: Refusals that are answered by a report before it is known that everything is as recorded.
ANSWERED = ("outside-window", "wrong-step", "unknown-connector", "untrusted-checkpoint", "no-receipt")
_RECORD_KEYS = ["actor", "at", "body", "change", "changePrev", "changeSeq", "objects", "prev", "seq", "type", "v"]
_RECORD_BYTES_MAX = 61_440
_TICKET_MS_MAX = 3_600_000


@dataclass(frozen=True)
class Head:
    """The newest checkpoint of a log that was believed."""

    size: int
    root: str


@dataclass(frozen=True)
class Setting:
    trust: Trust
    executor_id: str
    connectors: set[str]
    now_ms: int
    #: By log id.
    head: Callable[[str], Head | None]
    #: When the first step of the ticket's very plan was authorised, if it was carried out here; for a later step of a change.
    began_at_ms: Callable[[dict[str, Any]], int | None]


@dataclass
class Admission:
    """`code` is None where it is admitted. `ticket` is set where somebody trusted is to be answered. `head`: to be kept from now on."""

    code: str | None = None
    message: str = ""
    ticket: dict[str, Any] | None = None
    plan: dict[str, Any] | None = None
    order: Held | None = None
    head: Head | None = None


def admit(envelope: Any, setting: Setting) -> Admission:
    found = Admission()
    progress = _Progress()
    try:
        _check(envelope, setting, found, progress)
    except (Refusal, jcs.JsonFault) as cause:
        found.code, found.message = (cause.code, cause.message) if isinstance(cause, Refusal) else ("malformed", str(cause))
        known = progress.is_mine and (progress.is_as_recorded or found.code in (*ANSWERED, "inconsistent-checkpoint"))
        found.ticket = found.ticket if known else None
    return found


@dataclass
class _Progress:
    is_mine: bool = False
    is_as_recorded: bool = False


def in_window(ticket: dict[str, Any], now_ms: int, skew_ms: int) -> bool:
    return ids.parse_time(ticket["notBefore"]) - skew_ms <= now_ms < ids.parse_time(ticket["notAfter"]) + skew_ms


def _check(envelope: Any, setting: Setting, found: Admission, progress: _Progress) -> None:
    fault = schema.fault("step-envelope", envelope) or _spelling_fault(envelope["receipt"])
    if fault is not None:
        raise Refusal("malformed", fault)
    ticket, keys = _open_ticket(envelope["ticket"], setting.trust)
    if ticket["audience"] != setting.executor_id:
        raise Refusal("wrong-audience", f"a ticket for {ticket['audience']}")
    found.ticket = ticket
    progress.is_mine = True
    if not in_window(ticket, setting.now_ms, setting.trust.clock_skew_ms):
        raise Refusal("outside-window", f"good from {ticket['notBefore']} to {ticket['notAfter']}")
    # A discovery is about no change, and its id has the log at the same place.
    if ids.log_of(ticket.get("changeId") or ticket["discoveryId"]) != ticket["log"]:
        raise Refusal("wrong-step", "the change is of another log")
    acts = ticket["kind"] == "act"
    if acts:
        check_plan(ticket, envelope["plan"])
    else:
        _check_query(ticket, envelope)
    connector = ticket["step" if acts else "query"]["connector"]
    if connector not in setting.connectors:
        raise Refusal("unknown-connector", f"no connector {connector} here")
    known = setting.head(ticket["log"])
    # A discovery's query has no action: it takes nothing away.
    only_takes_away = ticket["step" if acts else "query"].get("action") in TAKES_AWAY
    checkpoint = _open_checkpoint(envelope["receipt"], ticket["log"], setting.trust, known, witnessed=not only_takes_away)
    if not only_takes_away and (known is None or checkpoint.size != known.size):
        found.head = Head(checkpoint.size, base64s.encode(checkpoint.root))
    record = _open_record(envelope["receipt"], checkpoint, envelope["ticket"], ticket)
    if not acts:
        return
    body = record["body"]
    if body["planDigest"] != ticket["planDigest"]:
        raise Refusal("receipt-mismatch", "the record authorises another plan")
    as_of_ms = _as_of_ms(ticket, record, setting)
    statements = _open_approvals(envelope["approvals"], body, envelope["plan"], keys, setting.trust, as_of_ms)
    broken = glass.open_recorded(envelope, body, setting.trust, as_of_ms)
    held = _open_recorded_order(envelope["order"], body, keys)
    progress.is_as_recorded = True
    _check_approvals(ticket, envelope["plan"], statements, broken, as_of_ms, record, setting)
    _check_order(ticket, envelope["plan"], held, record, setting)
    found.plan, found.order = envelope["plan"], held


def _spelling_fault(receipt: dict[str, Any]) -> str | None:
    """What schemas cannot say of base64 (1.4)."""
    texts = [receipt["record"], *receipt["inclusion"], *(one for entry in receipt["consistency"] for one in entry["proof"])]
    return "base64 in a second spelling" if any(base64s.decode(text) is None for text in texts) else None


def _open_ticket(envelope: dsse.Envelope, trust: Trust) -> tuple[dict[str, Any], list[Verifier]]:
    schema_name = _ticket_schema(envelope)
    claimed = dsse.read(envelope, schema_name)
    keys = trust.sidecars.get(claimed["log"], [])
    if all(key.key_name != envelope["signatures"][0]["keyid"] for key in keys):
        raise Refusal("unknown-sidecar", f"no ticket key of log {claimed['log']}")
    return dsse.open_(envelope, dsse.TICKET, schema_name, keys), keys


def _ticket_schema(envelope: dsse.Envelope) -> str:
    """A discovery has a ticket of its own. What is no JSON at all is told when it is read."""
    try:
        value = jcs.parse(base64s.decode(envelope["payload"]) or b"")
    except jcs.JsonFault:
        return "ticket"
    return "discover-ticket" if isinstance(value, dict) and value.get("kind") == "discover" else "ticket"


def _check_query(ticket: dict[str, Any], envelope: dict[str, Any]) -> None:
    query = ticket["query"]
    if ticket["kind"] == "discover":
        if not ticket["stepId"].startswith(f"stp_{ticket['discoveryId'][4:]}_p"):
            raise Refusal("wrong-step", "a page of another discovery")
    elif ticket["stepId"] != ids.read_step_id(ticket["changeId"], ticket["revision"]):
        raise Refusal("wrong-step", "not the read of this change")
    # What an extension is about was given under another change's token; a read gives nothing.
    elif query["action"] != "extend" and query["clientToken"] != ids.client_token_of(ticket["changeId"]):
        raise Refusal("wrong-step", "the client token is of another change")
    if jcs.digest(jcs.canonical_bytes(query)) != ticket["queryDigest"]:
        raise Refusal("plan-digest-mismatch", "the query is not the one of the digest")
    if envelope["plan"] is not None or envelope["order"] is not None or envelope["approvals"] or "breakGlass" in envelope:
        raise Refusal("malformed", "a read and a discovery have no plan, order or approvals")


def _open_checkpoint(receipt: dict[str, Any], log: str, trust: Trust, known: Head | None, *, witnessed: bool) -> Checkpoint:
    try:
        checkpoint = trust.policy.open(receipt["checkpoint"], witnessed=witnessed)
    except NoteFault as cause:
        raise Refusal("untrusted-checkpoint", str(cause)) from cause
    if log_id_of(checkpoint.origin) != log:
        raise Refusal("untrusted-checkpoint", f"a checkpoint of {checkpoint.origin}")
    if known is None:
        return checkpoint
    proofs = [one["proof"] for one in receipt["consistency"] if one["fromSize"] == known.size]
    proof = [] if checkpoint.size == known.size else proofs[0] if proofs else None
    if proof is None:
        raise Refusal("inconsistent-checkpoint", f"no proof from the {known.size} records that were seen")
    try:
        verify_consistency(known.size, checkpoint.size, _hashes(proof), base64s.decode(known.root) or b"", checkpoint.root)
    except ProofFault as cause:
        raise Refusal("inconsistent-checkpoint", str(cause)) from cause
    return checkpoint


def _hashes(texts: list[str]) -> list[bytes]:
    return [base64s.decode(text) or b"" for text in texts]


def _open_record(receipt: dict[str, Any], checkpoint: Checkpoint, envelope: dsse.Envelope, ticket: dict[str, Any]) -> dict[str, Any]:
    data = base64s.decode(receipt["record"]) or b""
    try:
        verify_inclusion(leaf_hash(data), receipt["index"], checkpoint.size, _hashes(receipt["inclusion"]), checkpoint.root)
    except ProofFault as cause:
        raise Refusal("no-receipt", str(cause)) from cause
    try:
        record: dict[str, Any] = jcs.parse(data, _RECORD_BYTES_MAX)
        is_canonical = jcs.canonical_bytes(record) == data
    except jcs.JsonFault as cause:
        raise Refusal("receipt-mismatch", str(cause)) from cause

    def require(holds: bool, what: str) -> None:
        if not holds:
            raise Refusal("receipt-mismatch", f"record {receipt['index']} {what}")

    require(is_canonical and isinstance(record, dict) and list(record) == _RECORD_KEYS, "is not spelled as records are")
    require(record["seq"] == receipt["index"], "calls itself another")
    looks = ticket["kind"] == "discover"
    require(record["type"] == ("discovery.authorised" if looks else "step.authorised") and record["v"] == 1, "is of another type or version")
    require(record["change"] == ticket.get("changeId"), "is about another change")
    require(schema.is_time(str(record["at"])) and isinstance(record["body"], dict), "has no time or body")
    body = record["body"]
    require((_discovery_fault(body) if looks else schema.fault("step-authorised", body)) is None, "does not have the body of an authorisation")
    require(looks or body["kind"] == ticket["kind"], "authorises something else")
    require(body["ticket"]["payloadType"] == envelope["payloadType"] and body["ticket"]["payload"] == envelope["payload"], "authorises another ticket")
    require(all(body[field] == ticket[field] for field in (("stepId",) if looks else ("stepId", "issue", "revision"))), "names another step")
    return record


def _discovery_fault(body: dict[str, Any]) -> str | None:
    """The body of a `discovery.authorised`, member by member."""
    if set(body) != {"discoveryId", "connector", "stepId", "ticket"}:
        return "not its fields"
    faults = [schema.fault_in("discover-ticket", name, body[name]) for name in ("discoveryId", "stepId")]
    return next((one for one in (*faults, schema.fault_in("discover-ticket", "query", {"connector": body["connector"], "after": None}), schema.fault("dsse", body["ticket"])) if one is not None), None)


def _open_approvals(approvals: list[dict[str, Any]], body: dict[str, Any], plan: dict[str, Any], keys: list[Verifier], trust: Trust, as_of_ms: int) -> list[dict[str, Any]]:
    came = [approval["approvalId"] for approval in approvals]
    missing = [one for one in body["approvals"] if one not in came]
    if missing:
        raise Refusal("approvals-insufficient", f"{missing[0]} is on record and did not come")
    if any(one not in body["approvals"] for one in came):
        raise Refusal("approval-invalid", "an approval that is not on record")
    return [open_counted(approval, plan, body["planDigest"], keys, trust, as_of_ms) for approval in approvals]


def _open_recorded_order(envelope: dsse.Envelope | None, body: dict[str, Any], keys: list[Verifier]) -> Held | None:
    lease = body["lease"]
    if (lease is None) != (envelope is None):
        raise Refusal("order-mismatch", "an order where nothing ends, or none where something does")
    if lease is None or envelope is None:
        return None
    try:
        held = hold(envelope, dsse.open_(envelope, dsse.REVOKE_ORDER, "revoke-order", keys))
    except Refusal as cause:
        raise Refusal("order-mismatch", str(cause)) from cause
    if held.digest != dsse.payload_digest(lease["order"]):
        raise Refusal("order-mismatch", "not the recorded order")
    return held


def _as_of_ms(ticket: dict[str, Any], record: dict[str, Any], setting: Setting) -> int:
    """The time that approvals, and the keys of people, are held to."""
    began_ms = setting.began_at_ms(ticket)
    # The sidecar dates the record; by this clock it is no older than a ticket lives.
    authorised_ms = max(ids.parse_time(record["at"]), setting.now_ms - setting.trust.clock_skew_ms - _TICKET_MS_MAX)
    return authorised_ms if began_ms is None else min(authorised_ms, began_ms)


def _check_approvals(
    ticket: dict[str, Any], plan: dict[str, Any], statements: list[dict[str, Any]], broken: dict[str, Any] | None, as_of_ms: int, record: dict[str, Any], setting: Setting,
) -> None:
    counted: list[tuple[str, str, bool]] = []
    for statement in statements:
        if any(statement[field] != ticket[field] for field in ("log", "changeId", "revision", "planDigest")):
            raise Refusal("approval-invalid", "of another plan")
        if statement["verdict"] != "approve" or statement["approver"] in plan["requester"]:
            raise Refusal("approval-invalid", "a rejection, or by who asked")
        if ids.parse_time(statement["expiresAt"]) > as_of_ms:
            counted.append((statement["approver"], statement["proofClass"], statement["standing"]))
    if broken is not None:
        return glass.check(broken, ticket, plan, setting.trust, as_of_ms)

    def people(proof_class: str, standing: bool) -> set[str]:
        return {who for who, how, stands in counted if PROOF_CLASSES.index(how) >= PROOF_CLASSES.index(proof_class) and (standing or not stands)}

    requirement = record["body"]["requirement"]
    if requirement["approvers"] is not None and not is_satisfied(requirement["approvers"], people(requirement["proofClass"], True)):
        raise Refusal("approvals-insufficient", "not what the decision asks for")
    floor = setting.trust.floor(ticket["step"])
    if floor is None:
        return
    who = {one for one in people(floor.proof_class, floor.standing) if floor.approvers is None or one in floor.approvers}
    if len(who) < floor.quorum:
        raise Refusal("below-floor", f"approved by {len(who)} where the floor asks for {floor.quorum}")
    seconds = None if plan["lease"] is None else plan["lease"]["leaseSeconds"]
    if floor.max_lease_seconds is not None and (seconds is None or seconds > floor.max_lease_seconds):
        raise Refusal("below-floor", f"longer than the {floor.max_lease_seconds} s that the floor allows")


def is_satisfied(expression: Any, approved: set[str]) -> bool:
    """An empty group is never satisfied. Of stages all are needed: who was asked first is seen in the ledger, and not here."""
    if isinstance(expression, str):
        return expression in approved
    for group in ("allOf", "stages"):
        if group in expression:
            return bool(expression[group]) and all(is_satisfied(part, approved) for part in expression[group])
    if "anyOf" in expression:
        return any(is_satisfied(part, approved) for part in expression["anyOf"])
    return bool(sum(is_satisfied(part, approved) for part in expression["of"]) >= max(1, expression["atLeast"]))


def _check_order(ticket: dict[str, Any], plan: dict[str, Any], held: Held | None, record: dict[str, Any], setting: Setting) -> None:
    lease, recorded, step = plan["lease"], record["body"]["lease"], ticket["step"]
    if (lease is None) != (held is None):
        raise Refusal("order-mismatch", "the plan says otherwise whether it ends")
    if lease is None or held is None:
        return
    order = held.order

    def require(holds: bool, what: str) -> None:
        if not holds:
            raise Refusal("order-mismatch", what)

    require((order["notBefore"], lease["leaseId"], order["epoch"]) == (recorded["endsAt"], recorded["leaseId"], recorded["epoch"]), "it does not end the recorded lease")
    require(order["cause"] == "leaseEnd", "it is not the end of a lease")
    # Only the plan of an extension, which people approved, raises an epoch: no order does.
    require(order["epoch"] == (plan["extends"]["epoch"] if "extends" in plan else 1), f"it is of epoch {order['epoch']}")
    undone = {field: order[field] for field in ("action", "connector", "target", "account", "privileges", "clientToken")}
    given = {**step, "action": step.get("gave", step["action"])}
    require(undone == {field: value for field, value in given.items() if field not in ("stepId", "gave")}, "it does not undo the step")
    require((order["log"], order["changeId"], order["leaseId"]) == (ticket["log"], ids.lease_change_of(plan), lease["leaseId"]), "it is of another lease")
    require(order["audience"] == setting.executor_id, f"it is to {order['audience']}")
    from_ms = min(ids.parse_time(record["at"]), setting.now_ms + setting.trust.clock_skew_ms)
    require(held.due_ms <= from_ms + lease["leaseSeconds"] * 1000, "it ends the lease too late")
    require(lease["endsBy"] is None or held.due_ms <= ids.parse_time(lease["endsBy"]), f"it ends the lease after {lease['endsBy']}")
    if held.due_ms <= setting.now_ms:
        raise Refusal("lease-ended", f"it would have ended at {order['notBefore']}")
