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
		revocation := access.revoker with input as nothing
		revocation.allow == false
		count(revocation.reasons) > 0
	}
}

test_what_no_rule_permits_is_denied if {
	decision := access.decide with input as object.union(fixture.grant, {"v": 2})
	decision.effect == "deny"
	codes(decision) == {"no-permit-reason"}
}

test_a_kind_that_no_rule_foresees_is_denied if {
	decision := access.decide with input as fixture.changing({"kind": "rotate"})
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

test_an_owner_may_take_back if {
	answer := access.revoker with input as fixture.revoker
	answer.allow == true
	codes(answer) == {"revoker-owner"}
}

test_a_stranger_may_not_take_back if {
	answer := access.revoker with input as object.union(fixture.revoker, {"principal": "person:mallory"})
	answer.allow == false
	codes(answer) == {"not-a-revoker"}
}
