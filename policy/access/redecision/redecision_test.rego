package access.redecision_test

import data.access
import data.access.redecision
import data.checks.fixture

running := object.union(fixture.grant, {"phase": "lease"})

knowing(part) := object.union(running, {"facts": part})

test_what_nothing_stands_against_is_kept if {
	access.redecide.effect == "keep" with input as running
	access.redecide.reasons[0].code == "lease-kept" with input as running
	count(access.redecide.controls) > 0 with input as running
}

test_what_policy_says_of_the_moment_of_giving_does_not_matter if {
	every part in [
		{"ageMs": 1000000000000},
		{"locks": [{"lockId": "lck_1", "reason": "incident"}]},
		{"calendar": {"windows": [fixture.later_window], "freezes": [fixture.freeze(-10, 50)]}},
	] {
		access.redecide.effect == "keep" with input as knowing(part)
	}
}

test_what_an_identity_may_not_hold_any_more_is_taken_back if {
	every part, code in {
		{"nhi": {"purposes": ["warehouse-sync"]}}: "purpose-not-declared",
		{"nhi": null}: "unknown-nhi",
		{"nhi": {"environment": "dev"}}: "environment-mismatch",
	} {
		access.redecide.effect == "revoke" with input as knowing(part)
		code in {reason.code | some reason in access.redecide.reasons} with input as knowing(part)
	}
}

test_any_other_objection_is_for_a_person if {
	asked := knowing({"directory": {"people": []}})
	long := object.union(running, {"change": {"leaseSeconds": 604801}})
	access.redecide.effect == "finding" with input as long
	access.redecide.reasons[0].code == "lease-too-long" with input as long
	people := object.union(asked, {"change": {"requester": ["person:mallory"]}})
	access.redecide.effect == "finding" with input as people
}

test_the_limits_say_for_what_access_is_taken_back if {
	left := knowing({"nhi": {"purposes": ["warehouse-sync"]}})
	access.redecide.effect == "finding" with input as left with data.limits as object.remove(fixture.limits, ["leaseRevokedFor"])
	access.redecide.effect == "finding" with input as left with data.limits.leaseRevokedFor as "purpose-not-declared"
	access.redecide.effect == "finding" with input as left with data.limits.leaseRevokedFor as {"purpose-not-declared": true}
	access.redecide.effect == "finding" with input as left with data.limits.leaseRevokedFor as []
}

test_an_overlay_is_heard if {
	said := {"tight": {"deny": {{"reason": {"code": "not-at-night", "message": "no", "rule": "overlays.tight.deny"}, "controls": set()}}}}
	access.redecide.effect == "finding" with input as running with data.overlays as said
	access.redecide.effect == "revoke" with input as running with data.overlays as said with data.limits.leaseRevokedFor as ["not-at-night"]
}

# Its reasons are none, and that is no answer that anything is taken back for.
test_an_overlay_of_another_form_is_no_answer if {
	access.redecide.reasons == [] with input as running with data.overlays as {"odd": {"deny": "no"}}
	access.redecide.effect == "finding" with input as running with data.overlays as {"odd": {"deny": "no"}}
}

test_what_is_not_understood_is_for_a_person if {
	every asked in [
		fixture.grant,
		object.union(running, {"phase": "dispatch"}),
		object.union(running, {"v": 2}),
		object.union(running, {"change": {"kind": "revoke"}}),
		object.union(running, {"change": {"kind": "rotate"}}),
		object.union(knowing({"nhi": null}), {"change": {"kind": "extend"}}),
		object.remove(running, ["nowMs"]),
		{},
	] {
		access.redecide.effect == "finding" with input as asked
		fixture.codes(redecision.unclear) == {"lease-not-understood"} with input as asked
		access.redecide.reasons[0].code == "lease-not-understood" with input as asked
	}
}

test_what_an_exception_lets_through_is_kept_while_it_holds if {
	long := object.union(running, {"change": {"leaseSeconds": 604801}})
	exception := {
		"id": "long", "rule": "lease-too-long", "subject": fixture.grant.change.subject, "owner": "person:wei",
		"fromMs": fixture.now_ms - 1, "untilMs": fixture.now_ms + 1,
	}
	access.redecide.effect == "keep" with input as object.union(long, {"facts": {"exceptions": [exception]}})
	over := object.union(exception, {"untilMs": fixture.now_ms})
	access.redecide.effect == "finding" with input as object.union(long, {"facts": {"exceptions": [over]}})
}
