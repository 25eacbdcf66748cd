"""Uses of standing approvals (7.7): whether a plan is within the template that a person has signed."""
from __future__ import annotations

import re
from typing import Any

from . import ids
from .notes import Verifier
from .proofs import open_approval, open_template
from .refusal import Refusal
from .trust import Trust

_LASTS_MS_MAX = 2_592_000_000


def open_counted(approval: dict[str, Any], plan: dict[str, Any], plan_digest: str, keys: list[Verifier], trust: Trust, at_ms: int) -> dict[str, Any]:
    """The statement of an approval of this plan, however it came about: `proofClass` and `standing` say how."""
    if "use" not in approval:
        return {**open_approval(approval, keys, trust, at_ms), "proofClass": approval["proofClass"], "standing": False}
    template = open_template(approval, trust, at_ms)
    why = _fault(template) or _misuse(template, approval["use"], at_ms + trust.clock_skew_ms) or _beyond(template, plan)
    if why is not None:
        raise Refusal("approval-invalid", f"the standing approval: {why}")
    about = {"changeId": plan["changeId"], "revision": plan["revision"], "planDigest": plan_digest, "verdict": "approve"}
    return {**{field: template[field] for field in ("log", "approver", "expiresAt")}, **about, "proofClass": approval["proofClass"], "standing": True}


def _fault(template: dict[str, Any]) -> str | None:
    """Why it is no template at all."""
    if any(len(set(template[name])) != len(template[name]) for name in ("kinds", "accounts", "privileges", "recipients")):
        return "something is listed twice"
    if any(kind != "rotate" for kind in template["kinds"]) != (template["maxLeaseSeconds"] is not None):
        return "the longest lease is said where something is leased, and nowhere else"
    lasts_ms = ids.parse_time(template["expiresAt"]) - ids.parse_time(template["notBefore"])
    return None if 0 < lasts_ms <= _LASTS_MS_MAX else "it ends before it begins, or is good for longer than 30 days"


def _misuse(template: dict[str, Any], use: int, latest_ms: int) -> str | None:
    """Its end is looked at where approvals are counted: one that is over is no lie."""
    if use > template["uses"]:
        return f"use {use} of {template['uses']}"
    return f"it begins at {template['notBefore']}" if ids.parse_time(template["notBefore"]) > latest_ms else None


def _beyond(template: dict[str, Any], plan: dict[str, Any]) -> str | None:
    """How the plan is beyond it. Every list is closed."""
    kind, lease, steps = plan["kind"], plan["lease"], plan["steps"]
    same = all(plan[name] == template[name] for name in ("log", "subject", "connector", "target"))
    if not same or kind not in template["kinds"] or plan["mode"] != "executor" or not steps:
        return "for another identity, system or kind, or by another log or a caller"
    if any(step["connector"] != template["connector"] or step["target"] != template["target"] for step in steps):
        return "a step elsewhere"
    accounts = [new_account_name(plan["subject"], plan["changeId"])] if kind == "provision" else template["accounts"]
    if any(step[name] not in accounts for step in steps for name in ("account", "other") if name in step):
        return "another account"
    privileges = [one["privilege"] for one in plan["entitlements"]] + [one for step in steps for one in step["privileges"]]
    if any(one not in template["privileges"] for one in privileges) or any("scope" in one for one in plan["entitlements"]):
        return "another privilege, or one with a scope"
    if plan["recipient"] is not None and plan["recipient"] not in template["recipients"]:
        return "another recipient of the secret"
    if kind == "rotate":
        return None if lease is None else "a rotation with a lease"
    longest = template["maxLeaseSeconds"]
    return None if lease is not None and longest is not None and lease["leaseSeconds"] <= longest else "a longer lease, or none"


def new_account_name(subject: str, change_id: str) -> str:
    """The account that a provision makes. No executor knows which other account is whose."""
    name = re.sub("[^a-z0-9]+", "_", subject[subject.index("/") + 1 :])[:48]
    return f"{name}_{change_id[-10:].lower()}"
