package workflow.governing_test

import data.access
import data.checks.fixture
import data.workflow
import data.workflow.delegation
import data.workflow.governing
import data.workflow.standing_approval

marking(value) := fixture.knowing({"catalogue": {"entitlements": [object.union(fixture.ranked(fixture.orders, 20, "prod"), {"governs": value})]}})

governed := marking("approvers")

test_what_governs_approvals_says_so_and_is_of_critical_risk if {
	fixture.codes(governing.pending) == {"governs-approvals"} with input as governed
	workflow.risk == "critical" with input as governed
	answer := access.decide with input as governed
	answer.effect == "needsApproval"
	{"governs-approvals", "three-people-approval"} - {reason.code | some reason in answer.reasons} == set()
}

test_what_is_not_marked_does_not if {
	count(governing.pending) == 0 with input as fixture.grant
	not governing.asked with input as marking(null)
}

test_a_mark_in_another_form_is_one if {
	every value in ["", "nothing", false, true, 1, [], {}] {
		governing.asked with input as marking(value)
	}
}

test_a_new_secret_for_what_governs_is_access_to_it if {
	rotated := object.union(fixture.rotating({}), {"held": [fixture.orders.privilege], "facts": governed.facts})
	governing.asked with input as rotated
	not governing.asked with input as object.union(rotated, {"facts": fixture.facts})
}

rotating(held) := object.union(fixture.rotating({}), {"held": held})

test_what_an_account_holds_that_nobody_knows_may_govern if {
	every held in [null, "everything", ["attribute:SUPERUSER"], [fixture.orders.privilege, "attribute:SUPERUSER"]] {
		governing.asked with input as rotating(held)
		fixture.codes(governing.pending) == {"may-govern-approvals"} with input as rotating(held)
		workflow.risk == "critical" with input as rotating(held)
		workflow.beside == [{"anyOf": ["person:olga", "person:sam", "person:wei"]}] with input as rotating(held)
		answer := access.decide with input as rotating(held)
		answer.effect == "needsApproval"
		{"may-govern-approvals", "three-people-approval"} - {reason.code | some reason in answer.reasons} == set()
		not standing_approval.obligation with input as rotating(held) with data.limits.standingApproval as {"maxLeaseSeconds": {"critical": 900}, "firstTime": true}
	}
	every held in [[], [fixture.orders.privilege]] {
		not governing.asked with input as rotating(held)
		count(governing.pending) == 0 with input as rotating(held)
	}
}

# Where no executor reads the account, a caller's rotation is known by its purpose.
test_what_nobody_reads_is_known_by_its_purpose_or_not_at_all if {
	unread := object.union(fixture.called, {"held": null, "facts": {"connectors": []}})
	not governing.asked with input as unread
	governing.asked with input as object.union(unread, {"change": {"purpose": "mischief"}})
	governing.asked with input as object.union(fixture.called, {"held": null})
}

test_taking_it_back_asks_for_no_more_than_before if {
	asked := object.union(fixture.changing({"kind": "revoke"}), {"facts": governed.facts})
	count(governing.pending) == 0 with input as asked
	count(governing.pending) == 0 with input as object.union(fixture.disable, {"held": null})
}

test_somebody_who_does_not_own_it_approves_it_too if {
	workflow.outsiders == {"person:olga", "person:sam", "person:wei"} with input as governed
	workflow.beside == [{"anyOf": ["person:olga", "person:sam", "person:wei"]}] with input as governed
	workflow.beside == [] with input as fixture.grant
}

test_who_stands_in_for_the_other_group_does_not_own_it if {
	lent := object.union(governed, {"facts": {"directory": {"delegations": [
		{"from": "person:wei", "to": "person:ana-adm", "sinceMs": fixture.now_ms - 1000, "untilMs": fixture.now_ms + 1000, "connectors": null, "environments": null, "maxRisk": null},
		{"from": "person:wei", "to": "person:mallory", "sinceMs": fixture.now_ms - 1000, "untilMs": fixture.now_ms + 1000, "connectors": null, "environments": null, "maxRisk": null},
	]}}})
	workflow.outsiders == {"person:mallory", "person:olga", "person:sam", "person:wei"} with input as lent
	"delegated" in fixture.codes(delegation.note) with input as lent
}

# Olga, who is all of security, owns it: then platform.
test_an_owner_of_security_is_not_the_other_group if {
	owned := object.union(governed, {"facts": {"nhi": {"owner": "person:olga", "backupOwner": "person:ana"}}})
	workflow.outsiders == {"person:sam", "person:wei"} with input as owned
	alone := object.union(owned, {"facts": {"directory": {"teams": [
		{"id": "platform", "members": []},
		{"id": "security", "members": ["person:olga"]},
	]}}})
	"no-eligible-approver" in fixture.codes(workflow.deny) with input as alone
}

test_no_glass_is_broken_for_it_and_no_standing_approval_counts if {
	urgent := {"change": {"emergency": true}}
	broken := access.decide with input as object.union(governed, urgent)
	broken.effect == "needsApproval"
	not broken.obligations.breakGlass

	lent := {"maxLeaseSeconds": {"critical": 900, "medium": 900}, "firstTime": true}
	standing_approval.obligation with input as fixture.grant with data.limits.standingApproval as lent
	not standing_approval.obligation with input as governed with data.limits.standingApproval as lent
}
