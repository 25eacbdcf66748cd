package workflow.emergency_test

import data.checks.fixture
import data.workflow.emergency

test_an_emergency_says_so if {
	fixture.codes(emergency.pending) == {"emergency"} with input as fixture.changing({"emergency": true})
	fixture.codes(emergency.pending) == {"emergency"} with input as fixture.rotating({"emergency": true})
}

test_what_is_none_or_is_not_asked_properly_does_not if {
	every asked in [
		fixture.grant,
		fixture.changing({"emergency": "true"}),
		fixture.changing({"emergency": true, "kind": "revoke"}),
		fixture.changing({"emergency": true, "kind": "teleport"}),
		object.union(fixture.changing({"emergency": true}), {"v": 2}),
		{"change": {"emergency": true}},
	] {
		count(emergency.pending) == 0 with input as asked
	}
}
