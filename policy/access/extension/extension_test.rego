package access.extension_test

import data.access
import data.access.extension
import data.access.question
import data.checks.fixture

denied(part) := codes if {
	codes := fixture.codes(extension.deny) with input as fixture.extending(part)
}

test_a_later_end_of_a_running_lease_is_not_denied if {
	denied({}) == set()
	denied({"nextEpoch": 2}) == set()
}

test_it_is_decided_like_a_grant_of_the_same if {
	access.decide.effect == "needsApproval" with input as fixture.extend
	asked := access.decide.obligations with input as fixture.extend
	granted := access.decide.obligations with input as fixture.grant
	asked == granted
}

test_what_is_not_running_is_denied if {
	denied({"running": false}) == {"lease-not-running"}
	denied({"running": "yes"}) == {"lease-not-running"}
}

test_an_unknown_lease_is_denied if {
	unknown := object.union(fixture.extend, {"change": {"extends": null}})
	fixture.codes(extension.deny) == {"lease-not-running"} with input as unknown
	access.decide.effect == "deny" with input as unknown
}

test_a_missing_lease_is_denied if {
	without := object.union(object.remove(fixture.extend, ["change"]), {"change": object.remove(fixture.extend.change, ["extends"])})
	fixture.codes(extension.deny) == {"lease-not-running"} with input as without
}

test_the_lease_of_another_identity_is_denied if {
	denied({"subject": "nhi:prod/other"}) == {"other-lease"}
}

test_another_purpose_or_more_than_was_given_is_denied if {
	denied({"purpose": "standing-billing"}) == {"other-lease"}
	denied({"entitlements": [fixture.orders, fixture.invoices]}) == {"other-lease"}
}

test_an_end_that_is_not_later_is_denied if {
	denied({"extendedToMs": fixture.minutes(5)}) == {"end-not-later"}
	denied({"endsAtMs": null}) == {"end-not-later"}
	denied({"extendedToMs": fixture.minutes(-1), "endsAtMs": fixture.minutes(-2)}) == {"end-not-later"}
}

test_a_lease_that_was_extended_meanwhile_is_denied if {
	denied({"epoch": 2, "nextEpoch": 2}) == {"lease-moved"}
	denied({"epoch": 2, "nextEpoch": 3}) == set()
}

test_nothing_else_is_asked_of_other_kinds if {
	count(extension.deny) == 0 with input as fixture.grant
}

test_a_grant_that_says_it_extends_is_no_question if {
	not question.gain with input as object.union(fixture.grant, {"change": {"extends": fixture.extend.change.extends}})
}

test_the_limit_of_the_lease_counts_from_now if {
	access.decide.effect == "deny" with input as object.union(fixture.extend, {"change": {"leaseSeconds": 3601}})
}

test_its_step_is_dispatched if {
	step := object.union(fixture.extend, fixture.step("extend", 1))
	access.decide.effect == "needsApproval" with input as step
	access.decide.effect == "deny" with input as object.union(fixture.extend, fixture.step("grant", 1))
}

test_times_and_epochs_of_another_type_are_not_compared if {
	fixture.codes(extension.deny) == {"end-not-later"} with input as fixture.extending({"extendedToMs": "later"})
	fixture.codes(extension.deny) == {"lease-moved"} with input as fixture.extending({"epoch": 2, "nextEpoch": "3"})
	fixture.codes(extension.deny) == {"lease-moved"} with input as fixture.extending({"epoch": null, "nextEpoch": 3})
}
