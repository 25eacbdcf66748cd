package access.offboarding_test

import data.access.offboarding
import data.checks.fixture

test_something_to_take_back_is_not_denied if {
	count(offboarding.deny) == 0 with input as fixture.offboard
	count(offboarding.deny) == 0 with input as fixture.grant
}

test_nothing_to_take_back_is_denied if {
	every items in [0, -1, null, "2", [2]] {
		fixture.codes(offboarding.deny) == {"nothing-to-offboard"} with input as object.union(fixture.offboard, {"change": {"items": items}})
	}
}
