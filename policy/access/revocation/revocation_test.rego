package access.revocation_test

import data.access.revocation
import data.checks.fixture

by(principal) := object.union(fixture.revoker, {"principal": principal})

test_those_who_answer_for_an_identity_may_take_back if {
	every principal, code in {
		"person:ana": "revoker-owner",
		"person:ana-adm": "revoker-owner",
		"person:ben": "revoker-backup-owner",
		"person:olga": "revoker-security",
		"person:sam": "revoker-on-call",
	} {
		count(revocation.deny) == 0 with input as by(principal)
		fixture.codes(revocation.permit) == {code} with input as by(principal)
	}
}

test_nobody_else_may if {
	every principal in ["person:mallory", "person:wei"] {
		fixture.codes(revocation.deny) == {"not-a-revoker"} with input as by(principal)
		count(revocation.permit) == 0 with input as by(principal)
	}
}

test_whoever_is_not_a_person_may_not if {
	every principal in ["nhi:prod/billing-export", "sidecar:0123456789abcdef", "person:nobody"] {
		fixture.codes(revocation.deny) == {"not-a-revoker", "revoker-inactive"} with input as by(principal)
	}
}

test_a_disabled_owner_may_not if {
	owned := object.union(by("person:kim"), {"nhi": {"owner": "person:kim"}})
	fixture.codes(revocation.deny) == {"revoker-inactive"} with input as owned
	count(revocation.permit) == 0 with input as owned
}

test_security_may_where_the_identity_is_not_known if {
	count(revocation.deny) == 0 with input as object.union(by("person:olga"), {"nhi": null})
	fixture.codes(revocation.deny) == {"not-a-revoker"} with input as object.union(by("person:ana"), {"nhi": null})
}
