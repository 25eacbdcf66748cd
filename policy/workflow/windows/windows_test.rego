package workflow.windows_test

import data.checks.fixture
import data.workflow.windows

high := fixture.knowing({"nhi": {"riskTier": "high"}, "calendar": fixture.calendar})

using(asked, window) := object.union(asked, {"change": {"window": window}})

dispatched(asked, action, number) := object.union(asked, fixture.step(action, number))

at(minutes) := {"nowMs": fixture.minutes(minutes)}

frozen := {"facts": {"calendar": {"windows": [], "freezes": [fixture.freeze(-5, 30), fixture.freeze(-1, 45), fixture.freeze(60, 90)]}}}

test_a_change_that_needs_a_window_has_one if {
	fixture.codes(windows.deny) == {"no-window"} with input as high
	count(windows.deny) == 0 with input as using(high, fixture.open_window)
	fixture.codes(windows.deny) == {"no-window"} with input as fixture.rotating({"overlap": "none"})
	count(windows.deny) == 0 with input as fixture.rotating({"overlap": "none", "window": fixture.open_window})
}

test_a_change_that_needs_none_has_none if {
	count(windows.deny) == 0 with input as fixture.grant
	count(windows.deny) == 0 with input as fixture.rotate
}

test_a_change_that_names_a_calendar_has_its_window if {
	fixture.codes(windows.deny) == {"no-window"} with input as fixture.changing({"calendar": "weekend"})
	fixture.codes(windows.deny) == {"no-window"} with input as fixture.changing({"calendar": "weekend", "window": fixture.open_window})
	count(windows.deny) == 0 with input as fixture.changing({"calendar": "weekend", "window": fixture.weekend_window})
}

test_a_window_that_is_odd_is_none if {
	every window in ["night", {}, fixture.window("night", 10, 10), object.remove(fixture.open_window, ["calendar"])] {
		fixture.codes(windows.deny) == {"no-window"} with input as using(high, window)
	}
}

test_an_emergency_has_none if {
	count(windows.deny) == 0 with input as object.union(high, {"change": {"emergency": true}})
	count(windows.deny) == 0 with input as fixture.rotating({"overlap": "none", "emergency": true})
}

test_what_takes_access_away_has_none if {
	every asked in [object.union(high, {"change": {"kind": "revoke"}}), fixture.disable, fixture.offboard, dispatched(fixture.rotating({"overlap": "none"}), "retire", 3)] {
		count(windows.deny) == 0 with input as asked
	}
}

test_access_is_given_inside_the_window if {
	every minutes in [-10, 0, 49] {
		count(windows.deny) == 0 with input as object.union(using(dispatched(high, "grant", 1), fixture.open_window), at(minutes))
	}
	every step in [["stage", 1], ["cutover", 2], ["replace", 1]] {
		count(windows.deny) == 0 with input as using(dispatched(fixture.rotate, step[0], step[1]), fixture.open_window)
	}
}

test_access_is_not_given_outside_the_window if {
	every minutes in [-11, 50, 600] {
		fixture.codes(windows.deny) == {"outside-window"} with input as object.union(using(dispatched(high, "grant", 1), fixture.open_window), at(minutes))
		every step in [["stage", 1], ["cutover", 2], ["replace", 1]] {
			fixture.codes(windows.deny) == {"outside-window"} with input as object.union(using(dispatched(fixture.rotate, step[0], step[1]), fixture.open_window), at(minutes))
		}
		fixture.codes(windows.deny) == {"outside-window"} with input as object.union(using(dispatched(fixture.called, "call", 1), fixture.open_window), at(minutes))
	}
}

test_when_is_not_known_is_outside if {
	fixture.codes(windows.deny) == {"outside-window"} with input as object.union(using(dispatched(fixture.grant, "grant", 1), fixture.open_window), {"nowMs": null})
	without := object.union(object.remove(fixture.grant, ["change"]), {"phase": "dispatch", "change": object.remove(fixture.change, ["window"])})
	fixture.codes(windows.deny) == {"outside-window"} with input as without
}

test_an_old_login_is_shut_out_whenever_it_is_due if {
	count(windows.deny) == 0 with input as object.union(using(dispatched(fixture.rotate, "retire", 3), fixture.open_window), at(600))
	not windows.frozen_until_ms with input as object.union(dispatched(fixture.rotate, "retire", 3), frozen)
}

test_a_request_may_come_before_its_window if {
	count(windows.deny) == 0 with input as object.union(using(high, fixture.open_window), at(-60))
}

test_a_freeze_holds_a_step_up_until_it_ends if {
	every asked in [dispatched(fixture.grant, "grant", 1), dispatched(fixture.rotate, "cutover", 2), dispatched(fixture.called, "call", 1)] {
		windows.frozen_until_ms == fixture.minutes(45) with input as object.union(asked, frozen)
		fixture.codes(windows.note) == {"frozen"} with input as object.union(asked, frozen)
		count(windows.deny) == 0 with input as object.union(asked, frozen)
	}
}

test_a_freeze_begins_at_its_first_moment_and_not_at_its_last if {
	held := object.union(dispatched(fixture.grant, "grant", 1), {"facts": {"calendar": {"windows": [], "freezes": [fixture.freeze(0, 10)]}}})
	windows.frozen_until_ms with input as held
	windows.frozen_until_ms with input as object.union(held, {"nowMs": fixture.minutes(10) - 1})
	not windows.frozen_until_ms with input as object.union(held, at(10))
	not windows.frozen_until_ms with input as object.union(held, {"nowMs": fixture.now_ms - 1})
}

test_no_freeze_holds_up_a_request_an_emergency_or_taking_away if {
	every asked in [
		fixture.grant,
		dispatched(fixture.changing({"emergency": true}), "grant", 1),
		dispatched(fixture.changing({"kind": "revoke"}), "revoke", 1),
		dispatched(fixture.disable, "disable", 1),
	] {
		not windows.frozen_until_ms with input as object.union(asked, frozen)
		count(windows.note) == 0 with input as object.union(asked, frozen)
	}
}
