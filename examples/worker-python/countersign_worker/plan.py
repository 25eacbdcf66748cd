"""Whether a plan is one that the server derives, and a ticket's step is a step of it (7.4)."""
from __future__ import annotations

from typing import Any

from . import ids, jcs
from .refusal import Refusal

MAKES_SECRET = ("provision", "stage", "replace")
TAKES_AWAY = ("revoke", "retire", "disable")
GIVES_ACCESS = (*MAKES_SECRET, "grant", "extend", "call")


def check_plan(ticket: dict[str, Any], plan: dict[str, Any] | None) -> None:
    if plan is None:
        raise Refusal("plan-digest-mismatch", "no plan came with the ticket")
    if jcs.digest(jcs.canonical_bytes(plan)) != ticket["planDigest"]:
        raise Refusal("plan-digest-mismatch", "the plan is not the one of the digest")
    if any(plan[field] != ticket[field] for field in ("changeId", "revision", "log")):
        raise Refusal("plan-digest-mismatch", "the plan is of another change or revision")
    step = next((one for one in plan["steps"] if one["stepId"] == ticket["stepId"]), None)
    if step is None or step != ticket["step"]:
        raise Refusal("wrong-step", "the ticket's step is not the plan's")
    _check_steps(plan)
    _check_terms(plan)
    window = plan.get("window")
    if window is not None and step["action"] not in TAKES_AWAY and (ticket["notBefore"] < window["opensAt"] or ticket["notAfter"] > window["closesAt"]):
        raise Refusal("outside-window", "the ticket reaches beyond the planned window")


def _check_steps(plan: dict[str, Any]) -> None:
    kind, entitlements = plan["kind"], plan["entitlements"]
    if kind == "offboard" or "items" in plan or not plan["steps"]:
        raise Refusal("wrong-step", "an offboarding has no steps of its own")
    for one in entitlements:
        if one["connector"] != plan["connector"] or one["target"] != plan["target"] or "scope" in one:
            raise Refusal("wrong-step", "an entitlement at another system, or with a scope")
    if kind in ("rotate", "disable") and entitlements:
        raise Refusal("wrong-step", f"a {kind} gives no entitlement")
    if plan["steps"] != _derived(plan):
        raise Refusal("wrong-step", "the steps are not those of the kind that the plan says")


def _derived(plan: dict[str, Any]) -> list[dict[str, Any]] | None:
    change_id, before = plan["changeId"], plan["before"]
    account: str = plan["steps"][0]["account"]
    privileges = sorted({one["privilege"] for one in plan["entitlements"]}, key=lambda one: one.encode("utf-16-be"))

    def step(n: int, action: str, about: dict[str, Any]) -> dict[str, Any]:
        return {
            "stepId": ids.act_step_id(change_id, plan["revision"], n), "action": action, "connector": plan["connector"], "target": plan["target"],
            "clientToken": ids.client_token_of(ids.lease_change_of(plan)), **about,
        }

    if plan["kind"] == "extend":
        gave = plan["steps"][0].get("gave")
        return None if gave is None or plan["mode"] == "caller" else [step(1, "extend", {"account": account, "privileges": privileges, "gave": gave})]
    if plan["mode"] == "caller":
        return [step(1, "call", {"account": account, "privileges": privileges})]
    if plan["kind"] != "rotate":
        return [step(1, plan["kind"], {"account": account, "privileges": privileges})]
    if before.get("overlap") == "none":
        return [step(1, "replace", {"account": account, "privileges": []})]
    current, following, privilege = before.get("currentName"), before.get("nextName"), before.get("privilege")
    if before.get("overlap") != "twin" or not all(isinstance(one, str) for one in (current, following, privilege)):
        return None
    given = {"account": following, "other": current, "privileges": [privilege]}
    return [step(1, "stage", given), step(2, "cutover", given), step(3, "retire", {"account": current, "other": following, "privileges": [privilege]})]


def _check_terms(plan: dict[str, Any]) -> None:
    kind, lease, rotation = plan["kind"], plan["lease"], plan.get("rotation")

    def require(holds: bool, what: str) -> None:
        if not holds:
            raise Refusal("wrong-step", what)

    require(any(step["action"] in MAKES_SECRET for step in plan["steps"]) == (plan["recipient"] is not None), "a new secret has a recipient, and nothing else has")
    extended = plan.get("extends")
    require((kind == "extend") == (extended is not None), "an extension says which lease it extends, and nothing else does")
    require(extended is None or (lease is not None and extended["change"] != plan["changeId"]), "an extension is of the lease of another change")
    # Each log is of a sidecar of its own: none may make another's orders void.
    require(extended is None or ids.log_of(extended["change"]) == plan["log"], "the lease that is extended is of another log")
    require(lease is None or (kind in ("provision", "grant", "extend") and lease["leaseId"] == ids.lease_id_of(ids.lease_change_of(plan))), "the lease is not of this change")
    require((kind == "rotate" and plan["mode"] == "executor") == (rotation is not None), "a rotation says how the old credential ends, and nothing else does")
    require(rotation is None or rotation["overlap"] == plan["before"].get("overlap"), "the rotation has another overlap than was read")
    require(plan["mode"] == "executor" and "caller" not in plan, "its caller makes this change itself")
