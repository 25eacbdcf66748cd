package access.question_test

import data.access.question
import data.checks.fixture

dispatched(action, number) := object.union(fixture.rotate, fixture.step(action, number))

test_a_kind_that_is_not_known_is_held_to_the_rules_for_gaining if {
	question.gives_access with input as fixture.changing({"kind": "teleport"})
	question.gives_access with input as {}
	not question.gain with input as fixture.changing({"kind": "teleport"})
}

test_taking_back_is_told_by_its_kind if {
	every asked in [fixture.changing({"kind": "revoke"}), fixture.disable, fixture.offboard] {
		question.takes_away with input as asked
		question.asked_properly with input as asked
		not question.gain with input as asked
	}
}

test_what_gives_access_says_all_that_it_must if {
	every asked in [
		fixture.grant,
		fixture.rotate,
		fixture.called,
		fixture.rotating({"overlap": "none"}),
		fixture.changing({"emergency": true}),
		fixture.changing({"calendar": "night", "window": fixture.open_window}),
		fixture.knowing({"calendar": fixture.calendar}),
		fixture.knowing({"calendar": {"windows": [], "freezes": [fixture.freeze(0, 1)]}, "locks": [{"lockId": "lck", "reason": "leak"}]}),
		object.union(fixture.grant, fixture.step("grant", 1)),
		object.union(fixture.changing({"kind": "provision"}), fixture.step("provision", 1)),
		dispatched("stage", 1),
		dispatched("cutover", 2),
		dispatched("replace", 1),
		object.union(fixture.called, fixture.step("call", 1)),
	] {
		question.gain with input as asked
	}
}

test_what_is_missing_or_odd_is_no_gain if {
	every part in [
		{"mode": "remote"},
		{"mode": null},
		{"entitlements": []},
		{"system": null},
		{"system": {"target": "elsewhere"}},
		object.union(fixture.rotate_change, {"system": {"target": ["app"]}}),
		{"emergency": "false"},
		{"emergency": null},
		{"calendar": 1},
		{"window": "night"},
		{"window": {"calendar": "night", "opensAtMs": 5}},
		{"window": fixture.window("night", 10, 10)},
		{"overlap": "some"},
		{"step": {"action": "grant", "number": 1}},
		{"parent": {"changeId": "chg"}},
		{"items": 1},
	] {
		not question.gain with input as fixture.changing(part)
	}
}

test_a_calendar_that_cannot_be_read_is_no_gain if {
	every odd in [
		{"calendar": {}},
		{"calendar": {"windows": [], "freezes": null}},
		{"calendar": {"windows": "always", "freezes": []}},
		{"calendar": {"windows": [{"calendar": "night"}], "freezes": []}},
		{"calendar": {"windows": [], "freezes": [{"id": "year-end", "fromMs": 1}]}},
		{"calendar": {"windows": [], "freezes": [{"id": "year-end", "fromMs": 1, "untilMs": "later"}]}},
		{"calendar": []},
		{"locks": null},
		{"locks": [[]]},
	] {
		not question.gain with input as fixture.knowing(odd)
	}
}

test_what_is_left_out_is_no_gain if {
	every name in object.keys(fixture.change) - {"changeId", "revision", "requester", "subject", "purpose", "leaseSeconds", "planDigest"} {
		without := object.union(object.remove(fixture.grant, ["change"]), {"change": object.remove(fixture.change, [name])})
		not question.gain with input as without
	}
	every name in ["calendar", "locks"] {
		without := object.union(object.remove(fixture.grant, ["facts"]), {"facts": object.remove(fixture.facts, [name])})
		not question.gain with input as without
	}
}

test_when_it_is_asked_is_known if {
	every odd in [null, "now", [[]]] {
		not question.gain with input as object.union(fixture.grant, {"nowMs": odd})
	}
	not question.gain with input as object.remove(fixture.grant, ["nowMs"])
}

test_only_the_steps_of_a_kind_are_dispatched if {
	every asked in [
		object.union(fixture.grant, {"phase": "dispatch"}),
		object.union(fixture.grant, fixture.step("provision", 1)),
		object.union(fixture.grant, fixture.step("grant", 0)),
		object.union(fixture.grant, fixture.step("grant", "1")),
		dispatched("call", 1),
		dispatched("grant", 1),
		object.union(fixture.called, fixture.step("replace", 1)),
		object.union(fixture.called, fixture.step("call", 2)),
	] {
		not question.gain with input as asked
	}
}

test_the_retirement_of_an_old_login_takes_away if {
	question.retiring with input as dispatched("retire", 3)
	question.settled with input as dispatched("retire", 3)
	question.takes_away with input as dispatched("retire", 3)
	not question.gain with input as dispatched("retire", 3)
}

test_only_an_executor_retires_and_only_when_it_is_due if {
	every asked in [
		object.union(dispatched("retire", 3), {"phase": "request"}),
		object.union(fixture.called, fixture.step("retire", 3)),
		object.union(fixture.grant, fixture.step("retire", 3)),
		dispatched("cutover", 2),
	] {
		not question.retiring with input as asked
		question.gives_access with input as asked
	}
}

test_a_part_of_an_offboarding_names_its_parent if {
	parent := {"changeId": "chg_0123456789abcdef_01JDE7XQ0M4N5P6Q7R8S9T0V1X", "requester": ["person:olga"]}
	part := object.union(fixture.disable, {"change": {"parent": parent}})
	question.part_of_offboarding with input as part
	question.settled with input as part
	every other in [
		fixture.disable,
		object.union(part, {"change": {"parent": {"requester": []}}}),
		object.union(part, {"change": {"mode": "caller"}}),
		object.union(part, {"change": {"kind": "revoke", "entitlements": [fixture.orders]}}),
		object.union(fixture.grant, {"change": {"parent": parent}}),
	] {
		not question.part_of_offboarding with input as other
	}
}

test_the_identity_is_the_one_that_is_asked_about if {
	question.nhi.owner == "person:ana" with input as fixture.grant
	question.nhi == null with input as object.union(fixture.offboard, {"facts": {"nhi": fixture.nhi}})
	question.nhi == null with input as {}
}

test_what_is_touched_comes_from_the_entitlements_or_the_account if {
	question.targets == {["pg-main", "app"]} with input as object.union(fixture.grant, {"change": {"system": null}})
	question.targets == {["pg-main", "app"]} with input as fixture.rotate
	question.targets == set() with input as fixture.offboard
	question.targets == set() with input as {}
}

test_an_offboarding_is_no_callers_affair if {
	not question.asked_properly with input as object.union(fixture.offboard, {"change": {"mode": "caller"}})
}

test_nobody_serves_a_connector_that_is_not_there if {
	question.unserved with input as fixture.knowing({"connectors": ["pg-dev"]})
	not question.unserved with input as fixture.grant
	not question.unserved with input as fixture.knowing({"connectors": null})
	not question.unserved with input as object.union(fixture.offboard, {"facts": {"connectors": []}})
}

test_a_question_of_another_form_is_not_asked_properly if {
	parent := {"changeId": "chg_0123456789abcdef_01JDE7XQ0M4N5P6Q7R8S9T0V1X", "requester": ["person:olga"]}
	every asked in [
		fixture.grant,
		fixture.changing({"kind": "revoke"}),
		fixture.disable,
		fixture.offboard,
		dispatched("retire", 3),
		object.union(fixture.disable, {"change": {"parent": parent}}),
	] {
		question.asked_properly with input as asked
		every odd in [{"v": 2}, {"phase": "whenever"}, {"change": {"mode": "remote"}}, {"change": {"kind": "teleport"}}] {
			not question.asked_properly with input as object.union(asked, odd)
			not question.settled with input as object.union(asked, odd)
		}
	}
	not question.asked_properly with input as fixture.changing({"kind": "revoke", "entitlements": []})
	not question.asked_properly with input as object.union(fixture.disable, {"change": {"system": null}})
	not question.part_of_offboarding with input as object.union(fixture.disable, {"change": {"parent": object.union(parent, {"changeId": null})}})
}

test_times_are_numbers if {
	every part in [{"opensAtMs": null}, {"closesAtMs": "later"}] {
		not question.occurrence(object.union(fixture.open_window, part))
	}
	every part in [{"fromMs": null}, {"untilMs": "later"}] {
		not question.period(object.union(fixture.freeze(0, 1), part))
	}
}
