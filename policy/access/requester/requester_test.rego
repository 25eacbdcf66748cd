package access.requester_test

import data.access.requester
import data.checks.fixture

chain(principals) := fixture.changing({"requester": principals})

test_the_identity_itself_and_active_people_may_ask if {
	every principals in [
		["nhi:prod/billing-export"],
		["person:mallory"],
		["nhi:prod/billing-export", "person:ana"],
	] {
		count(requester.deny) == 0 with input as chain(principals)
	}
}

test_whoever_is_not_known_may_not_ask if {
	every principals in [
		["person:nobody"],
		["nhi:prod/other"],
		["sidecar:0123456789abcdef"],
		["executor:main"],
		["nhi:prod/billing-export", "person:nobody"],
		[],
	] {
		fixture.codes(requester.deny) == {"unknown-requester"} with input as chain(principals)
	}
}

test_whoever_is_disabled_may_not_ask if {
	every principals in [["person:kim"], ["nhi:prod/billing-export", "person:kim"]] {
		fixture.codes(requester.deny) == {"requester-inactive"} with input as chain(principals)
	}
}

test_what_was_decided_and_approved_is_carried_through_whoever_left if {
	parent := {"changeId": "chg_0123456789abcdef_01JDE7XQ0M4N5P6Q7R8S9T0V1X", "requester": ["person:olga"]}
	part := object.union(fixture.disable, {"change": {"parent": parent}})
	retiring := object.union(fixture.rotate, fixture.step("retire", 3))
	every principals in [["person:kim"], ["person:nobody"], ["sidecar:0123456789abcdef"]] {
		every asked in [part, retiring] {
			count(requester.deny) == 0 with input as object.union(asked, {"change": {"requester": principals}})
		}
		every asked in [fixture.rotate, fixture.offboard] {
			count(requester.deny) == 1 with input as object.union(asked, {"change": {"requester": principals}})
		}
	}
	every principals in [["person:kim"], ["person:nobody"]] {
		count(requester.deny) == 1 with input as object.union(fixture.disable, {"change": {"requester": principals}})
	}
}

test_a_sidecar_asks_to_take_away_and_for_nothing_else if {
	by := {"change": {"requester": ["sidecar:0123456789abcdef"]}}
	every asked in [fixture.disable, object.union(fixture.grant, {"change": {"kind": "revoke"}})] {
		count(requester.deny) == 0 with input as object.union(asked, by)
	}
	called := {"change": {"mode": "caller"}}
	every asked in [fixture.grant, fixture.rotate, fixture.offboard, object.union(fixture.disable, called)] {
		count(requester.deny) == 1 with input as object.union(asked, by)
	}
}
