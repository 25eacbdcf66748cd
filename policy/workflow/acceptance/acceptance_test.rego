package workflow.acceptance_test

import data.checks.fixture
import data.workflow
import data.workflow.acceptance

asked := object.union(fixture.grant, {"phase": "approval", "approval": {"approver": "person:ben", "approved": []}})

approving(part) := object.union(asked, {"approval": part})

knowing(part) := object.union(asked, {"facts": part})

codes(answer) := {reason.code | some reason in answer.reasons}

test_an_owner_may_approve if {
	workflow.accept.effect == "accept" with input as asked
	codes(workflow.accept) == {"approval-accepted"} with input as asked
	count(workflow.accept.controls) > 0 with input as asked
}

test_who_has_left_may_not if {
	asking := object.union(approving({"approver": "person:kim"}), {"facts": {"nhi": {"backupOwner": "person:kim"}}})
	workflow.accept.effect == "refuse" with input as asking
	codes(workflow.accept) == {"approver-inactive"} with input as asking
	gone := approving({"approver": "person:nobody"})
	codes(workflow.accept) == {"approver-inactive", "approver-without-role"} with input as gone
}

test_who_asks_may_not_under_another_id if {
	chain := object.union(approving({"approver": "person:ana-adm"}), {"change": {"requester": ["nhi:prod/billing-export", "person:ana"]}})
	workflow.accept.effect == "refuse" with input as chain
	codes(workflow.accept) == {"approver-asked"} with input as chain
}

test_one_person_counts_once if {
	twice := approving({"approver": "person:ana-adm", "approved": ["person:ana", "person:ben"]})
	workflow.accept.effect == "refuse" with input as twice
	codes(workflow.accept) == {"approver-counted"} with input as twice
	workflow.accept.effect == "accept" with input as approving({"approved": ["person:ana"]})
	workflow.accept.effect == "accept" with input as approving({"approved": ["person:ben"]})
}

test_who_answers_for_nothing_of_it_any_more_may_not if {
	left := approving({"approver": "person:mallory"})
	workflow.accept.effect == "refuse" with input as left
	codes(workflow.accept) == {"approver-without-role"} with input as left
	codes(workflow.accept) == {"approver-without-role"} with input as object.union(asked, {"facts": {"nhi": {"backupOwner": "person:ana"}}})
}

test_an_owner_by_another_id_and_whoever_is_in_a_team_answers_for_it if {
	every id in ["person:ana", "person:ana-adm", "person:ben", "person:olga", "person:sam", "person:wei"] {
		workflow.accept.effect == "accept" with input as approving({"approver": id})
	}
}

test_the_owner_of_an_exception_answers_while_it_holds if {
	exception := {
		"id": "long", "rule": "lease-too-long", "subject": fixture.grant.change.subject, "owner": "person:mallory",
		"fromMs": fixture.now_ms, "untilMs": fixture.now_ms + 1,
	}
	asking := object.union(approving({"approver": "person:mallory"}), {"facts": {"exceptions": [exception]}})
	workflow.accept.effect == "accept" with input as asking
	over := object.union(asking, {"nowMs": fixture.now_ms + 1})
	codes(workflow.accept) == {"approver-without-role"} with input as over
	early := object.union(asking, {"nowMs": fixture.now_ms - 1})
	codes(workflow.accept) == {"approver-without-role"} with input as early
}

test_whom_the_floor_names_needs_no_role if {
	workflow.accept.effect == "accept" with input as named("person:mallory", {})
	every said in [false, null, "yes", ["person:mallory"]] {
		codes(workflow.accept) == {"approver-without-role"} with input as approving({"approver": "person:mallory", "namedByFloor": said})
	}
}

named(approver, part) := object.union(approving({"approver": approver, "namedByFloor": true}), part)

test_whom_the_floor_names_is_held_to_all_the_rest if {
	codes(workflow.accept) == {"approver-inactive"} with input as named("person:kim", {})
	codes(workflow.accept) == {"approver-asked"} with input as named("person:mallory", {"change": {"requester": ["person:mallory"]}})
	codes(workflow.accept) == {"approver-uses-it"} with input as named("person:mallory", {"facts": {"nhi": {"humanUse": true, "consumers": ["person:mallory"]}}})
	codes(workflow.accept) == {"approver-facts-stale"} with input as named("person:mallory", {"facts": {"ageMs": 1000000000000}})
	codes(workflow.accept) == {"approver-counted"} with input as named("person:ana-adm", {"approval": {"approved": ["person:ana"]}})
}

test_who_uses_the_identity_by_hand_may_not if {
	used := knowing({"nhi": {"humanUse": true, "consumers": ["job", "person:ben"]}})
	workflow.accept.effect == "refuse" with input as used
	codes(workflow.accept) == {"approver-uses-it"} with input as used
	workflow.accept.effect == "accept" with input as knowing({"nhi": {"humanUse": false, "consumers": ["person:ben"]}})
}

test_stale_facts_give_nothing if {
	old := knowing({"ageMs": 1000000000000})
	workflow.accept.effect == "refuse" with input as old
	codes(workflow.accept) == {"approver-facts-stale"} with input as old
	codes(workflow.accept) == {"approver-facts-stale"} with input as asked with data.limits as object.remove(fixture.limits, ["factsAgeMaxMs"])
}

test_taking_away_waits_for_no_role_and_no_fresh_facts if {
	taking := object.union(knowing({"ageMs": 1000000000000, "nhi": {"owner": "person:wei", "backupOwner": "person:wei", "humanUse": true, "consumers": ["person:ben"]}}), {"change": {"kind": "revoke", "leaseSeconds": null}})
	workflow.accept.effect == "accept" with input as taking
	workflow.accept.effect == "accept" with input as object.union(taking, {"facts": {"directory": {"people": [{"id": "person:ben", "name": "Ben", "active": true}]}}})
	workflow.accept.effect == "accept" with input as object.union(taking, {"facts": {"nhi": {"humanUse": null, "consumers": null}}})
	codes(workflow.accept) == {"approver-asked"} with input as object.union(taking, {"change": {"requester": ["person:ben"]}})
}

test_what_is_not_understood_is_refused if {
	every asking in [
		fixture.grant,
		object.union(asked, {"phase": "request"}),
		object.union(asked, {"v": 2}),
		object.union(asked, {"change": {"requester": []}}),
		object.union(asked, {"change": {"requester": [1]}}),
		object.union(asked, {"change": {"kind": null}}),
		approving({"approver": "nhi:prod/billing-export"}),
		knowing({"nhi": null}),
		knowing({"nhi": {"humanUse": "yes"}}),
		approving({"approved": null}),
		approving({"approved": [1]}),
		knowing({"directory": {"people": [{"id": "person:ben", "name": "Ben", "active": true}]}}),
		{},
	] {
		workflow.accept.effect == "refuse" with input as asking
		"approval-not-understood" in codes(workflow.accept) with input as asking
		fixture.codes(acceptance.permit) == set() with input as asking
	}
}
