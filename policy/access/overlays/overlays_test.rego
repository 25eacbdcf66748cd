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
