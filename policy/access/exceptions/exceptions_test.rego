package access.exceptions_test

import data.access
import data.access.exceptions
import data.checks.fixture

day_ms := 86400000

one := {
	"id": "billing-orders",
	"rule": "exceeds-purpose",
	"subject": "nhi:prod/billing-export",
	"owner": "person:wei",
	"fromMs": fixture.now_ms - day_ms,
	"untilMs": fixture.now_ms + day_ms,
}

excessive := fixture.changing({"entitlements": [fixture.orders, fixture.customers]})

with_exceptions(asked, list) := object.union(asked, {"facts": {"exceptions": list}})

excepted(part) := with_exceptions(excessive, [object.union(one, part)])

codes(decision) := {reason.code | some reason in decision.reasons}

test_what_an_exception_takes_away_is_approved_and_never_allowed if {
	decision := access.decide with input as excepted({})
	decision.effect == "needsApproval"
	codes(decision) == {"owner-and-security-approval", "excepted"}
	decision.exceptions == [{"id": "billing-orders", "rule": "exceeds-purpose", "owner": "person:wei", "until": "2026-11-21T00:00:00.000Z"}]
	decision.obligations.approvers.allOf[1] == {"anyOf": ["person:wei"]}
}

test_of_low_risk_too_its_owner_an_owner_and_security_approve if {
	shorter := object.union(fixture.preview_grant, {"change": {"leaseSeconds": 7000000}})
	listed := [object.union(one, {"rule": "lease-too-long", "subject": "nhi:dev/report-preview", "untilMs": fixture.now_ms + (89 * day_ms)})]
	decision := access.decide with input as with_exceptions(shorter, listed)
	decision.effect == "needsApproval"
	codes(decision) == {"excepted"}
	decision.obligations.maxLeaseSeconds == 7000000
	decision.obligations.approvers == {"allOf": [
		{"allOf": [
			{"anyOf": ["person:ana", "person:ben"]},
			{"anyOf": ["person:olga"]},
			{"atLeast": 2, "of": ["person:ana", "person:ben", "person:olga"]},
		]},
		{"anyOf": ["person:wei"]},
	]}
}

test_without_a_denial_an_exception_says_nothing if {
	plain := access.decide with input as fixture.grant
	decision := access.decide with input as with_exceptions(fixture.grant, [one])
	decision == plain
}

test_an_exception_that_does_not_hold_takes_nothing_away if {
	before := access.decide with input as excessive
	every part in [
		{"untilMs": fixture.now_ms},
		{"untilMs": fixture.now_ms - 1},
		{"fromMs": fixture.now_ms + 1},
		{"fromMs": null},
		{"fromMs": "0"},
		{"untilMs": null},
		{"untilMs": []},
		{"untilMs": "later"},
		{"untilMs": (fixture.now_ms - day_ms) + (91 * day_ms)},
		{"rule": "lease-too-long"},
		{"rule": "exceeds"},
		{"rule": null},
		{"id": 1},
		{"subject": "nhi:prod/other"},
		{"subject": null},
		{"owner": "person:kim"},
		{"owner": "person:nobody"},
		{"owner": "nhi:prod/billing-export"},
		{"owner": null},
	] {
		decision := access.decide with input as excepted(part)
		decision == before
	}
	every list in [null, [], {}, "x", [null], ["billing-orders"]] {
		decision := access.decide with input as with_exceptions(excessive, list)
		decision == before
	}
}

test_without_the_limit_no_exception_holds if {
	every limit in [null, "x", [[]]] {
		spoilt := object.union(data.limits, {"exceptionMsMax": limit})
		access.decide.effect == "deny" with input as excepted({}) with data.limits as spoilt
	}
	decision := access.decide with input as excepted({}) with data.limits as object.remove(data.limits, ["exceptionMsMax"])
	decision.effect == "deny"
}

test_an_exception_lasts_ninety_days_and_not_longer if {
	ends := one.fromMs + (90 * day_ms)
	access.decide.effect == "needsApproval" with input as excepted({"untilMs": ends})
	access.decide.effect == "deny" with input as excepted({"untilMs": ends + 1})
}

test_who_asks_does_not_approve_by_an_exception_of_their_own if {
	every requester in [["person:wei"], ["nhi:prod/billing-export", "person:wei"]] {
		asked := object.union(excepted({}), {"change": {"requester": requester}})
		access.decide.effect == "deny" with input as asked
	}
	linked := object.union(excepted({"owner": "person:ana-adm"}), {"change": {"requester": ["person:ana"]}})
	access.decide.effect == "deny" with input as linked
}

test_too_few_people_are_too_few_for_an_exception_too if {
	nobody := object.union(excepted({}), {"facts": {"directory": object.union(fixture.directory, {"teams": []})}})
	decision := access.decide with input as nobody
	decision.effect == "deny"
	codes(decision) == {"no-eligible-approver"}
	count(decision.exceptions) == 1
}

test_what_else_is_objected_to_still_denies if {
	asked := object.union(excepted({"untilMs": fixture.now_ms + (2 * day_ms)}), {"change": {"leaseSeconds": 86401}})
	decision := access.decide with input as asked
	decision.effect == "deny"
	codes(decision) == {"lease-too-long"}
	decision.obligations.approvers == {"anyOf": []}
	[used.rule | some used in decision.exceptions] == ["exceeds-purpose"]
}

test_each_rule_has_an_exception_of_its_own if {
	both := with_exceptions(fixture.changing({"entitlements": [fixture.orders, fixture.customers], "leaseSeconds": 86401}), [
		object.union(one, {"untilMs": fixture.now_ms + (2 * day_ms)}),
		object.union(one, {"id": "billing-lease", "rule": "lease-too-long", "owner": "person:olga", "untilMs": fixture.now_ms + (2 * day_ms)}),
	])
	decision := access.decide with input as both
	decision.effect == "needsApproval"
	[used.id | some used in decision.exceptions] == ["billing-orders", "billing-lease"]
	array.slice(decision.obligations.approvers.allOf, 1, 3) == [{"anyOf": ["person:olga"]}, {"anyOf": ["person:wei"]}]
}

test_of_two_for_one_rule_one_is_named if {
	decision := access.decide with input as with_exceptions(excessive, [one, object.union(one, {"id": "another"})])
	count(decision.exceptions) == 1
}

test_whoever_may_not_ask_is_told_of_no_exception if {
	asked := object.union(excepted({}), {"change": {"requester": ["person:stranger"]}})
	decision := access.decide with input as asked
	codes(decision) == {"unknown-requester"}
	not decision.exceptions
}

test_no_exception_touches_who_asks_and_what_is_known if {
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
		decision := access.decide with input as with_exceptions(asked, [object.union(one, {"rule": code})])
		decision.effect == "deny"
		code in codes(decision)
		not decision.exceptions
	}
}

test_what_the_list_names_is_untouchable_whatever_a_rule_says_of_itself if {
	every code in exceptions.untouchable {
		not exceptions.exceptable({"reason": {"code": code}, "exceptable": true})
	}
	exceptions.exceptable({"reason": {"code": "exceeds-purpose"}, "exceptable": true})
	not exceptions.exceptable({"reason": {"code": "exceeds-purpose"}, "exceptable": false})
	not exceptions.exceptable({"reason": {"code": "exceeds-purpose"}})
	not exceptions.exceptable({"overlay": "team"})
}

test_an_emergency_is_no_way_past_what_is_denied if {
	asked := object.union(excepted({}), {"change": {"emergency": true}})
	access.decide.effect == "deny" with input as asked
}

test_an_exception_is_no_reason_to_permit_what_is_not_asked_properly if {
	every part in [
		{"facts": {"locks": null}},
		{"facts": {"calendar": {"windows": null}}},
		{"change": {"overlap": "other"}},
		{"change": {"window": {}}},
		{"v": 2},
	] {
		decision := access.decide with input as object.union(excepted({}), part)
		decision.effect == "deny"
		not decision.exceptions
	}
}

test_what_is_no_lease_is_not_excepted if {
	every seconds in [0, -1, "x", [], false] {
		asked := with_exceptions(fixture.changing({"leaseSeconds": seconds}), [object.union(one, {"rule": "lease-too-long"})])
		access.decide.effect == "deny" with input as asked
	}
}

test_access_that_stands_is_let_through_by_none if {
	asked := with_exceptions(fixture.changing({"leaseSeconds": null}), [object.union(one, {"rule": "standing-not-allowed"})])
	decision := access.decide with input as asked
	decision.effect == "deny"
	"standing-not-allowed" in codes(decision)
	beyond := fixture.changing({"leaseSeconds": null, "entitlements": [fixture.orders, fixture.customers]})
	"exceeds-purpose" in codes(access.decide) with input as with_exceptions(beyond, [one])
}

test_what_is_let_through_is_over_with_the_exception if {
	seconds := excessive.change.leaseSeconds
	ending := object.union(one, {"untilMs": fixture.now_ms + (seconds * 1000)})
	access.decide.effect == "needsApproval" with input as with_exceptions(excessive, [ending])
	early := object.union(one, {"untilMs": (fixture.now_ms + (seconds * 1000)) - 1})
	access.decide.effect == "deny" with input as with_exceptions(excessive, [early])
}

test_a_rotation_has_no_lease_that_could_outlast_it if {
	elsewhere := object.union(fixture.rotate, {"facts": {"nhi": {"environment": "dev"}}})
	"environment-mismatch" in codes(access.decide) with input as elsewhere
	decision := access.decide with input as with_exceptions(elsewhere, [object.union(one, {"rule": "environment-mismatch"})])
	decision.effect == "needsApproval"
	"excepted" in codes(decision)
}

test_taking_away_needs_no_exception_and_gets_none if {
	plain := access.decide with input as fixture.disable
	decision := access.decide with input as with_exceptions(fixture.disable, [one])
	decision == plain
}

objection(part) := object.union({"reason": {"code": "not-ours", "message": "Not here.", "rule": "overlays.team.deny"}, "controls": set()}, part)

test_what_an_overlay_denies_is_excepted_only_where_it_says_so if {
	asked := with_exceptions(fixture.grant, [object.union(one, {"rule": "not-ours"})])
	every part in [{}, {"exceptable": false}, {"exceptable": "true"}, {"exceptable": null}] {
		access.decide.effect == "deny" with input as asked with data.overlays as {"team": {"deny": {objection(part)}}}
	}
	decision := access.decide with input as asked with data.overlays as {"team": {"deny": {objection({"exceptable": true})}}}
	decision.effect == "needsApproval"
	"excepted" in codes(decision)
}

test_an_overlay_that_uses_a_code_of_the_baseline_is_not_silenced_with_it if {
	same := object.union(objection({}), {"reason": {"code": "exceeds-purpose"}})
	decision := access.decide with input as excepted({}) with data.overlays as {"team": {"deny": {same}}}
	decision.effect == "deny"
	decision.reasons == [same.reason]
}
