package access.overlays_test

import data.access
import data.access.overlays
import data.checks.fixture

objection := {"reason": {"code": "not-ours", "message": "Not here.", "rule": "overlays.team.deny"}, "controls": set()}

test_without_overlays_nothing_is_denied if {
	count(overlays.denied) == 0 with input as fixture.grant
	access.decide.effect == "needsApproval" with input as fixture.grant
}

test_an_overlay_denies_what_the_baseline_permits if {
	decision := access.decide with input as fixture.grant with data.overlays as {"team": {"deny": {objection}}, "other": {"deny": set()}}
	decision.effect == "deny"
	decision.reasons == [objection.reason]
	decision.obligations.approvers == {"anyOf": []}
}

test_an_overlay_permits_nothing if {
	excessive := fixture.changing({"leaseSeconds": 9999999})
	decision := access.decide with input as excessive with data.overlays as {"team": {"permit": {objection}, "deny": set()}}
	decision.effect == "deny"
}

test_an_objection_of_another_form_denies if {
	every value in [true, {"code": "x"}, ["x"], "x"] {
		decision := access.decide with input as fixture.grant with data.overlays as {"team": {"deny": value}}
		decision.effect == "deny"
	}
}

part_of_offboarding := object.union(fixture.disable, {"change": {"parent": {"changeId": "chg_0123456789abcdef_01JDE7XQ0M4N5P6Q7R8S9T0V1X", "requester": ["person:olga"]}}})

test_what_only_takes_away_is_held_up_by_no_overlay if {
	every asked in [
		object.union(fixture.rotate, fixture.step("retire", 3)),
		part_of_offboarding,
		fixture.changing({"kind": "revoke", "requester": ["person:ana"]}),
	] {
		every overlay in [{"deny": {objection}}, {"deny": true}] {
			overlays.denied == set() with input as asked with data.overlays as {"team": overlay}
			access.decide.effect == "allow" with input as asked with data.overlays as {"team": overlay}
		}
	}
}

test_only_what_takes_away_goes_past_an_overlay if {
	every asked in [
		fixture.changing({"kind": "teleport"}),
		fixture.rotate,
		object.union(fixture.rotate, fixture.step("cutover", 2)),
		object.union(object.union(fixture.rotate, fixture.step("retire", 3)), {"phase": "request"}),
	] {
		overlays.denied == {objection} with input as asked with data.overlays as {"team": {"deny": {objection}}}
	}
}
