package access.findings_test

import data.access
import data.access.findings
import data.checks.fixture

finding := {
	"v": 1,
	"nowMs": fixture.grant.nowMs,
	"finding": {
		"code": "access-unexplained",
		"connector": "pg-main",
		"target": "app",
		"account": "billing_export",
		"privileges": ["table:public.orders:SELECT"],
		"nhi": "nhi:prod/billing-export",
		"change": null,
	},
	"facts": {"nhi": fixture.nhi, "catalogue": fixture.catalogue},
}

about(patch) := object.union(finding, {"finding": patch})

test_unexplained_access_of_an_identity_is_proposed_to_be_taken if {
	fixture.codes(findings.revoke) == {"unexplained-access"} with input as finding
	access.reconcile.propose == "revoke" with input as finding
	access.reconcile.reasons[0].code == "unexplained-access" with input as finding
	{"framework": "OWASP NHI Top 10 2025", "id": "NHI5", "rule": "access.findings.revoke"} in access.reconcile.controls with input as finding
}

test_an_account_that_was_shut_out_is_proposed_to_be_shut_out_again if {
	fixture.codes(findings.disable) == {"shut-out-undone"} with input as about({"code": "access-returned"})
	access.reconcile.propose == "disable" with input as about({"code": "access-returned"})
}

test_everything_else_is_for_people if {
	every patch in [
		{"code": "account-unknown", "nhi": null},
		{"code": "access-missing"},
		{"code": "access-past-end"},
		{"code": "something-new"},
		{"account": "somebody_else"},
		{"nhi": "nhi:prod/other"},
		{"change": "chg_0123456789abcdef_01JDE7XQ0M4N5P6Q7R8S9T0V1W"},
		{"privileges": []},
		{"privileges": ["attribute:SUPERUSER"]},
		{"privileges": ["table:public.orders:SELECT", "attribute:SUPERUSER"]},
		{"privileges": "table:public.orders:SELECT"},
		{"target": "elsewhere"},
	] {
		access.reconcile.propose == null with input as about(patch)
		fixture.codes(findings.leave) == {"for-people"} with input as about(patch)
	}
}

test_more_than_one_change_takes_is_for_people if {
	many := array.concat(["table:public.orders:SELECT"], ["table:public.invoices:SELECT" | some n in numbers.range(1, 16)])
	access.reconcile.propose == null with input as about({"privileges": many})
}

test_a_question_that_is_not_one_proposes_nothing if {
	every asked in [{}, {"v": 2}, object.union(finding, {"v": 2}), object.union(finding, {"facts": {"nhi": null}})] {
		access.reconcile.propose == null with input as asked
	}
}
