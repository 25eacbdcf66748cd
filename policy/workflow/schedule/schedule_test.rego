package workflow.schedule_test

import data.checks.fixture
import data.workflow.schedule

keeping(asked, calendar) := object.union(asked, {"facts": {"calendar": calendar}})

tier(asked, name) := object.union(asked, {"facts": {"nhi": {"riskTier": name}}})

risky := keeping(tier(fixture.grant, "high"), fixture.calendar)

windows(list) := keeping(tier(fixture.grant, "high"), {"windows": list, "freezes": []})

freezes(list) := keeping(tier(fixture.grant, "high"), object.union(fixture.calendar, {"freezes": list}))

naming(name) := object.union(keeping(fixture.grant, fixture.calendar), {"change": {"calendar": name}})

test_high_risk_needs_a_window_where_windows_are_kept if {
	every name in ["high", "critical", "unheard-of"] {
		fixture.codes(schedule.note) == {"window-required"} with input as tier(risky, name)
		schedule.chosen == fixture.open_window with input as tier(risky, name)
	}
}

test_high_risk_needs_none_where_none_are_kept if {
	every calendar in [null, {"windows": [], "freezes": [fixture.freeze(-1, 1)]}] {
		fixture.codes(schedule.note) == {"no-window-needed"} with input as keeping(tier(fixture.grant, "high"), calendar)
		schedule.chosen == null with input as keeping(tier(fixture.grant, "high"), calendar)
	}
}

test_low_and_medium_risk_need_none if {
	every name in ["low", "medium"] {
		fixture.codes(schedule.note) == {"no-window-needed"} with input as tier(risky, name)
		schedule.chosen == null with input as tier(risky, name)
	}
}

test_a_calendar_that_is_missing_does_not_do_away_with_the_need if {
	without := object.union(object.remove(risky, ["facts"]), {"facts": object.remove(risky.facts, ["calendar"])})
	fixture.codes(schedule.note) == {"window-required"} with input as without
	schedule.chosen == null with input as without
}

test_every_rotation_of_a_high_tier_needs_a_window if {
	every name in ["high", "critical", "unheard-of"] {
		every calendar in [null, {"windows": [], "freezes": []}] {
			fixture.codes(schedule.note) == {"window-required"} with input as keeping(tier(fixture.rotate, name), calendar)
			schedule.chosen == null with input as keeping(tier(fixture.rotate, name), calendar)
		}
		schedule.chosen == fixture.open_window with input as keeping(tier(fixture.rotate, name), fixture.calendar)
	}
}

test_every_rotation_without_overlap_needs_a_window if {
	every overlap in ["none", null, "some"] {
		fixture.codes(schedule.note) == {"window-required"} with input as fixture.rotating({"overlap": overlap})
	}
	fixture.codes(schedule.note) == {"no-window-needed"} with input as fixture.rotate
}

test_how_a_callers_code_rotates_is_not_guessed if {
	fixture.codes(schedule.note) == {"no-window-needed"} with input as fixture.called
	fixture.codes(schedule.note) == {"window-required"} with input as object.union(fixture.called, {"change": {"overlap": "none"}})
}

test_a_calendar_that_is_named_gives_its_window if {
	fixture.codes(schedule.note) == {"window-asked"} with input as naming("weekend")
	schedule.chosen == fixture.weekend_window with input as naming("weekend")
	schedule.chosen == null with input as naming("never")
}

test_a_calendar_that_is_named_is_used_where_a_window_is_required if {
	both := object.union(risky, {"change": {"calendar": "weekend"}})
	fixture.codes(schedule.note) == {"window-asked", "window-required"} with input as both
	schedule.chosen == fixture.weekend_window with input as both
}

test_the_first_window_is_the_one_that_opens_first if {
	schedule.chosen == fixture.open_window with input as windows([fixture.later_window, fixture.weekend_window, fixture.open_window])
}

test_a_window_leaves_enough_time if {
	every until in [-1, 0, 0.5] {
		closing := fixture.window("night", -10, until)
		schedule.chosen == fixture.later_window with input as windows([closing, fixture.later_window])
	}
	schedule.chosen == fixture.window("night", -10, 1) with input as windows([fixture.window("night", -10, 1), fixture.later_window])
	schedule.chosen == null with input as windows([fixture.window("night", 10, 10.5)])
}

test_a_limit_that_is_missing_leaves_no_window if {
	schedule.chosen == null with input as risky with data.limits as object.remove(fixture.limits, ["windowMinSeconds"])
}

test_a_window_that_a_freeze_overlaps_is_passed_over if {
	every freeze in [fixture.freeze(-60, -5), fixture.freeze(49, 55), fixture.freeze(0, 1), fixture.freeze(-60, 60)] {
		schedule.chosen == fixture.weekend_window with input as freezes([freeze])
	}
	schedule.chosen == fixture.open_window with input as freezes([fixture.freeze(-60, -10), fixture.freeze(50, 60)])
	schedule.chosen == null with input as freezes([fixture.freeze(-60, 600)])
}

test_a_calendar_that_cannot_be_read_has_no_window if {
	every calendar in [
		{"windows": [fixture.open_window], "freezes": [{"id": "year-end"}]},
		{"windows": [fixture.open_window, {"calendar": "night"}], "freezes": []},
		{"windows": [fixture.open_window]},
	] {
		schedule.chosen == null with input as object.union(object.remove(risky, ["facts"]), {"facts": object.union(object.remove(risky.facts, ["calendar"]), {"calendar": calendar})})
	}
	schedule.chosen == null with input as object.union(risky, {"nowMs": "now"})
}

test_an_emergency_waits_for_no_window if {
	every asked in [risky, naming("weekend"), tier(fixture.rotate, "critical"), fixture.rotating({"overlap": "none"})] {
		urgent := object.union(asked, {"change": {"emergency": true}})
		count(schedule.note) == 0 with input as urgent
		schedule.chosen == null with input as urgent
	}
}

test_what_takes_access_away_needs_no_window if {
	every asked in [
		object.union(risky, {"change": {"kind": "revoke", "calendar": "night"}}),
		keeping(fixture.disable, fixture.calendar),
		keeping(fixture.offboard, fixture.calendar),
		object.union(tier(fixture.rotate, "critical"), fixture.step("retire", 3)),
	] {
		fixture.codes(schedule.note) == {"no-window-needed"} with input as asked
		schedule.chosen == null with input as asked
	}
}
