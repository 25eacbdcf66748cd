package access_test

import data.access
import data.checks.fixture

codes(answer) := {reason.code | some reason in answer.reasons}

test_a_needed_lease_needs_approval if {
	decision := access.decide with input as fixture.grant
	decision.effect == "needsApproval"
	codes(decision) == {"owner-approval"}
	decision.obligations == {
		"approvers": {"anyOf": ["person:ana", "person:ben"]},
		"proofClass": "session",
		"maxLeaseSeconds": 3600,
		"verification": "readBack",
		"escalation": {"afterSeconds": 14400, "to": ["person:ben", "person:sam"]},
	}
	decision.entitlements == {"requested": [fixture.orders], "held": [], "used": [], "excess": [], "counterOffer": null}
	some control in decision.controls
	control == {"framework": "NIST CSF 2.0", "id": "PR.AA-05", "rule": "workflow.pending"}
}

test_a_new_credential_is_verified_by_use if {
	decision := access.decide with input as fixture.changing({"kind": "provision"})
	decision.effect == "needsApproval"
	decision.obligations.verification == "byUse"
}

test_low_risk_outside_production_is_allowed if {
	decision := access.decide with input as fixture.preview_grant
	decision.effect == "allow"
	codes(decision) == {"low-risk"}
	decision.obligations.approvers == null
}

test_too_much_is_denied_with_a_counter_offer_that_is_not if {
	asked := fixture.changing({"entitlements": [fixture.orders, fixture.customers], "leaseSeconds": 86400})
	decision := access.decide with input as asked
	decision.effect == "deny"
	codes(decision) == {"exceeds-purpose", "lease-too-long"}
	decision.obligations.approvers == {"anyOf": []}
	decision.entitlements.excess == [fixture.customers]
	decision.entitlements.counterOffer == {"entitlements": [fixture.orders], "leaseSeconds": 3600}
	again := access.decide with input as fixture.changing(decision.entitlements.counterOffer)
	again.effect == "needsApproval"
}

test_nothing_at_all_is_denied if {
	every nothing in [{}, null, "true", 1, [], {"change": {}}, {"facts": null}] {
		decision := access.decide with input as nothing
		decision.effect == "deny"
		count(decision.reasons) > 0
		verification := access.verify with input as nothing
		verification.effect == "deny"
		count(verification.reasons) > 0
		schedule := access.schedule with input as nothing
		schedule.window == null
		count(schedule.reasons) > 0
	}
}

test_what_no_rule_permits_is_denied if {
	decision := access.decide with input as object.union(fixture.grant, {"v": 2})
	decision.effect == "deny"
	codes(decision) == {"no-permit-reason"}
}

test_a_kind_that_no_rule_foresees_is_denied if {
	decision := access.decide with input as fixture.changing({"kind": "teleport"})
	decision.effect == "deny"
	codes(decision) == {"no-permit-reason"}
}

test_who_could_approve_is_not_asked_of_what_is_denied_anyway if {
	decision := access.decide with input as object.union(fixture.changing({"purpose": "mischief"}), {"facts": {"directory": {"people": []}}})
	not "no-eligible-approver" in codes(decision)
}

test_what_nobody_can_approve_is_denied if {
	decision := access.decide with input as fixture.knowing({"nhi": {"owner": "person:kim", "backupOwner": "person:kim"}})
	decision.effect == "deny"
	codes(decision) == {"no-eligible-approver"}
	decision.entitlements.counterOffer == null
}

test_what_is_noted_is_said_with_the_permission if {
	decision := access.decide with input as object.union(fixture.grant, {
		"held": ["table:public.orders:SELECT", "role:deploy"],
		"used": {"privileges": ["table:public.orders:SELECT"], "ageMs": 5},
	})
	decision.effect == "needsApproval"
	codes(decision) == {"owner-approval", "already-held", "held-unused"}
	decision.entitlements.held == ["role:deploy", "table:public.orders:SELECT"]
	decision.entitlements.used == ["table:public.orders:SELECT"]
}

test_a_verification_says_what_changed_meanwhile if {
	answer := access.verify with input as object.union(fixture.revoked, {"after": {"held": []}})
	answer.effect == "allow"
	codes(answer) == {"taken-back", "changed-beyond-plan"}
	count(answer.controls) > 0
}

test_a_verification_that_fails_says_why if {
	answer := access.verify with input as object.union(fixture.granted, {"after": {"exists": false, "held": []}})
	answer.effect == "deny"
	codes(answer) == {"account-missing", "privilege-missing"}
}

test_a_rotation_needs_approval_and_is_proven_by_use if {
	decision := access.decide with input as fixture.rotate
	decision.effect == "needsApproval"
	codes(decision) == {"owner-approval"}
	decision.obligations == {
		"approvers": {"anyOf": ["person:ana", "person:ben"]},
		"proofClass": "session",
		"maxLeaseSeconds": null,
		"verification": "byUse",
		"escalation": {"afterSeconds": 14400, "to": ["person:ben", "person:sam"]},
		"standingApproval": {"maxLeaseSeconds": 3600},
	}
	decision.entitlements == {"requested": [], "held": ["table:public.orders:SELECT"], "used": [], "excess": [], "counterOffer": null}
}

test_what_a_callers_code_makes_is_read_back if {
	decision := access.decide with input as fixture.called
	decision.effect == "needsApproval"
	decision.obligations.verification == "readBack"
}

test_what_no_executor_sees_is_said_with_the_permission if {
	decision := access.decide with input as object.union(fixture.called, {"held": null, "facts": {"connectors": []}})
	decision.effect == "needsApproval"
	codes(decision) == {"owner-approval", "self-reported"}
}

test_a_rotation_without_overlap_is_denied_without_a_window if {
	decision := access.decide with input as fixture.rotating({"overlap": "none"})
	decision.effect == "deny"
	codes(decision) == {"no-window"}
	answer := access.schedule with input as object.union(fixture.rotating({"overlap": "none"}), {"facts": {"calendar": fixture.calendar}})
	answer.window == fixture.open_window
	codes(answer) == {"window-required"}
	windowed := access.decide with input as fixture.rotating({"overlap": "none", "window": answer.window})
	windowed.effect == "needsApproval"
}

test_an_emergency_says_so_in_both_answers if {
	asked := fixture.rotating({"overlap": "none", "emergency": true})
	decision := access.decide with input as asked
	decision.effect == "needsApproval"
	codes(decision) == {"emergency"}
	answer := access.schedule with input as asked
	answer.window == null
	codes(answer) == {"emergency"}
}

test_a_freeze_is_waited_for if {
	calendar := {"windows": [], "freezes": [fixture.freeze(-5, 30)]}
	asked := object.union(object.union(fixture.grant, fixture.step("grant", 1)), {"facts": {"calendar": calendar}})
	decision := access.decide with input as asked
	decision.effect == "needsApproval"
	codes(decision) == {"owner-approval", "frozen"}
	decision.obligations.notBefore == "2026-11-20T00:30:00.000Z"
	denied := access.decide with input as object.union(asked, {"facts": {"ageMs": 86400001}})
	denied.effect == "deny"
	not denied.obligations.notBefore
}

test_what_is_denied_in_every_way_says_all_of_it if {
	decision := access.decide with input as object.union(fixture.rotating({"mode": "caller", "overlap": "none"}), {"facts": {"nhi": {"riskTier": "critical"}}})
	codes(decision) == {"executor-required", "no-window"}
}

test_an_offboarding_takes_something_back if {
	decision := access.decide with input as fixture.offboard
	decision.effect == "allow"
	codes(decision) == {"taking-back"}
	nothing := access.decide with input as object.union(fixture.offboard, {"change": {"items": 0}})
	nothing.effect == "deny"
	codes(nothing) == {"nothing-to-offboard"}
}

test_what_nobody_but_the_caller_saw_is_verified_as_such if {
	answer := access.verify with input as object.union(fixture.replaced, {"action": "call", "seenBy": "selfReported"})
	answer.effect == "allow"
	codes(answer) == {"reported-done", "self-reported"}
}

test_each_step_of_a_rotation_is_verified if {
	every code, seen in {"as-planned": fixture.staged, "ready-to-take-over": fixture.taken_over, "retired": fixture.retired, "renewed": fixture.replaced} {
		answer := access.verify with input as seen
		answer.effect == "allow"
		codes(answer) == {code}
	}
	failed := access.verify with input as object.union(fixture.retired, {"after": {"touched": {"currentCanLogin": true}}})
	failed.effect == "deny"
	codes(failed) == {"can-log-in"}
}
