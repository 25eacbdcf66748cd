package access.observe_test

import data.access
import data.checks.fixture

day_ms := 86400000

one := {
	"id": "billing",
	"owner": "person:wei",
	"fromMs": fixture.now_ms - day_ms,
	"untilMs": fixture.now_ms + day_ms,
	"environments": ["prod"],
	"connectors": null,
	"prefixes": null,
}

excessive := fixture.changing({"entitlements": [fixture.orders, fixture.customers]})

under(asked, list) := object.union(asked, {"facts": {"observe": list}})

scoped(part) := under(excessive, [object.union(one, part)])

codes(reasons) := {reason.code | some reason in reasons}

test_what_is_denied_goes_ahead_and_the_decision_says_what_policy_says if {
	real := access.decide with input as excessive
	decision := access.decide with input as scoped({})
	real.effect == "deny"
	decision.effect == "allow"
	codes(decision.reasons) == {"observed"}
	decision.obligations.approvers == null
	decision.obligations.maxLeaseSeconds == real.obligations.maxLeaseSeconds
	not decision.obligations.escalation
	decision.observed.effect == "deny"
	decision.observed.reasons == real.reasons
	decision.observed.scope == "billing"
	decision.observed.owner == "person:wei"
	decision.observed.until == "2026-11-21T00:00:00.000Z"
	decision.observed.approvers.allOf[0] == {"anyOf": ["person:ana", "person:ben"]}
	every control in real.controls {
		control in decision.controls
	}
}

test_what_needs_approvals_goes_ahead_and_those_are_named if {
	real := access.decide with input as fixture.grant
	decision := access.decide with input as under(fixture.grant, [one])
	real.effect == "needsApproval"
	decision.effect == "allow"
	decision.observed.effect == "needsApproval"
	decision.observed.approvers == real.obligations.approvers
	real.obligations.escalation
	not decision.obligations.escalation
	decision.obligations.proofClass == real.obligations.proofClass
}

# Whoever has it could make an approver of herself.
test_what_governs_approvals_is_in_no_scope if {
	governed := object.union(fixture.grant, {"facts": {"catalogue": {"entitlements": [object.union(fixture.ranked(fixture.orders, 20, "prod"), {"governs": "approvers"})]}}})
	real := access.decide with input as governed
	real.effect == "needsApproval"
	access.decide == real with input as under(governed, [one])
}

test_what_is_allowed_is_not_observed if {
	dev := object.union(one, {"environments": ["dev"]})
	real := access.decide with input as fixture.preview_grant
	decision := access.decide with input as under(fixture.preview_grant, [dev])
	real.effect == "allow"
	decision == real
}

test_nobody_would_approve_what_needs_no_approval_and_is_denied if {
	long := object.union(fixture.preview_grant, {"change": {"leaseSeconds": 40000}})
	decision := access.decide with input as under(long, [object.union(one, {"environments": ["dev"]})])
	decision.effect == "allow"
	decision.observed.effect == "deny"
	decision.observed.approvers == null
	decision.obligations.maxLeaseSeconds == 40000
}

test_a_scope_that_does_not_hold_changes_nothing if {
	before := access.decide with input as excessive
	every part in [
		{"untilMs": fixture.now_ms},
		{"fromMs": fixture.now_ms + 1},
		{"fromMs": null},
		{"fromMs": "0"},
		{"untilMs": null},
		{"untilMs": "later"},
		{"untilMs": (fixture.now_ms - day_ms) + (91 * day_ms)},
		{"id": null},
		{"owner": "person:kim"},
		{"owner": "person:nobody"},
		{"owner": "nhi:prod/billing-export"},
		{"owner": null},
		{"environments": ["dev"]},
		{"environments": []},
		{"environments": "prod"},
		{"environments": null},
		{"connectors": ["pg-dev"]},
		{"connectors": []},
		{"prefixes": ["nhi:dev/"]},
		{"prefixes": []},
		{"prefixes": "nhi:"},
	] {
		decision := access.decide with input as scoped(part)
		decision == before
	}
	every list in [null, [], {}, "x", [null], ["billing"]] {
		decision := access.decide with input as under(excessive, list)
		decision == before
	}
	every member, _ in one {
		decision := access.decide with input as under(excessive, [object.remove(one, [member])])
		decision == before
	}
}

test_all_that_a_scope_names_fits if {
	every part in [
		{"connectors": ["pg-main"]},
		{"prefixes": ["nhi:dev/", "nhi:prod/billing-"]},
		{"environments": null, "prefixes": ["nhi:"]},
		{"environments": null, "connectors": ["pg-main", "pg-dev"]},
	] {
		access.decide.effect == "allow" with input as scoped(part)
	}
}

test_an_environment_is_that_of_what_is_asked_for_too if {
	elsewhere := object.union(excessive, {"facts": {"nhi": {"environment": "dev"}}})
	real := access.decide with input as elsewhere
	"environment-mismatch" in codes(real.reasons)
	access.decide.effect == "deny" with input as under(elsewhere, [object.union(one, {"environments": ["dev"]})])
	access.decide.effect == "deny" with input as under(elsewhere, [object.union(one, {"environments": ["prod"]})])
	access.decide.effect == "allow" with input as under(elsewhere, [object.union(one, {"environments": ["dev", "prod"]})])
}

test_without_the_limit_no_scope_holds if {
	every limit in [null, "x", [[]]] {
		access.decide.effect == "deny" with input as scoped({}) with data.limits as object.union(data.limits, {"observeMsMax": limit})
	}
	access.decide.effect == "deny" with input as scoped({}) with data.limits as object.remove(data.limits, ["observeMsMax"])
}

test_a_scope_lasts_ninety_days_and_not_longer if {
	ends := one.fromMs + (90 * day_ms)
	access.decide.effect == "allow" with input as scoped({"untilMs": ends})
	access.decide.effect == "deny" with input as scoped({"untilMs": ends + 1})
}

test_the_lease_is_over_with_the_scope if {
	ends := fixture.now_ms + (excessive.change.leaseSeconds * 1000)
	access.decide.effect == "allow" with input as scoped({"untilMs": ends})
	access.decide.effect == "deny" with input as scoped({"untilMs": ends - 1})
}

test_what_has_no_lease_is_enforced if {
	standing := fixture.changing({"purpose": "standing-billing", "leaseSeconds": null})
	every asked in [standing, fixture.rotate, fixture.disable] {
		real := access.decide with input as asked
		decision := access.decide with input as under(asked, [one])
		decision == real
	}
	access.decide.effect == "needsApproval" with input as under(standing, [one])
	access.decide.effect == "needsApproval" with input as under(fixture.rotate, [one])
}

test_a_later_end_is_observed_as_a_lease_is if {
	real := access.decide with input as fixture.extend
	decision := access.decide with input as under(fixture.extend, [one])
	real.effect == "needsApproval"
	decision.effect == "allow"
}

test_an_emergency_is_enforced if {
	asked := object.union(scoped({}), {"change": {"emergency": true}})
	access.decide.effect == "deny" with input as asked
	access.decide.effect == "needsApproval" with input as under(fixture.changing({"emergency": true}), [one])
}

test_who_asks_is_in_no_scope_of_their_own if {
	access.decide.effect == "deny" with input as object.union(scoped({}), {"change": {"requester": ["person:wei"]}})
}

test_what_no_exception_touches_no_scope_does if {
	every code, asked in {
		"unknown-requester": fixture.changing({"requester": ["person:stranger"]}),
		"requester-inactive": fixture.changing({"requester": ["person:kim"]}),
		"unknown-nhi": fixture.knowing({"nhi": null}),
		"facts-stale": fixture.knowing({"ageMs": 99999999999}),
		"unknown-purpose": fixture.changing({"purpose": "none-such"}),
		"unknown-entitlement": fixture.changing({"entitlements": [object.union(fixture.orders, {"privilege": "none-such"})]}),
		"unknown-connector": fixture.knowing({"connectors": []}),
		"no-eligible-approver": fixture.knowing({"nhi": {"owner": "person:kim", "backupOwner": "person:kim"}}),
		"no-plan": object.union(fixture.grant, {"phase": "dispatch", "change": {"planDigest": null, "step": {"action": "grant", "number": 1}}}),
		"not-one-target": fixture.changing({"entitlements": [fixture.orders, fixture.preview]}),
		"executor-required": fixture.changing({"mode": "caller"}),
		"outside-window": object.union(fixture.grant, {"phase": "dispatch", "change": {"step": {"action": "grant", "number": 1}, "window": fixture.later_window}}),
	} {
		decision := access.decide with input as under(asked, [object.union(one, {"environments": null, "prefixes": ["nhi:"]})])
		decision.effect == "deny"
		code in codes(decision.reasons)
		not decision.observed
	}
}

test_beside_what_it_touches_what_it_may_not_touch_denies if {
	asked := object.union(scoped({}), {"facts": {"ageMs": 99999999999}})
	decision := access.decide with input as asked
	decision.effect == "deny"
	codes(decision.reasons) == {"exceeds-purpose", "facts-stale"}
}

test_who_would_approve_must_be_there_whatever_else_is_denied if {
	asked := object.union(scoped({}), {"facts": {"directory": object.union(fixture.directory, {"teams": []})}})
	access.decide.effect == "deny" with input as asked
}

test_a_scope_is_no_reason_to_permit_what_is_not_asked_properly if {
	every part in [
		{"facts": {"locks": null}},
		{"facts": {"calendar": {"windows": null}}},
		{"change": {"overlap": "other"}},
		{"change": {"window": {}}},
		{"change": {"leaseSeconds": 0}},
		{"change": {"leaseSeconds": -1}},
		{"change": {"leaseSeconds": "x"}},
		{"v": 2},
	] {
		decision := access.decide with input as object.union(scoped({}), part)
		decision.effect == "deny"
		not decision.observed
	}
}

test_a_freeze_holds_it_up_all_the_same if {
	frozen := object.union(scoped({}), {"phase": "dispatch", "change": {"step": {"action": "grant", "number": 1}}, "facts": {"calendar": {"windows": [], "freezes": [fixture.freeze(-10, 50)]}}})
	decision := access.decide with input as frozen
	decision.effect == "allow"
	decision.observed.effect == "deny"
	is_string(decision.obligations.notBefore)
}

test_an_exception_is_not_needed_and_not_named if {
	exception := {"id": "billing-orders", "rule": "exceeds-purpose", "subject": "nhi:prod/billing-export", "owner": "person:sam", "fromMs": one.fromMs, "untilMs": one.untilMs}
	decision := access.decide with input as object.union(scoped({}), {"facts": {"exceptions": [exception]}})
	decision.effect == "allow"
	not decision.exceptions
	decision.observed.effect == "needsApproval"
	"excepted" in codes(decision.observed.reasons)
}

test_of_two_scopes_the_first_is_named if {
	decision := access.decide with input as under(excessive, [one, object.union(one, {"id": "all", "owner": "person:sam"})])
	decision.observed.scope == "all"
	decision.observed.owner == "person:sam"
}

objection(part) := object.union({"reason": {"code": "not-ours", "message": "Not here.", "rule": "overlays.team.deny"}, "controls": set()}, part)

test_what_an_overlay_denies_is_observed_only_where_it_says_so if {
	asked := under(fixture.grant, [one])
	every part in [{}, {"exceptable": false}, {"exceptable": "true"}, {"exceptable": null}] {
		access.decide.effect == "deny" with input as asked with data.overlays as {"team": {"deny": {objection(part)}}}
	}
	decision := access.decide with input as asked with data.overlays as {"team": {"deny": {objection({"exceptable": true})}}}
	decision.effect == "allow"
	codes(decision.observed.reasons) == {"not-ours"}
}

running(part) := object.union(object.union(scoped(part), {"phase": "lease"}), {"change": {"observed": true}})

test_a_lease_that_was_given_under_observe_is_kept_while_the_scope_holds if {
	decision := access.redecide with input as running({})
	decision.effect == "keep"
	codes(decision.reasons) == {"observed"}
}

test_after_the_scope_it_is_decided_on_as_any_other if {
	real := access.redecide with input as object.union(excessive, {"phase": "lease"})
	real.effect == "revoke"
	every part in [{"untilMs": fixture.now_ms}, {"environments": ["dev"]}, {"owner": "person:kim"}] {
		decision := access.redecide with input as running(part)
		decision == real
	}
}

test_a_lease_that_was_not_given_under_observe_is_not_kept_by_it if {
	every observed in [false, null, "true", 1] {
		access.redecide.effect == "revoke" with input as object.union(running({}), {"change": {"observed": observed}})
	}
	access.redecide.effect == "revoke" with input as object.union(scoped({}), {"phase": "lease"})
}

test_what_no_scope_touches_takes_it_back if {
	decision := access.redecide with input as object.union(running({}), {"change": {"purpose": "none-such"}})
	decision.effect == "revoke"
	"unknown-purpose" in codes(decision.reasons)
}

test_nothing_stands_against_it_under_observe_too if {
	asked := object.union(under(fixture.grant, [one]), {"phase": "lease", "change": {"observed": true}})
	decision := access.redecide with input as asked
	codes(decision.reasons) == {"lease-kept"}
}
