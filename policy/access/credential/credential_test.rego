package access.credential_test

import data.access
import data.access.credential
import data.access.least_privilege
import data.checks.fixture

standing := fixture.changing({"kind": "provision", "purpose": "standing-billing", "leaseSeconds": null})

lasting(seconds) := object.union(standing, {"change": {"leaseSeconds": seconds}})

at(tier, asked) := object.union(asked, {"facts": {"nhi": {"riskTier": tier}}})

test_a_credential_that_ends_soon_needs_no_more_than_it_did if {
	credential.deny == set() with input as lasting(2592000)
	credential.pending == set() with input as lasting(2592000)
	credential.deny == set() with input as at("high", lasting(604800))
}

test_a_long_one_is_approved_at_a_low_or_medium_tier if {
	every asked in [standing, lasting(2592001)] {
		fixture.codes(credential.pending) == {"long-lived-credential"} with input as asked
		credential.deny == set() with input as asked
		access.decide.effect == "needsApproval" with input as asked
	}
}

test_however_low_its_risk if {
	asked := object.union(fixture.preview_grant, {"change": {"kind": "provision", "leaseSeconds": 2592001}, "facts": {"catalogue": {"purposes": [{"id": "preview-reports", "needs": [fixture.preview], "maxLeaseSeconds": null}]}}})
	access.decide.effect == "needsApproval" with input as asked
	access.decide.effect == "allow" with input as object.union(asked, {"change": {"leaseSeconds": 2592000}})
	access.decide.effect == "allow" with input as object.union(asked, {"change": {"kind": "grant"}})
}

test_a_long_one_is_denied_at_a_high_or_critical_tier if {
	fixture.codes(credential.deny) == {"credential-too-long"} with input as at("high", standing)
	fixture.codes(credential.deny) == {"credential-too-long"} with input as at("high", lasting(604801))
	fixture.codes(credential.deny) == {"credential-too-long"} with input as at("critical", lasting(3601))
}

test_what_is_offered_ends_in_time if {
	least_privilege.counter_offer({"credential-too-long"}).leaseSeconds == 604800 with input as at("high", standing)
	least_privilege.counter_offer({"credential-too-long"}).leaseSeconds == 604800 with input as at("high", lasting(604801))
	least_privilege.counter_offer({"credential-too-long"}) == null with input as at("high", standing) with data.limits.credentialSecondsMax as {}
}

test_limits_that_are_missing_deny if {
	fixture.codes(credential.deny) == {"credential-too-long"} with input as lasting(60) with data.limits as object.remove(fixture.limits, ["credentialSecondsMax", "longLivedCredential"])
	fixture.codes(credential.deny) == {"credential-too-long"} with input as standing with data.limits.longLivedCredential as {}
	fixture.codes(credential.pending) == {"long-lived-credential"} with input as lasting(60) with data.limits.credentialSecondsMax as {"medium": "60"}
}

test_what_makes_no_credential_is_not_held_to_it if {
	every kind in ["grant", "extend", "rotate", "revoke", "disable", "offboard"] {
		credential.deny == set() with input as at("high", object.union(standing, {"change": {"kind": kind}}))
		credential.pending == set() with input as object.union(standing, {"change": {"kind": kind}})
	}
	credential.deny == set() with input as object.union(at("high", standing), {"facts": {"nhi": null}})
}
