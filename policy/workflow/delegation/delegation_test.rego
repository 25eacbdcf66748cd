package workflow.delegation_test

import data.access
import data.checks.fixture
import data.lib.clock
import data.workflow
import data.workflow.absence
import data.workflow.delegation

# Ana and Olga stand for owner and security; Dan and Eve are in no group.
crowd := array.concat(fixture.directory.people, [
	{"id": "person:dan", "name": "Dan", "active": true, "linked": ["person:dan-adm"]},
	{"id": "person:dan-adm", "name": "Dan", "active": true, "linked": []},
	{"id": "person:eve", "name": "Eve", "active": true, "linked": []},
])

days(n) := fixture.now_ms + (n * clock.day_ms)

standing_in(from, to) := {"from": from, "to": to, "sinceMs": days(-1), "untilMs": days(1), "connectors": null, "environments": null, "maxRisk": null}

knowing(delegations) := {"facts": {"directory": {"people": crowd, "delegations": delegations}}}

delegating(delegations) := object.union(fixture.grant, knowing(delegations))

at_tier(tier, delegations) := object.union(delegating(delegations), {"facts": {"nhi": {"riskTier": tier}}})

ana_to_dan := standing_in("person:ana", "person:dan")

with_dan(part) := delegating([object.union(ana_to_dan, part)])

both := {"anyOf": ["person:ana", "person:ben"]}

or_dan := {"anyOf": ["person:ana", "person:ben", "person:dan"]}

test_whoever_stands_in_is_asked_too_and_it_is_said_for_whom if {
	workflow.approvers == or_dan with input as delegating([ana_to_dan])
	decision := access.decide with input as delegating([ana_to_dan])
	some reason in decision.reasons
	reason.code == "delegated"
	reason.message == "person:dan may approve in the place of person:ana, until 2026-11-21T00:00:00.000Z."
	some control in decision.controls
	endswith(control.rule, "workflow.delegation.note")
}

test_nothing_is_said_where_nobody_is_asked if {
	decision := access.decide with input as object.union(fixture.preview_grant, knowing([ana_to_dan]))
	decision.effect == "allow"
	fixture.codes(access.sayings) == {"low-risk"} with input as object.union(fixture.preview_grant, knowing([ana_to_dan]))
}

test_a_delegation_by_another_id_of_hers_holds if {
	workflow.approvers == or_dan with input as delegating([standing_in("person:ana-adm", "person:dan")])
}

test_it_holds_from_its_first_moment_to_its_last if {
	workflow.approvers == or_dan with input as with_dan({"sinceMs": days(0)})
	workflow.approvers == both with input as with_dan({"sinceMs": days(0) + 1})
	workflow.approvers == or_dan with input as with_dan({"untilMs": days(0) + 1})
	workflow.approvers == both with input as with_dan({"untilMs": days(0)})
}

test_it_holds_for_no_longer_than_the_limits_let_it if {
	long := with_dan({"sinceMs": days(-29), "untilMs": days(1)})
	workflow.approvers == or_dan with input as long with data.limits.delegationDaysMax as 30
	workflow.approvers == both with input as long with data.limits.delegationDaysMax as 29
	workflow.approvers == both with input as delegating([ana_to_dan]) with data.limits as object.remove(fixture.limits, ["delegationDaysMax"])
}

test_it_holds_for_what_it_covers if {
	every part in [{"connectors": ["pg-main", "pg-dev"]}, {"environments": ["prod"]}, {"maxRisk": "medium"}, {"maxRisk": "critical"}] {
		workflow.approvers == or_dan with input as with_dan(part)
	}
	every part in [{"connectors": ["pg-dev"]}, {"environments": ["dev"]}, {"maxRisk": "low"}] {
		workflow.approvers == both with input as with_dan(part)
	}
}

test_what_lacks_something_or_has_it_in_another_form_holds_for_nothing if {
	every member in object.keys(ana_to_dan) {
		lacking := delegating([object.remove(ana_to_dan, [member])])
		workflow.approvers == both with input as lacking
		spoilt := with_dan({member: {"spoilt": true}})
		workflow.approvers == both with input as spoilt
	}
	nowhere := object.union(with_dan({"connectors": ["pg-main"]}), {"change": {"entitlements": []}})
	delegation.in_force == set() with input as nowhere
}

test_nobody_stands_in_who_asks_or_has_left if {
	every to in ["person:wei", "person:kim", "person:nobody", "nhi:prod/billing-export"] {
		asked := object.union(delegating([standing_in("person:ana", to)]), {"change": {"requester": ["nhi:prod/billing-export", "person:wei"]}})
		workflow.approvers == both with input as asked
	}
	by_dan := object.union(delegating([ana_to_dan]), {"change": {"requester": ["person:dan-adm"]}})
	workflow.approvers == both with input as by_dan
}

test_nobody_stands_in_for_who_asks_or_has_left if {
	by_ana := object.union(delegating([ana_to_dan]), {"change": {"requester": ["person:ana"]}})
	workflow.approvers == {"anyOf": ["person:ben"]} with input as by_ana
	left := object.union(delegating([standing_in("person:kim", "person:dan")]), {"facts": {"nhi": {"owner": "person:kim"}}})
	workflow.approvers == {"anyOf": ["person:ben"]} with input as left
}

test_it_is_handed_on_to_nobody if {
	workflow.approvers == or_dan with input as delegating([ana_to_dan, standing_in("person:dan", "person:eve")])
}

test_nobody_stands_in_for_herself if {
	workflow.approvers == both with input as delegating([standing_in("person:ana", "person:ana-adm")])
}

persons_of(delegations) := parts if {
	parts := workflow.persons with input as at_tier("critical", delegations)
}

alone := ["person:ana", "person:ben", "person:olga", "person:sam", "person:wei"]

test_whoever_stands_in_counts_as_one_person_with_her if {
	persons_of([]) == alone
	persons_of([ana_to_dan]) == ["person:ben", "person:olga", "person:sam", "person:wei", {"anyOf": ["person:ana", "person:dan"]}]
}

test_whoever_is_asked_herself_counts_for_herself_alone if {
	persons_of([standing_in("person:ana", "person:ben")]) == alone
	persons_of([standing_in("person:ana", "person:wei"), standing_in("person:olga", "person:wei")]) == alone
	two := object.union(at_tier("high", [standing_in("person:ana", "person:ben")]), {"facts": {"directory": {"teams": [{"id": "security", "members": ["person:ben"]}]}}})
	workflow.approvers.allOf[2] == {"atLeast": 2, "of": ["person:ana", "person:ben"]} with input as two
}

test_whoever_stands_in_for_several_counts_once if {
	for_both := [ana_to_dan, standing_in("person:olga", "person:dan")]
	persons_of(for_both) == ["person:ben", "person:olga", "person:sam", "person:wei", {"anyOf": ["person:ana", "person:dan"]}]
	under_two_ids := [ana_to_dan, standing_in("person:olga", "person:dan-adm")]
	persons_of(under_two_ids) == ["person:ben", "person:olga", "person:sam", "person:wei", {"anyOf": ["person:ana", "person:dan", "person:dan-adm"]}]
}

test_two_who_stand_in_for_one_count_once if {
	persons_of([ana_to_dan, standing_in("person:ana", "person:eve")]) == [
		"person:ben", "person:olga", "person:sam", "person:wei",
		{"anyOf": ["person:ana", "person:dan", "person:eve"]},
	]
}

test_taking_back_may_be_approved_by_whoever_stands_in if {
	back := object.union(delegating([ana_to_dan]), {"change": {"kind": "revoke", "requester": ["person:mallory"]}})
	workflow.approvers == or_dan with input as back
	by_security := object.union(
		delegating([standing_in("person:olga", "person:dan")]),
		{"change": {"kind": "revoke", "requester": ["person:mallory"]}, "facts": {"nhi": {"owner": "person:kim", "backupOwner": "person:kim"}}},
	)
	workflow.approvers == {"anyOf": ["person:dan", "person:olga"]} with input as by_security
}

accepting(delegations) := object.union(delegating(delegations), {"phase": "approval", "approval": {"approver": "person:dan", "approved": []}})

test_the_approval_of_whoever_stands_in_is_accepted_while_that_lasts if {
	accepted := workflow.accept with input as accepting([ana_to_dan])
	accepted.effect == "accept"
	every others in [[], [object.union(ana_to_dan, {"untilMs": days(0)})], [standing_in("person:mallory", "person:dan")], [standing_in("person:ana", "person:eve")]] {
		answer := workflow.accept with input as accepting(others)
		answer.effect == "refuse"
		some reason in answer.reasons
		reason.code == "approver-without-role"
	}
}

away(people) := {"facts": {"directory": {"away": [{"person": person, "sinceMs": days(-1), "untilMs": days(1)} | some person in people]}}}

absent(people, delegations) := object.union(delegating(delegations), away(people))

test_others_are_told_at_once_where_the_owner_is_away if {
	decision := access.decide with input as absent(["person:ana-adm"], [])
	decision.obligations.escalation == {"afterSeconds": 1, "to": ["person:ben", "person:sam"]}
	decision.obligations.approvers == both
	some reason in decision.reasons
	reason.code == "approver-away"
	reason.message == "person:ana is away until 2026-11-21T00:00:00.000Z, and nobody stands in."
}

test_nobody_is_hurried_where_somebody_stands_in_or_is_there if {
	every asked in [absent(["person:ana"], [ana_to_dan]), absent(["person:ben"], []), absent([], []), absent(["person:wei"], [])] {
		decision := access.decide with input as asked
		decision.obligations.escalation.afterSeconds == 14400
		not "approver-away" in {reason.code | some reason in decision.reasons}
	}
	over := object.union(fixture.grant, {"facts": {"directory": {"away": [{"person": "person:ana", "sinceMs": days(-2), "untilMs": days(0)}]}}})
	not absence.told_at_once with input as over
}

test_others_are_told_at_once_where_all_of_a_group_are_away if {
	security_away := object.union(at_tier("high", []), away(["person:olga"]))
	absence.told_at_once with input as security_away
	not absence.told_at_once with input as object.union(fixture.grant, away(["person:olga"]))
}
