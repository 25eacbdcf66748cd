package workflow.standing_approval_test

import data.access
import data.checks.fixture
import data.workflow.standing_approval

using := {"used": {"ageMs": 1000, "privileges": [fixture.orders.privilege]}}

asking(change) := object.union(fixture.changing(change), using)

tier(name) := object.union(fixture.knowing({"nhi": {"riskTier": name}}), using)

test_it_counts_for_what_is_familiar_and_short_by_risk if {
	every name in ["low", "medium"] {
		standing_approval.obligation == {"maxLeaseSeconds": 3600} with input as tier(name)
	}
	every name in ["high", "critical"] {
		not standing_approval.obligation with input as tier(name)
	}
	standing_approval.obligation == {"maxLeaseSeconds": 600} with input as tier("critical") with data.limits.standingApproval as {"maxLeaseSeconds": {"critical": 600}, "firstTime": true} with data.limits.leaseSecondsMax.critical as 600
		with input.change.leaseSeconds as 600
}

test_a_rotation_counts_without_a_lease if {
	standing_approval.obligation == {"maxLeaseSeconds": 3600} with input as fixture.rotating({})
}

test_none_counts_for_what_is_no_everyday_matter if {
	every asked in [
		asking({"emergency": true}),
		asking({"leaseSeconds": null}),
		asking({"leaseSeconds": 3601}),
		asking({"kind": "teleport"}),
		asking({"entitlements": []}),
		fixture.grant,
		object.union(fixture.grant, {"used": {"ageMs": 1000, "privileges": []}}),
		object.union(fixture.grant, {"used": {"ageMs": 2592000001, "privileges": [fixture.orders.privilege]}}),
		{"change": {"kind": "grant"}},
		{},
	] {
		not standing_approval.obligation with input as asked
	}
}

test_what_is_not_seen_to_be_used_counts_where_the_limits_say_so if {
	standing_approval.obligation with input as fixture.grant with data.limits.standingApproval.firstTime as true
	every said in [false, "true", 1, null] {
		not standing_approval.obligation with input as fixture.grant with data.limits.standingApproval.firstTime as said
	}
}

test_a_limit_that_is_none_lets_none_count if {
	every seconds in [0, -1, 0.5, 2592001, "600", null, [], {}] {
		not standing_approval.obligation with input as asking({}) with data.limits.standingApproval as {"maxLeaseSeconds": {"medium": seconds}}
	}
	not standing_approval.obligation with input as asking({}) with data.limits as object.remove(fixture.limits, ["standingApproval"])
}

test_a_decision_says_so_only_where_it_needs_approval if {
	asked := access.decide with input as asking({})
	asked.effect == "needsApproval"
	asked.obligations.standingApproval == {"maxLeaseSeconds": 3600}

	unfamiliar := access.decide with input as fixture.grant
	unfamiliar.effect == "needsApproval"
	not unfamiliar.obligations.standingApproval

	denied := access.decide with input as asking({"purpose": "purge"})
	denied.effect == "deny"
	not denied.obligations.standingApproval
}
