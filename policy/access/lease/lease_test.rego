package access.lease_test

import data.access.lease
import data.checks.fixture

asking(seconds) := fixture.changing({"leaseSeconds": seconds})

standing(seconds) := fixture.changing({"leaseSeconds": seconds, "purpose": "standing-billing"})

critical_standing(seconds) := object.union(standing(seconds), {"facts": {"nhi": {"riskTier": "critical"}}})

test_a_lease_up_to_the_limit_is_not_denied if {
	every seconds in [1, 3600] {
		count(lease.deny) == 0 with input as asking(seconds)
	}
}

test_a_lease_beyond_the_limit_is_denied if {
	every seconds in [-1, 0, 3601] {
		fixture.codes(lease.deny) == {"lease-too-long"} with input as asking(seconds)
	}
}

test_a_missing_lease_is_denied if {
	without := object.union(object.remove(fixture.grant, ["change"]), {"change": object.remove(fixture.change, ["leaseSeconds"])})
	fixture.codes(lease.deny) == {"lease-too-long"} with input as without
}

test_the_tier_limits_what_the_purpose_allows if {
	lease.seconds_max == 60 with input as fixture.grant with data.limits.leaseSecondsMax.medium as 60
}

test_standing_access_is_denied_where_the_purpose_may_not_stand if {
	fixture.codes(lease.deny) == {"standing-not-allowed"} with input as asking(null)
}

test_standing_access_is_denied_where_the_tier_may_not_stand if {
	fixture.codes(lease.deny) == {"standing-not-allowed"} with input as critical_standing(null)
}

test_standing_access_is_not_denied_where_both_may_stand if {
	count(lease.deny) == 0 with input as standing(null)
	lease.offered_seconds == null with input as standing(null)
	lease.obligation_seconds == null with input as standing(null)
}

test_any_lease_is_within_standing_access if {
	count(lease.deny) == 0 with input as standing(31536000)
	lease.offered_seconds == 31536000 with input as standing(31536000)
}

test_the_tier_limits_a_lease_where_it_may_not_stand if {
	lease.seconds_max == 3600 with input as critical_standing(60)
}

test_a_limit_that_is_missing_denies if {
	fixture.codes(lease.deny) == {"lease-too-long"} with input as asking(60) with data.limits as object.remove(fixture.limits, ["leaseSecondsMax"])
	fixture.codes(lease.deny) == {"standing-not-allowed"} with input as standing(null) with data.limits as object.remove(fixture.limits, ["standingTiers"])
}

test_the_offer_is_the_longest_lease_where_standing_access_was_asked if {
	lease.offered_seconds == 3600 with input as asking(null)
}

test_the_offer_is_the_lease_that_was_asked_where_it_may_be_kept if {
	lease.offered_seconds == 900 with input as asking(900)
}

test_the_offer_is_the_longest_lease_where_more_was_asked if {
	lease.offered_seconds == 3600 with input as asking(999999)
}

test_the_obligation_is_the_longest_lease if {
	lease.obligation_seconds == 3600 with input as asking(900)
}

test_a_revoke_has_no_lease_to_limit if {
	count(lease.deny) == 0 with input as fixture.changing({"kind": "revoke", "leaseSeconds": null})
	lease.obligation_seconds == null with input as fixture.changing({"kind": "revoke", "leaseSeconds": null})
}

test_a_rotation_has_no_lease_to_limit if {
	count(lease.deny) == 0 with input as fixture.rotate
	lease.obligation_seconds == null with input as fixture.rotate
	not lease.standing_asked with input as fixture.rotate
}

test_a_lease_or_limit_that_is_no_number_is_too_long if {
	fixture.codes(lease.deny) == {"lease-too-long"} with input as fixture.changing({"leaseSeconds": "900"})
	critical := object.union(fixture.grant, {"change": {"purpose": "standing-billing"}, "facts": {"nhi": {"riskTier": "critical"}}})
	fixture.codes(lease.deny) == set() with input as critical
	fixture.codes(lease.deny) == {"lease-too-long"} with input as critical with data.limits.leaseSecondsMax.critical as "3600"
}
