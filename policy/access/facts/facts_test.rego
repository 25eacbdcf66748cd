package access.facts_test

import data.access.facts
import data.checks.fixture

test_fresh_facts_are_not_denied if {
	every age in [0, 86400000] {
		count(facts.deny) == 0 with input as fixture.knowing({"ageMs": age})
	}
}

test_stale_facts_are_denied if {
	every age in [86400001, -1, null] {
		fixture.codes(facts.deny) == {"facts-stale"} with input as fixture.knowing({"ageMs": age})
	}
}

test_a_limit_that_is_missing_denies if {
	fixture.codes(facts.deny) == {"facts-stale"} with input as fixture.grant with data.limits as object.remove(fixture.limits, ["factsAgeMaxMs"])
}

test_taking_back_does_not_wait_for_facts if {
	count(facts.deny) == 0 with input as object.union(fixture.changing({"kind": "revoke"}), {"facts": {"ageMs": 86400001}})
}

test_a_dispatch_has_a_plan if {
	count(facts.deny) == 0 with input as object.union(fixture.grant, {"phase": "dispatch"})
}

test_a_dispatch_without_a_plan_is_denied if {
	fixture.codes(facts.deny) == {"no-plan"} with input as object.union(fixture.changing({"planDigest": null}), {"phase": "dispatch"})
}

test_a_request_may_have_no_plan if {
	count(facts.deny) == 0 with input as fixture.changing({"planDigest": null})
}

test_a_phase_that_is_not_known_is_denied if {
	fixture.codes(facts.deny) == {"no-plan"} with input as object.union(fixture.grant, {"phase": "whenever"})
}

test_what_is_held_already_is_noted if {
	fixture.codes(facts.note) == {"already-held"} with input as object.union(fixture.grant, {"held": ["table:public.orders:SELECT"]})
}

test_what_is_held_in_part_is_not_noted if {
	asked := fixture.changing({"entitlements": [fixture.orders, fixture.invoices]})
	count(facts.note) == 0 with input as object.union(asked, {"held": ["table:public.orders:SELECT"]})
}

test_a_new_account_holds_nothing_to_note if {
	count(facts.note) == 0 with input as object.union(fixture.changing({"kind": "provision"}), {"held": null})
}

seen(age) := object.union(fixture.grant, {
	"held": ["role:deploy"],
	"used": {"privileges": ["table:public.invoices:SELECT"], "ageMs": age},
})

test_what_is_held_but_was_not_seen_in_use_is_noted if {
	fixture.codes(facts.note) == {"held-unused"} with input as seen(1000)
}

test_an_old_observation_says_nothing if {
	count(facts.note) == 0 with input as seen(2592000001)
}

locked := {"facts": {"locks": [{"lockId": "lck_01JDE7XQ0M4N5P6Q7R8S9T0V1W", "reason": "leaked"}]}}

test_a_lock_is_said_where_something_is_gained if {
	fixture.codes(facts.note) == {"locked"} with input as object.union(fixture.grant, locked)
	fixture.codes(facts.note) == {"locked"} with input as object.union(fixture.rotate, locked)
	count(facts.note) == 0 with input as object.union(fixture.disable, locked)
	count(facts.deny) == 0 with input as object.union(fixture.grant, locked)
}

test_an_old_login_is_shut_out_on_stale_facts if {
	retiring := object.union(fixture.rotate, fixture.step("retire", 3))
	count(facts.deny) == 0 with input as object.union(retiring, {"facts": {"ageMs": 86400001}})
	fixture.codes(facts.deny) == {"facts-stale"} with input as object.union(fixture.rotate, {"facts": {"ageMs": 86400001}})
}

test_an_age_or_limit_that_is_no_number_is_stale if {
	fixture.codes(facts.deny) == {"facts-stale"} with input as fixture.grant with data.limits.factsAgeMaxMs as "86400000"
	fixture.codes(facts.deny) == {"facts-stale"} with input as fixture.knowing({"ageMs": "1"}) with data.limits.factsAgeMaxMs as "86400000"
}
