package workflow_test

import data.access
import data.checks.fixture
import data.workflow

tier(name) := fixture.knowing({"nhi": {"riskTier": name}})

by(part, principals) := object.union(part, {"change": {"requester": principals}})

revoke(principals) := fixture.changing({"kind": "revoke", "requester": principals})

no_owner := {"facts": {"nhi": {"owner": "person:kim", "backupOwner": "person:kim"}}}

ranks(rank) := fixture.knowing({"catalogue": {"entitlements": [fixture.ranked(fixture.orders, rank, "prod")]}, "nhi": {"riskTier": "low"}})

test_risk_is_the_higher_of_tier_and_rank if {
	every name in ["low", "medium", "high", "critical"] {
		workflow.risk == name with input as tier(name)
	}
	every rank, name in {0: "low", 29: "low", 30: "medium", 69: "medium", 70: "high", 90: "critical", 100: "critical"} {
		workflow.risk == name with input as ranks(rank)
	}
}

test_a_third_party_is_high_risk if {
	workflow.risk == "high" with input as fixture.knowing({"nhi": {"custody": "thirdParty"}})
}

test_what_risk_cannot_be_computed_from_is_critical if {
	workflow.risk == "critical" with input as tier("unheard-of")
	workflow.risk == "critical" with input as fixture.changing({"entitlements": []})
	workflow.risk == "critical" with input as fixture.grant with data.limits as object.remove(fixture.limits, ["rankMin"])
}

test_owners_approve_low_and_medium_risk if {
	every name in ["low", "medium"] {
		workflow.approvers == {"anyOf": ["person:ana", "person:ben"]} with input as tier(name)
		workflow.satisfiable with input as tier(name)
		fixture.codes(workflow.pending) == {"owner-approval"} with input as tier(name)
	}
}

test_an_owner_and_security_approve_high_risk_as_two_people if {
	workflow.approvers == {"allOf": [
		{"anyOf": ["person:ana", "person:ben"]},
		{"anyOf": ["person:olga"]},
		{"atLeast": 2, "of": ["person:ana", "person:ben", "person:olga"]},
	]} with input as tier("high")
	fixture.codes(workflow.pending) == {"owner-and-security-approval"} with input as tier("high")
}

test_three_people_approve_critical_risk if {
	workflow.approvers == {"allOf": [
		{"anyOf": ["person:ana", "person:ben"]},
		{"anyOf": ["person:olga"]},
		{"atLeast": 3, "of": ["person:ana", "person:ben", "person:olga", "person:sam", "person:wei"]},
	]} with input as tier("critical")
	fixture.codes(workflow.pending) == {"three-people-approval"} with input as tier("critical")
}

test_ids_of_one_person_count_once if {
	security := {"facts": {"directory": {"teams": [{"id": "security", "members": ["person:ana-adm"]}]}}}
	workflow.approvers == {"allOf": [
		{"anyOf": ["person:ana", "person:ben"]},
		{"anyOf": ["person:ana-adm"]},
		{"atLeast": 2, "of": ["person:ben", {"anyOf": ["person:ana", "person:ana-adm"]}]},
	]} with input as object.union(tier("high"), security)
}

test_one_person_in_two_groups_is_not_two_people if {
	alone := {"facts": {"nhi": {"backupOwner": "person:ana"}, "directory": {"teams": [{"id": "security", "members": ["person:ana-adm"]}]}}}
	fixture.codes(workflow.deny) == {"no-eligible-approver"} with input as object.union(tier("high"), alone)
}

test_requesters_do_not_approve_under_any_of_their_ids if {
	every principals in [
		["person:ana"],
		["person:ana-adm"],
		["nhi:prod/billing-export", "person:ana-adm"],
		["person:mallory", "nhi:prod/billing-export", "person:ana"],
	] {
		workflow.approvers == {"anyOf": ["person:ben"]} with input as by(fixture.grant, principals)
		count(workflow.deny) == 0 with input as by(fixture.grant, principals)
	}
}

test_people_who_are_disabled_do_not_approve if {
	workflow.approvers == {"anyOf": ["person:ben"]} with input as fixture.knowing({"nhi": {"owner": "person:kim"}})
}

test_machine_identities_do_not_approve if {
	workflow.approvers == {"anyOf": ["person:ben"]} with input as fixture.knowing({"nhi": {"owner": "nhi:prod/other"}})
}

test_what_nobody_can_approve_is_denied if {
	workflow.approvers == {"anyOf": []} with input as object.union(fixture.grant, no_owner)
	fixture.codes(workflow.deny) == {"no-eligible-approver"} with input as object.union(fixture.grant, no_owner)
	fixture.codes(workflow.deny) == {"no-eligible-approver"} with input as object.union(tier("high"), {"facts": {"directory": {"teams": []}}})
}

test_the_only_owner_cannot_ask_and_approve if {
	alone := {"facts": {"nhi": {"backupOwner": "person:ana-adm"}}}
	fixture.codes(workflow.deny) == {"no-eligible-approver"} with input as by(object.union(fixture.grant, alone), ["person:ana"])
}

test_a_quorum_that_is_missing_denies if {
	fixture.codes(workflow.deny) == {"no-eligible-approver"} with input as fixture.grant with data.limits as object.remove(fixture.limits, ["approversMin"])
}

test_of_a_quorum_that_is_missing_nobody_may_approve if {
	workflow.approvers == {"anyOf": []} with input as fixture.grant with data.limits as object.remove(fixture.limits, ["approversMin"])
}

test_a_quorum_of_nobody_denies if {
	fixture.codes(workflow.deny) == {"no-eligible-approver"} with input as fixture.grant with data.limits.approversMin.medium as 0
}

test_a_higher_quorum_is_asked_for_in_so_many_words if {
	workflow.approvers == {"allOf": [
		{"anyOf": ["person:ana", "person:ben"]},
		{"atLeast": 2, "of": ["person:ana", "person:ben"]},
	]} with input as fixture.grant with data.limits.approversMin.medium as 2
}

test_no_more_than_32_are_named if {
	people := [{"id": sprintf_id(n), "active": true, "linked": []} | some n in numbers.range(1, 60)]
	crowd := {"facts": {"directory": {"people": array.concat(fixture.directory.people, people), "teams": [{"id": "security", "members": [person.id | some person in people]}]}}}
	count(workflow.approvers.allOf[1].anyOf) == 32 with input as object.union(tier("high"), crowd)
	count(workflow.approvers.allOf[2].of) == 32 with input as object.union(tier("high"), crowd)
}

sprintf_id(n) := concat("", ["person:p", format_int(n, 10)])

test_low_risk_outside_production_needs_no_approval if {
	fixture.codes(workflow.permit) == {"low-risk"} with input as fixture.preview_grant
	count(workflow.pending) == 0 with input as fixture.preview_grant
}

test_low_risk_needs_approval_in_production_and_where_it_stands if {
	count(workflow.permit) == 0 with input as tier("low")
	fixture.codes(workflow.pending) == {"owner-approval"} with input as object.union(fixture.preview_grant, {"change": {"leaseSeconds": null}})
}

test_low_risk_does_not_need_anyone_who_could_approve if {
	count(workflow.deny) == 0 with input as object.union(fixture.preview_grant, no_owner)
}

test_those_who_answer_take_back_without_approval if {
	every principals in [["person:ana"], ["person:ana-adm"], ["person:ben"], ["person:olga"], ["person:sam"], ["nhi:prod/billing-export", "person:ana"]] {
		fixture.codes(workflow.permit) == {"taking-back"} with input as revoke(principals)
		count(workflow.pending) == 0 with input as revoke(principals)
		count(workflow.deny) == 0 with input as revoke(principals)
	}
}

test_others_take_back_with_the_owners_approval if {
	fixture.codes(workflow.pending) == {"taking-back-approval"} with input as revoke(["person:mallory"])
	workflow.approvers == {"anyOf": ["person:ana", "person:ben"]} with input as revoke(["person:mallory"])
	count(workflow.deny) == 0 with input as revoke(["person:mallory"])
}

test_security_approves_taking_back_where_no_owner_can if {
	workflow.approvers == {"anyOf": ["person:olga"]} with input as object.union(revoke(["person:mallory"]), no_owner)
	workflow.approvers == {"anyOf": ["person:olga"]} with input as object.union(revoke(["person:mallory"]), {"facts": {"nhi": null}})
}

test_the_strongest_proof_is_asked_for_where_none_is_set if {
	workflow.proof_class == "session" with input as fixture.grant
	workflow.proof_class == "passkey" with input as fixture.grant with data.limits as object.remove(fixture.limits, ["proofClass"])
	workflow.proof_class == "passkey" with input as fixture.grant with data.limits.proofClass.medium as "handshake"
}

emergency := {"change": {"emergency": true}}

test_a_rotation_is_weighed_by_what_the_account_holds if {
	every held, name in {
		"table:public.orders:SELECT": "medium",
		"table:public.customers:DELETE": "high",
		"attribute:SUPERUSER": "critical",
	} {
		workflow.risk == name with input as object.union(fixture.rotate, {"held": [held]})
	}
	workflow.risk == "medium" with input as object.union(fixture.rotate, {"held": []})
	workflow.risk == "critical" with input as object.union(fixture.rotate, {"held": null})
	workflow.risk == "high" with input as object.union(fixture.rotate, {"facts": {"nhi": {"riskTier": "high"}}})
}

test_a_rotation_is_approved_by_its_risk if {
	fixture.codes(workflow.pending) == {"owner-approval"} with input as fixture.rotate
	fixture.codes(workflow.pending) == {"owner-and-security-approval"} with input as object.union(fixture.rotate, {"held": ["table:public.customers:DELETE"]})
	fixture.codes(workflow.pending) == {"three-people-approval"} with input as object.union(fixture.rotate, {"held": null})
	preview := object.union(fixture.preview_grant, {"change": fixture.rotate_change, "held": ["table:public.orders:SELECT"]})
	fixture.codes(workflow.permit) == {"low-risk"} with input as preview
}

test_an_emergency_needs_security_however_low_its_risk if {
	every name in ["low", "medium", "high"] {
		workflow.approvers == {"allOf": [
			{"anyOf": ["person:ana", "person:ben"]},
			{"anyOf": ["person:olga"]},
			{"atLeast": 2, "of": ["person:ana", "person:ben", "person:olga"]},
		]} with input as object.union(tier(name), emergency)
	}
	count(workflow.approvers.allOf) == 3 with input as object.union(fixture.preview_grant, emergency)
	count(workflow.permit) == 0 with input as object.union(fixture.preview_grant, emergency)
}

test_an_emergency_of_critical_risk_needs_three_people_all_the_same if {
	expected := workflow.approvers with input as tier("critical")
	workflow.approvers == expected with input as object.union(tier("critical"), emergency)
}

test_an_emergency_that_security_cannot_approve_is_denied if {
	fixture.codes(workflow.deny) == {"no-eligible-approver"} with input as object.union(object.union(fixture.grant, emergency), {"facts": {"directory": {"teams": []}}})
}

test_an_emergency_asks_for_the_proof_of_high_risk if {
	workflow.proof_class == "passkey" with input as object.union(fixture.grant, emergency) with data.limits.proofClass.high as "passkey"
}

test_an_account_is_shut_out_by_those_who_answer if {
	every principal in ["person:ana", "person:ana-adm", "person:ben", "person:olga", "person:sam"] {
		fixture.codes(workflow.permit) == {"taking-back"} with input as by(fixture.disable, [principal])
		count(workflow.pending) == 0 with input as by(fixture.disable, [principal])
	}
	fixture.codes(workflow.pending) == {"taking-back-approval"} with input as by(fixture.disable, ["person:mallory"])
	workflow.approvers == {"anyOf": ["person:ana", "person:ben"]} with input as by(fixture.disable, ["person:mallory"])
}

test_everything_of_a_third_party_is_taken_back_by_security_and_on_call if {
	every principal in ["person:olga", "person:sam"] {
		fixture.codes(workflow.permit) == {"taking-back"} with input as by(fixture.offboard, [principal])
	}
	every principal in ["person:ana", "person:ben", "person:mallory"] {
		fixture.codes(workflow.pending) == {"taking-back-approval"} with input as by(fixture.offboard, [principal])
		workflow.approvers == {"anyOf": ["person:olga"]} with input as by(fixture.offboard, [principal])
	}
}

test_the_owner_of_one_identity_does_not_answer_for_a_person if {
	odd := object.union(by(fixture.offboard, ["person:ana"]), {"change": {"subject": "person:ben"}, "facts": {"nhi": fixture.nhi}})
	fixture.codes(workflow.pending) == {"taking-back-approval"} with input as odd
	workflow.approvers == {"anyOf": ["person:olga"]} with input as odd
}

test_the_owner_of_an_identity_offboards_it if {
	own := object.union(by(fixture.offboard, ["person:ana"]), {"change": {"subject": fixture.nhi.id}, "facts": {"nhi": fixture.nhi}})
	fixture.codes(workflow.permit) == {"taking-back"} with input as own
}

test_a_part_of_an_offboarding_is_not_decided_anew if {
	parent := {"changeId": "chg_0123456789abcdef_01JDE7XQ0M4N5P6Q7R8S9T0V1X", "requester": ["person:olga"]}
	every principal in ["person:olga", "person:mallory", "sidecar:0123456789abcdef"] {
		part := object.union(by(fixture.disable, [principal]), {"change": {"parent": parent}})
		fixture.codes(workflow.permit) == {"part-of-offboarding"} with input as part
		count(workflow.pending) == 0 with input as part
		count(workflow.deny) == 0 with input as object.union(part, no_owner)
	}
}

test_an_old_login_is_shut_out_without_another_approval if {
	retiring := object.union(fixture.rotate, fixture.step("retire", 3))
	fixture.codes(workflow.permit) == {"retiring"} with input as retiring
	count(workflow.pending) == 0 with input as retiring
	count(workflow.deny) == 0 with input as object.union(retiring, no_owner)
}

test_medium_risk_needs_approval_outside_production_too if {
	medium := object.union(fixture.preview_grant, {"facts": {"nhi": {"riskTier": "medium"}}})
	count(workflow.permit) == 0 with input as medium
	fixture.codes(workflow.pending) == {"owner-approval"} with input as medium
}

test_what_is_not_asked_properly_has_no_reason_to_permit if {
	parent := {"changeId": "chg_0123456789abcdef_01JDE7XQ0M4N5P6Q7R8S9T0V1X", "requester": ["person:olga"]}
	every asked in [
		fixture.preview_grant,
		tier("medium"),
		tier("high"),
		tier("critical"),
		revoke(["person:ana"]),
		revoke(["person:mallory"]),
		fixture.disable,
		by(fixture.disable, ["person:mallory"]),
		object.union(fixture.disable, {"change": {"parent": parent}}),
		fixture.offboard,
		object.union(fixture.rotate, fixture.step("retire", 3)),
	] {
		count(workflow.permit | workflow.pending) == 1 with input as asked
		count(workflow.permit | workflow.pending) == 0 with input as object.union(asked, {"v": 2})
	}
}

stranger_to_ana := [{"id": "person:ana", "active": true}, {"id": "person:ben", "active": true, "linked": []}]

test_nobody_approves_where_people_cannot_be_told_apart if {
	asked := fixture.knowing({"directory": {"people": stranger_to_ana}})
	fixture.codes(workflow.deny) == {"no-eligible-approver"} with input as asked
	workflow.owners == set() with input as asked
}

test_taking_back_does_not_wait_for_that if {
	asked := object.union(fixture.grant, {"change": {"kind": "revoke"}, "facts": {"directory": {"people": stranger_to_ana}}})
	workflow.owners == {"person:ana", "person:ben"} with input as asked
	workflow.deny == set() with input as asked
}

test_a_rank_that_is_no_number_weighs_most if {
	every rank in [null, "20", [[]]] {
		entries := [fixture.ranked(fixture.orders, 20, "prod"), fixture.ranked(fixture.invoices, rank, "prod")]
		asked := object.union(fixture.changing({"entitlements": [fixture.orders, fixture.invoices]}), {"facts": {"catalogue": {"entitlements": entries}}})
		workflow.risk == "critical" with input as asked
		held := object.union(fixture.rotate, {"held": [fixture.orders.privilege, fixture.invoices.privilege], "facts": {"catalogue": {"entitlements": entries}}})
		workflow.risk == "critical" with input as held
	}
}

in_stages := {"low": false, "medium": false, "high": true, "critical": true}

test_people_are_asked_one_after_the_other_where_the_limits_say_so if {
	workflow.approvers == {"stages": [
		{"anyOf": ["person:ana", "person:ben"]},
		{"anyOf": ["person:olga"]},
		{"atLeast": 3, "of": ["person:ana", "person:ben", "person:olga", "person:sam", "person:wei"]},
	]} with input as tier("critical") with data.limits.stages as in_stages
}

test_they_are_asked_at_once_where_the_limits_do_not if {
	every stages in [{}, {"critical": false}, in_stages] {
		object.keys(workflow.approvers) == {"anyOf"} with input as tier("medium") with data.limits.stages as stages
	}
	every stages in [{}, {"critical": false}, {"high": true}] {
		object.keys(workflow.approvers) == {"allOf"} with input as tier("critical") with data.limits.stages as stages
	}
	every value in ["true", null, 1, {}] {
		object.keys(workflow.approvers) == {"stages"} with input as tier("critical") with data.limits.stages as {"critical": value}
	}
}

test_so_many_reject_as_the_limits_say if {
	decision := access.decide with input as tier("critical") with data.limits.rejections as {"critical": 2}
	decision.obligations.rejections == 2
	every rejections in [{}, {"critical": 1}, {"critical": 0}, {"critical": 1.5}, {"critical": 33}, {"critical": "2"}, {"high": 2}] {
		obligations := access.decide.obligations with input as tier("critical") with data.limits.rejections as rejections
		not obligations.rejections
	}
	allowed := access.decide with input as fixture.preview_grant with data.limits.rejections as {"low": 2}
	not allowed.obligations.rejections
}
