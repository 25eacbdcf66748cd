package workflow.escalation_test

import data.access
import data.checks.fixture
import data.workflow.escalation

tier(name) := fixture.knowing({"nhi": {"riskTier": name}})

urgent := fixture.changing({"emergency": true})

test_whoever_is_on_call_and_the_backup_owner_are_told_in_time_by_risk if {
	every name, seconds in {"low": 28800, "medium": 14400, "high": 3600, "critical": 1800} {
		escalation.obligation == {"afterSeconds": seconds, "to": ["person:ben", "person:sam"]} with input as tier(name)
	}
	escalation.obligation.afterSeconds == 600 with input as urgent
}

test_the_limits_say_who_and_when if {
	every role, ids in {
		"owner": ["person:ana"],
		"backupOwner": ["person:ben"],
		"onCall": ["person:sam"],
		"security": ["person:olga"],
		"platform": ["person:sam", "person:wei"],
	} {
		escalation.obligation.to == ids with input as fixture.grant with data.limits.escalateTo as [role]
	}
	escalation.obligation.afterSeconds == 60 with input as fixture.grant with data.limits.escalateAfterSeconds as {"medium": 60}
}

test_what_the_limits_do_not_say_tells_people_sooner if {
	without := object.remove(fixture.limits, ["escalateAfterSeconds", "escalateTo"])
	escalation.obligation == {"afterSeconds": 900, "to": ["person:olga", "person:sam"]} with input as fixture.grant with data.limits as without
}

test_a_time_that_is_none_tells_people_sooner if {
	every seconds in [0, -1, 0.5, 1.5, 31536001, "14400", null, [], {}] {
		escalation.after_seconds == 900 with input as fixture.grant with data.limits.escalateAfterSeconds as {"medium": seconds}
	}
}

test_people_by_what_is_no_role_are_others if {
	every names in [["oncall"], ["onCall", "nobody"], "onCall", null, {"onCall": true}, [null]] {
		escalation.to == ["person:olga", "person:sam"] with input as fixture.grant with data.limits.escalateTo as names
	}
}

test_an_empty_list_is_nobody_and_changes_nothing_else if {
	not escalation.obligation with input as fixture.grant with data.limits.escalateTo as []
	usual := access.decide with input as fixture.grant
	decision := access.decide with input as fixture.grant with data.limits.escalateTo as []
	decision.effect == "needsApproval"
	decision.obligations == object.remove(usual.obligations, ["escalation"])
	usual.obligations.escalation == {"afterSeconds": 14400, "to": ["person:ben", "person:sam"]}
}

test_who_asked_and_who_has_left_is_not_told if {
	by_sam := fixture.changing({"requester": ["nhi:prod/billing-export", "person:sam"]})
	escalation.to == ["person:ben"] with input as by_sam
	escalation.to == ["person:sam"] with input as fixture.knowing({"nhi": {"backupOwner": "person:kim"}})
}

test_who_is_offboarded_is_not_told_of_it if {
	leaving := object.union(fixture.offboard, {"change": {"subject": "person:sam", "requester": ["person:wei"]}})
	decision := access.decide with input as leaving
	decision.effect == "needsApproval"
	not decision.obligations.escalation
	others := access.decide with input as object.union(leaving, {"change": {"subject": "person:mallory"}})
	others.obligations.escalation.to == ["person:sam"]
}

test_nobody_is_told_of_what_waits_for_nobody if {
	every asked in [fixture.preview_grant, fixture.changing({"kind": "teleport"}), {}, fixture.knowing({"nhi": {"humanUse": true}})] {
		decision := access.decide with input as asked
		decision.effect != "needsApproval"
		not decision.obligations.escalation
	}
}

test_at_most_thirty_two_people_are_told if {
	crowd := [concat("", ["person:p", format_int(n, 10)]) | some n in numbers.range(10, 50)]
	listed := [{"id": id, "name": "P", "active": true, "linked": []} | some id in crowd]
	asked := fixture.knowing({"directory": {"people": array.concat(fixture.directory.people, listed), "teams": [{"id": "onCall", "members": crowd}]}})
	count(escalation.to) == 32 with input as asked
}
