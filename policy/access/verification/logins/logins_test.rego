package access.verification.logins_test

import data.access.verification
import data.access.verification.logins
import data.checks.fixture

codes := fixture.codes(verification.deny | logins.deny)

proved := fixture.codes(verification.permit | logins.permit)

noted := fixture.codes(verification.note | logins.note)

seen(asked, part) := object.union(asked, part)

by_caller(asked) := object.union(asked, {"action": "call", "byUse": "notTried", "verification": "readBack"})

revoked_by_caller := by_caller(object.union(fixture.revoked, {"privileges": ["table:public.orders:SELECT"]}))

as_expected := {
	"as-planned": fixture.staged,
	"ready-to-take-over": fixture.taken_over,
	"retired": fixture.retired,
	"renewed": fixture.replaced,
	"shut-out": fixture.disabled,
	"taken-back": revoked_by_caller,
}

test_each_step_is_allowed_for_a_reason_of_its_own if {
	every code, asked in as_expected {
		proved == {code} with input as asked
		codes == set() with input as asked
		noted == set() with input as asked
	}
}

test_a_step_that_is_not_understood_is_denied_and_not_allowed if {
	every asked in as_expected {
		every odd in [{"v": 2}, {"kind": "teleport"}, {"seenBy": "somebody"}, {"seenBy": null}] {
			"verification-not-understood" in codes with input as seen(asked, odd)
			proved == set() with input as seen(asked, odd)
		}
	}
}

test_nobody_reports_of_himself_what_an_executor_did if {
	every asked in object.remove(as_expected, ["taken-back"]) {
		"verification-not-understood" in codes with input as seen(asked, {"seenBy": "selfReported"})
	}
}

test_a_step_is_of_its_kind if {
	every kind, actions in {
		"grant": ["provision", "revoke", "stage", "cutover", "retire", "replace", "disable", "call"],
		"provision": ["grant", "call"],
		"revoke": ["disable", "retire"],
		"rotate": ["provision", "grant", "revoke", "disable"],
		"disable": ["revoke", "retire"],
		"offboard": ["disable", "call"],
	} {
		every action in actions {
			"verification-not-understood" in codes with input as seen(fixture.granted, {"kind": kind, "action": action})
		}
	}
}

test_a_new_login_has_what_it_is_to_have if {
	codes == {"privilege-missing"} with input as seen(fixture.staged, {"after": {"held": []}})
	codes == {"privilege-beyond-plan"} with input as seen(fixture.staged, {"after": {"held": ["role:orders", "role:app_owner"]}})
	codes == {"account-missing"} with input as seen(fixture.staged, {"after": {"exists": false}})
	codes == {"not-working"} with input as seen(fixture.staged, {"byUse": "fails"})
	codes == {"privilege-missing"} with input as seen(fixture.staged, {"privileges": [], "after": {"held": []}})
}

test_a_new_login_does_not_need_what_the_account_holds if {
	codes == set() with input as seen(fixture.staged, {"before": {"exists": true, "held": ["table:public.orders:SELECT"]}})
}

test_a_new_login_that_a_crash_left_untried_stands_and_says_so if {
	every asked in [fixture.staged, fixture.replaced] {
		codes == set() with input as seen(asked, {"byUse": "notTried"})
		noted == {"not-tried"} with input as seen(asked, {"byUse": "notTried"})
	}
}

test_what_takes_over_is_there_and_holds_the_role if {
	codes == {"account-missing"} with input as seen(fixture.taken_over, {"after": {"exists": false}})
	codes == {"privilege-missing"} with input as seen(fixture.taken_over, {"after": {"held": []}})
	codes == {"privilege-missing"} with input as seen(fixture.taken_over, {"privileges": []})
	codes == {"not-working"} with input as seen(fixture.taken_over, {"byUse": "fails"})
}

test_the_role_behind_the_logins_stays_the_same if {
	codes == {"role-changed"} with input as seen(fixture.taken_over, {"after": {"touched": {"role": 99}}})
	codes == {"role-changed"} with input as seen(fixture.taken_over, {"after": {"touched": null}})
	roleless := object.union(fixture.taken_over, {"before": {"touched": {"role": null}}, "after": {"touched": {"role": null}}})
	codes == set() with input as roleless
}

test_an_old_login_is_shut_out_and_out_of_the_role if {
	codes == {"can-log-in"} with input as seen(fixture.retired, {"after": {"touched": {"currentCanLogin": true}}})
	codes == {"can-log-in"} with input as seen(fixture.retired, {"after": {"touched": {"currentCanLogin": null}}})
	codes == {"still-held"} with input as seen(fixture.retired, {"after": {"held": ["role:orders"]}})
	codes == {"still-held", "can-log-in"} with input as seen(fixture.retired, {"byUse": "works"})
	codes == {"still-held", "can-log-in"} with input as seen(fixture.retired, {"after": {"held": null}})
}

test_an_old_login_that_is_gone_is_shut_out if {
	codes == set() with input as seen(fixture.retired, {"after": {"exists": false, "touched": {"currentCanLogin": null}}})
	proved == {"retired"} with input as seen(fixture.retired, {"after": {"exists": false, "touched": {"currentCanLogin": null}}})
}

test_a_new_secret_changes_nothing_of_what_is_held if {
	every asked in [fixture.replaced, by_caller(fixture.replaced)] {
		codes == {"holdings-changed"} with input as seen(asked, {"after": {"held": ["role:deploy", "role:app_owner"]}})
		codes == {"holdings-changed"} with input as seen(asked, {"after": {"held": []}})
		codes == {"holdings-changed"} with input as seen(asked, {"after": {"held": null}})
		codes == {"holdings-changed"} with input as seen(asked, {"before": {"held": null}})
		codes == {"account-missing"} with input as seen(asked, {"after": {"exists": false}})
		codes == {"not-working"} with input as seen(asked, {"byUse": "fails"})
	}
}

test_an_account_is_shut_out if {
	every asked in [fixture.disabled, by_caller(fixture.disabled)] {
		proved == {"shut-out"} with input as asked
		codes == {"can-log-in"} with input as seen(asked, {"after": {"touched": {"canLogin": true}}})
		codes == {"can-log-in"} with input as seen(asked, {"after": {"touched": {"canLogin": "false"}}})
		codes == {"can-log-in"} with input as seen(asked, {"after": {"held": null}})
		codes == {"can-log-in"} with input as seen(asked, {"byUse": "works"})
		proved == {"shut-out"} with input as seen(asked, {"after": {"exists": false, "touched": {"canLogin": null}}})
	}
}

test_one_login_being_shut_out_says_nothing_of_the_other if {
	codes == {"can-log-in"} with input as seen(fixture.retired, {"after": {"touched": {"canLogin": false, "currentCanLogin": true}}})
	codes == {"can-log-in"} with input as seen(fixture.disabled, {"after": {"touched": {"canLogin": true, "currentCanLogin": false}}})
}

test_what_an_account_keeps_as_an_owner_is_said if {
	noted == {"still-owns"} with input as seen(fixture.disabled, {"after": {"held": ["table:public.orders:SELECT"]}})
	noted == set() with input as seen(fixture.disabled, {"after": {"held": ["table:public.orders:SELECT"], "touched": {"canLogin": true}}})
}

test_what_a_callers_code_left_is_held_to_what_it_is_for if {
	proved == {"renewed"} with input as by_caller(fixture.replaced)
	codes == {"still-held"} with input as seen(revoked_by_caller, {"after": {"held": ["table:public.orders:SELECT"]}})
}

test_what_nobody_saw_is_believed_and_said if {
	every asked in [fixture.replaced, fixture.disabled, revoked_by_caller] {
		reported := seen(by_caller(asked), {"seenBy": "selfReported", "after": {"exists": false, "held": [], "touched": {}}})
		proved == {"reported-done"} with input as reported
		codes == set() with input as reported
	}
	unknown := seen(by_caller(fixture.replaced), {"seenBy": "selfReported", "kind": "grant"})
	codes == {"verification-not-understood"} with input as unknown
	proved == set() with input as unknown
}

test_an_old_login_may_hold_what_is_its_own if {
	proved == {"retired"} with input as seen(fixture.retired, {"after": {"held": ["database:CONNECT"]}})
	noted == set() with input as seen(fixture.retired, {"after": {"held": ["database:CONNECT"]}})
}

test_the_role_is_compared_where_it_matters if {
	codes == set() with input as seen(fixture.disabled, {"after": {"touched": {"role": 99}}})
}
