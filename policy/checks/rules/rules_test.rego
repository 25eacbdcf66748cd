package checks.rules_test

import data.checks.rules

sound := {
	"id": "access.x.deny",
	"name": "deny",
	"file": "access/x/x.rego",
	"isDefault": false,
	"value": null,
	"speaks": true,
	"description": "What must hold.",
	"custom": {"code": "x-missing", "message": "x is missing", "solution": "Add x.", "controls": [{"framework": "NIST SP 800-53 r5", "id": "AC-3"}]},
	"literals": [{"negated": true, "call": false, "reads": [], "uses": ["access.x.fits"]}],
}

fits := {
	"id": "access.x.fits",
	"name": "fits",
	"file": "access/x/x.rego",
	"isDefault": false,
	"value": null,
	"speaks": false,
	"description": "",
	"custom": {},
	"literals": [{"negated": false, "call": true, "reads": ["input.change.x", "data.limits.x"], "uses": []}],
}

found(outline) := codes if {
	codes := {finding.code | some finding in rules.deny} with input as {"rules": outline}
}

test_a_rule_that_states_what_must_hold_and_negates_it_is_sound if found([sound, fits]) == set()

test_words_are_missed if {
	found([object.union(sound, {"custom": {"code": ""}}), fits]) == {"no-code"}
	found([object.union(sound, {"custom": {"message": 1}}), fits]) == {"no-message"}
	found([object.union(sound, {"custom": {"solution": null}}), fits]) == {"no-solution"}
	found([object.union(sound, {"custom": {"controls": []}}), fits]) == {"no-controls"}
	found([object.union(sound, {"description": ""}), fits]) == {"no-description"}
	found([object.remove(sound, ["custom"]), fits]) == {"no-code", "no-message", "no-solution", "no-controls"}
	found([object.union(sound, {"speaks": false}), fits]) == {"silent"}
}

test_nothing_is_allowed_by_default if {
	found([object.union(fits, {"isDefault": true, "value": true})]) == {"default-yes"}
	found([object.union(fits, {"isDefault": true, "value": "allow"})]) == {"default-yes"}
	found([object.union(fits, {"isDefault": true, "value": "deny"})]) == set()
}

test_a_call_that_reads_is_not_negated_in_place if {
	found([object.union(fits, {"literals": [{"negated": true, "call": true, "reads": ["input.held"], "uses": []}]})]) == {"negated-read"}
	found([object.union(fits, {"literals": [{"negated": true, "call": false, "reads": ["input.held"], "uses": []}]})]) == set()
}

reading := [{"negated": false, "call": true, "reads": ["input.change.x", "data.limits.x"], "uses": []}]

using(negated) := [{"negated": negated, "call": false, "reads": [], "uses": ["access.x.fits"]}]

test_no_denial_rests_on_data if {
	found([object.union(sound, {"literals": reading})]) == {"rests-on-data"}
	found([object.union(sound, {"literals": using(false)}), fits]) == {"rests-on-data"}
}

test_nor_through_two_negations if {
	between := object.union(fits, {"id": "access.x.between", "literals": using(true)})
	through := [{"negated": true, "call": false, "reads": [], "uses": ["access.x.between"]}]
	found([object.union(sound, {"literals": through}), between, fits]) == {"rests-on-data"}
}

test_what_has_a_default_is_never_undefined if {
	settled := object.union(fits, {"isDefault": true, "value": "critical"})
	found([object.union(sound, {"literals": using(false)}), settled, fits]) == set()
}
