package access.velocity_test

import data.access
import data.access.velocity
import data.checks.fixture

recently(part) := object.union(fixture.grant, {"recent": part})

provisioning(part) := object.union(recently(part), {"change": {"kind": "provision"}})

test_below_the_limits_is_not_denied if {
	every asked in [fixture.grant, fixture.rotate, fixture.extend, provisioning({})] {
		count(velocity.deny) == 0 with input as asked
	}
	count(velocity.deny) == 0 with input as recently({"subject": {
		"hour": fixture.limits.changesMax.subject.hour - 1,
		"day": fixture.limits.changesMax.subject.day - 1,
	}})
}

test_an_identity_that_is_at_a_limit_is_denied if {
	every span in ["hour", "day"] {
		at := recently({"subject": {span: fixture.limits.changesMax.subject[span]}})
		fixture.codes(velocity.deny) == {"too-many-changes"} with input as at
		access.decide.effect == "deny" with input as at
	}
}

test_a_requester_that_is_at_a_limit_is_denied if {
	every span in ["hour", "day"] {
		at := recently({"requester": {span: fixture.limits.changesMax.requester[span]}})
		fixture.codes(velocity.deny) == {"too-many-requests"} with input as at
	}
}

test_a_new_credential_beyond_the_tiers_limit_is_denied if {
	limit := fixture.limits.newCredentialsPerDayMax.medium
	count(velocity.deny) == 0 with input as provisioning({"newCredentials": {"day": limit - 1}})
	fixture.codes(velocity.deny) == {"too-many-credentials"} with input as provisioning({"newCredentials": {"day": limit}})
	fixture.codes(velocity.deny) == {"too-many-credentials"} with input as object.union(fixture.rotate, {"recent": {"newCredentials": {"day": limit}}})
}

test_access_to_a_credential_that_is_there_is_not_one_more if {
	count(velocity.deny) == 0 with input as recently({"newCredentials": {"day": 999999}})
}

test_a_count_that_is_missing_or_none_denies if {
	fixture.codes(velocity.deny) == {"too-many-changes", "too-many-requests"} with input as object.remove(fixture.grant, ["recent"])
	fixture.codes(velocity.deny) == {"too-many-changes"} with input as object.union(object.remove(fixture.grant, ["recent"]), {"recent": object.remove(fixture.recent, ["subject"])})
	every odd in [null, "1", -1, [1]] {
		fixture.codes(velocity.deny) == {"too-many-changes"} with input as recently({"subject": {"hour": odd}})
	}
	fixture.codes(velocity.deny) == {"too-many-credentials"} with input as provisioning({"newCredentials": {"day": null}})
}

test_a_limit_that_is_missing_denies if {
	without := object.remove(fixture.limits, ["changesMax", "newCredentialsPerDayMax"])
	fixture.codes(velocity.deny) == {"too-many-changes", "too-many-requests"} with input as fixture.grant with data.limits as without
	fixture.codes(velocity.deny) == {"too-many-changes", "too-many-requests", "too-many-credentials"} with input as provisioning({}) with data.limits as without
	odd := object.union(fixture.limits, {"changesMax": {"subject": {"day": "600"}}})
	fixture.codes(velocity.deny) == {"too-many-changes"} with input as fixture.grant with data.limits as odd
}

test_taking_back_is_never_limited if {
	far := {"subject": {"hour": 999999, "day": 999999}, "requester": {"hour": 999999, "day": 999999}, "newCredentials": {"day": 999999}}
	retiring := object.union(fixture.rotate, fixture.step("retire", 3))
	every asked in [fixture.changing({"kind": "revoke"}), fixture.disable, fixture.offboard, retiring] {
		count(velocity.deny) == 0 with input as object.union(asked, {"recent": far})
		count(velocity.deny) == 0 with input as object.remove(asked, ["recent"])
		count(velocity.deny) == 0 with input as asked with data.limits as {}
	}
}
