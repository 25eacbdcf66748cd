package access.verification_test

import data.access
import data.access.verification
import data.checks.fixture

granted(part) := object.union(fixture.granted, part)

revoked(part) := object.union(fixture.revoked, part)

test_before_and_plan_is_allowed if {
	count(verification.deny) == 0 with input as fixture.granted
	fixture.codes(verification.permit) == {"as-planned"} with input as fixture.granted
}

test_what_was_held_already_may_be_given_again if {
	count(verification.deny) == 0 with input as granted({"before": {"held": fixture.granted.after.held}})
}

test_a_privilege_that_was_not_given_is_denied if {
	fixture.codes(verification.deny) == {"privilege-missing"} with input as granted({"after": {"held": ["table:public.invoices:SELECT"]}})
}

test_a_privilege_that_was_lost_is_denied if {
	fixture.codes(verification.deny) == {"privilege-missing"} with input as granted({"after": {"held": ["table:public.orders:SELECT"]}})
}

test_a_privilege_beyond_the_plan_is_denied if {
	held := array.concat(fixture.granted.after.held, ["role:app_owner"])
	fixture.codes(verification.deny) == {"privilege-beyond-plan"} with input as granted({"after": {"held": held}})
}

test_a_privilege_that_what_is_given_brings_along_is_not_beyond_the_plan if {
	held := array.concat(fixture.granted.after.held, ["schema:public:USAGE"])
	fixture.codes(verification.permit) == {"as-planned"} with input as granted({"after": {"held": held}, "conveyed": ["schema:public:USAGE"]})
	count(verification.deny) == 0 with input as granted({"after": {"held": held}, "conveyed": ["schema:public:USAGE"]})
}

test_access_that_works_by_use_is_allowed if {
	count(verification.deny) == 0 with input as granted({"verification": "byUse", "byUse": "works"})
}

test_a_credential_that_a_crash_left_untried_stands_and_says_so if {
	part := {"verification": "byUse", "byUse": "notTried"}
	count(verification.deny) == 0 with input as granted(part)
	fixture.codes(verification.note) == {"not-tried"} with input as granted(part)
}

test_access_that_failed_in_use_is_denied if {
	every part in [
		{"verification": "byUse", "byUse": "fails"},
		{"verification": "readBack", "byUse": "fails"},
		{"verification": "hearsay", "byUse": "works"},
	] {
		fixture.codes(verification.deny) == {"not-working"} with input as granted(part)
	}
}

test_an_account_that_is_missing_is_denied if {
	fixture.codes(verification.deny) == {"account-missing"} with input as granted({"after": {"exists": false}})
}

test_what_was_taken_back_is_allowed if {
	count(verification.deny) == 0 with input as fixture.revoked
	fixture.codes(verification.permit) == {"taken-back"} with input as fixture.revoked
	count(verification.note) == 0 with input as fixture.revoked
}

test_an_account_that_is_gone_holds_nothing if {
	gone := revoked({"after": {"exists": false, "held": []}})
	count(verification.deny) == 0 with input as gone
	fixture.codes(verification.note) == {"changed-beyond-plan"} with input as gone
}

test_what_is_still_held_is_denied if {
	fixture.codes(verification.deny) == {"still-held"} with input as revoked({"after": {"held": ["table:public.orders:SELECT"]}})
}

test_access_that_still_works_is_denied if {
	fixture.codes(verification.deny) == {"still-held"} with input as revoked({"byUse": "works"})
}

test_a_state_that_was_not_read_is_denied if {
	fixture.codes(verification.deny) == {"privilege-missing", "privilege-beyond-plan"} with input as granted({"after": {"held": null}})
	fixture.codes(verification.deny) == {"still-held"} with input as revoked({"after": {"held": null}})
}

test_what_is_not_understood_is_denied if {
	fixture.codes(verification.deny) == {"verification-not-understood"} with input as granted({"v": 2})
	fixture.codes(verification.deny) == {"verification-not-understood"} with input as revoked({"v": 2})
	fixture.codes(verification.deny) == {"verification-not-understood"} with input as granted({"kind": "rotate"})
	count(verification.permit) == 0 with input as granted({"v": 2})
	count(verification.permit) == 0 with input as revoked({"v": 2})
}

test_what_was_taken_back_and_fails_in_use_is_allowed if {
	failing := revoked({"verification": "byUse", "byUse": "fails"})
	count(verification.deny) == 0 with input as failing
	fixture.codes(verification.permit) == {"taken-back"} with input as failing
}

test_what_was_to_be_read_back_needs_no_trial if {
	count(verification.note) == 0 with input as fixture.granted
}

test_how_it_was_to_be_verified_is_known if {
	fixture.codes(verification.deny) == {"not-working"} with input as granted({"verification": "hearsay", "byUse": "notTried"})
}

test_an_extension_leaves_what_was_held_and_nothing_more if {
	count(verification.deny) == 0 with input as fixture.extended
	fixture.codes(verification.permit) == {"as-planned"} with input as fixture.extended
	count(verification.note) == 0 with input as fixture.extended
}

test_an_extension_of_what_is_gone_is_denied if {
	fixture.codes(verification.deny) == {"privilege-missing"} with input as object.union(fixture.extended, {"after": {"held": ["table:public.invoices:SELECT"]}})
}

test_what_was_to_be_given_or_taken_must_be_said if {
	every asked in [fixture.granted, fixture.revoked, fixture.retired] {
		without := object.remove(asked, ["privileges"])
		"verification-not-understood" in fixture.codes(verification.deny) with input as without
		access.verify.effect == "deny" with input as without
	}
}
