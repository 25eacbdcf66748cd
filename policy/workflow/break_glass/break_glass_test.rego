package workflow.break_glass_test

import data.access
import data.checks.fixture
import data.workflow.break_glass

urgent := fixture.changing({"emergency": true})

tier(name) := object.union(fixture.knowing({"nhi": {"riskTier": name}}), {"change": {"emergency": true}})

test_the_glass_is_broken_for_as_long_as_its_risk_allows if {
	every name, seconds in {"low": 3600, "medium": 3600, "high": 1800, "critical": 900} {
		break_glass.obligation == {"maxLeaseSeconds": seconds, "reviewWithinSeconds": 86400, "rotateWithinSeconds": 86400} with input as tier(name)
	}
}

test_it_is_for_an_emergency_with_a_lease_and_nothing_else if {
	every asked in [
		fixture.grant,
		fixture.changing({"emergency": true, "leaseSeconds": null}),
		fixture.rotating({"emergency": true}),
		fixture.changing({"emergency": true, "kind": "extend"}),
		fixture.changing({"emergency": true, "kind": "teleport"}),
		{"change": {"emergency": true}},
		{},
	] {
		not break_glass.obligation with input as asked
	}
}

test_what_the_limits_do_not_say_lets_nobody if {
	every limits in [
		{},
		{"maxLeaseSeconds": {"medium": 600}},
		{"reviewWithinSeconds": 3600},
		{"maxLeaseSeconds": {"low": 600}, "reviewWithinSeconds": 3600},
	] {
		not break_glass.obligation with input as urgent with data.limits.breakGlass as limits
	}
	not break_glass.obligation with input as urgent with data.limits as object.remove(fixture.limits, ["breakGlass"])
}

test_a_time_that_is_none_lets_nobody if {
	every seconds in [0, -1, 0.5, 86401, "600", null, [], {}] {
		not break_glass.obligation with input as urgent with data.limits.breakGlass as {"maxLeaseSeconds": {"medium": seconds}, "reviewWithinSeconds": 3600}
	}
	every seconds in [0, 1.5, 2592001, "600", null] {
		not break_glass.obligation with input as urgent with data.limits.breakGlass as {"maxLeaseSeconds": {"medium": 600}, "reviewWithinSeconds": seconds}
	}
}

test_a_rotation_is_asked_for_where_the_limits_say_by_when if {
	said := {"maxLeaseSeconds": {"medium": 600}, "reviewWithinSeconds": 3600}
	break_glass.obligation == {"maxLeaseSeconds": 600, "reviewWithinSeconds": 3600} with input as urgent with data.limits.breakGlass as said
	every seconds in [1, 2592000] {
		break_glass.obligation.rotateWithinSeconds == seconds with input as urgent with data.limits.breakGlass as object.union(said, {"rotateWithinSeconds": seconds})
	}
	every seconds in [0, 1.5, 2592001, "600", null, false] {
		not break_glass.obligation with input as urgent with data.limits.breakGlass as object.union(said, {"rotateWithinSeconds": seconds})
	}
}

test_a_decision_says_so_only_where_it_needs_approval if {
	asked := access.decide with input as urgent
	asked.effect == "needsApproval"
	asked.obligations.breakGlass == {"maxLeaseSeconds": 3600, "reviewWithinSeconds": 86400, "rotateWithinSeconds": 86400}

	usual := access.decide with input as fixture.grant
	usual.effect == "needsApproval"
	not usual.obligations.breakGlass

	denied := access.decide with input as object.union(urgent, {"change": {"requester": ["person:nobody"]}})
	denied.effect == "deny"
	not denied.obligations.breakGlass
}
