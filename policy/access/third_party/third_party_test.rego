package access.third_party_test

import data.access.lease
import data.access.third_party
import data.checks.fixture
import data.workflow

kept := fixture.knowing({"nhi": {"custody": "thirdParty"}})

named := fixture.knowing({"nhi": {"thirdParty": "Northwind Analytics"}})

test_a_third_party_is_known_by_custody_and_by_name if {
	third_party.party with input as kept
	third_party.party with input as named
	third_party.party with input as fixture.knowing({"nhi": {"thirdParty": []}})
	not third_party.party with input as fixture.grant
	not third_party.party with input as fixture.offboard
}

test_it_is_said_beside_what_is_given if {
	fixture.codes(third_party.note) == {"third-party"} with input as named
	third_party.note == set() with input as fixture.grant
	third_party.note == set() with input as object.union(named, {"change": {"kind": "revoke"}})
}

test_security_approves if {
	workflow.risk == "high" with input as kept
	workflow.risk == "high" with input as named
}

owning := {"change": {"entitlements": [fixture.customers]}, "facts": {"catalogue": {"entitlements": [fixture.ranked(fixture.customers, 90, "prod")]}}}

test_nothing_critical_is_given if {
	fixture.codes(third_party.deny) == {"third-party-critical"} with input as object.union(kept, owning)
	fixture.codes(third_party.deny) == {"third-party-critical"} with input as object.union(named, owning)
	third_party.deny == set() with input as object.union(fixture.grant, owning)
	third_party.deny == set() with input as kept
}

test_what_is_not_ranked_or_not_limited_may_be_critical if {
	fixture.codes(third_party.deny) == {"third-party-critical"} with input as kept with data.limits.rankMin as {}
	unranked := object.union(kept, {"facts": {"catalogue": {"entitlements": [fixture.ranked(fixture.orders, null, "prod")]}}})
	fixture.codes(third_party.deny) == {"third-party-critical"} with input as unranked
}

test_taking_back_and_rotating_are_not_held_to_it if {
	every kind in ["revoke", "rotate", "disable", "offboard"] {
		third_party.deny == set() with input as object.union(object.union(kept, owning), {"change": {"kind": kind}})
	}
}

test_its_leases_are_shorter if {
	hours := object.union(kept, {"change": {"purpose": "standing-billing", "leaseSeconds": 28801}})
	lease.seconds_max == 28800 with input as hours
	fixture.codes(lease.deny) == {"lease-too-long"} with input as hours
	lease.deny == set() with input as object.union(hours, {"change": {"leaseSeconds": 28800}})
}

test_none_of_them_stands if {
	standing := object.union(named, {"change": {"purpose": "standing-billing", "leaseSeconds": null}})
	fixture.codes(lease.deny) == {"standing-not-allowed"} with input as standing
	lease.deny == set() with input as standing with data.limits.thirdPartyStandingTiers as ["medium"]
}

test_limits_of_third_parties_that_are_missing_deny if {
	limits := object.remove(fixture.limits, ["thirdPartyLeaseSecondsMax", "thirdPartyStandingTiers"])
	fixture.codes(lease.deny) == {"lease-too-long"} with input as object.union(kept, {"change": {"purpose": "standing-billing"}}) with data.limits as limits
	fixture.codes(lease.deny) == {"lease-too-long"} with input as kept with data.limits as limits
}
