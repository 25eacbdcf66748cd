package access.caller_test

import data.access.caller
import data.checks.fixture

by_caller(asked) := object.union(asked, {"change": {"mode": "caller"}})

critical := {"facts": {"nhi": {"riskTier": "critical"}}}

unserved := {"facts": {"connectors": ["pg-dev"]}}

test_a_callers_code_rotates_revokes_and_disables if {
	every asked in [fixture.rotate, fixture.disable, fixture.changing({"kind": "revoke"})] {
		count(caller.deny) == 0 with input as by_caller(asked)
		count(caller.note) == 0 with input as by_caller(asked)
	}
}

test_a_callers_code_does_nothing_else if {
	every kind in ["provision", "grant", "offboard", "teleport", null] {
		fixture.codes(caller.deny) == {"executor-required"} with input as fixture.changing({"kind": kind, "mode": "caller"})
	}
}

test_critical_risk_is_an_executors_where_there_is_one if {
	every asked in [fixture.rotate, fixture.disable, fixture.changing({"kind": "revoke"})] {
		fixture.codes(caller.deny) == {"executor-required"} with input as object.union(by_caller(asked), critical)
		count(caller.deny) == 0 with input as object.union(asked, critical)
		count(caller.deny) == 0 with input as object.union(object.union(by_caller(asked), critical), unserved)
	}
}

test_where_it_is_not_known_which_connectors_there_are_there_may_be_one if {
	fixture.codes(caller.deny) == {"executor-required"} with input as object.union(by_caller(fixture.rotate), {"facts": {"nhi": {"riskTier": "critical"}, "connectors": null}})
}

test_what_no_executor_sees_is_said if {
	fixture.codes(caller.note) == {"self-reported"} with input as object.union(by_caller(fixture.rotate), unserved)
	fixture.codes(caller.note) == {"self-reported"} with input as object.union(fixture.granted, {"seenBy": "selfReported"})
	count(caller.note) == 0 with input as object.union(fixture.rotate, unserved)
	count(caller.note) == 0 with input as fixture.granted
}
