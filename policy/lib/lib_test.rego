package lib_test

import data.checks.fixture
import data.lib

test_deny_wins_over_needs_approval_over_allow if {
	lib.strictest({"allow"}) == "allow"
	lib.strictest({"allow", "needsApproval"}) == "needsApproval"
	lib.strictest({"needsApproval"}) == "needsApproval"
	lib.strictest({"allow", "needsApproval", "deny"}) == "deny"
	lib.strictest({"allow", "deny"}) == "deny"
}

test_no_opinion_or_an_unknown_one_is_a_deny if {
	lib.strictest(set()) == "deny"
	lib.strictest({"allow", "maybe"}) == "deny"
	lib.strictest({"needsApproval", "maybe"}) == "deny"
	lib.strictest("allow") == "deny"
}

test_a_rule_without_metadata_still_says_something if {
	saying := lib.said([{"path": ["site", "deny"]}]) with input as fixture.grant
	saying == {"reason": {"code": "unlabelled", "message": "no message", "rule": "site.deny"}, "controls": set(), "exceptable": false}
}

test_a_title_is_the_message_where_there_is_none if {
	saying := lib.said([{"path": ["site", "deny"], "annotations": {"title": "Too late", "custom": {"code": "late"}}}]) with input as {}
	saying.reason == {"code": "late", "message": "Too late", "rule": "site.deny"}
}

test_a_message_says_what_the_input_holds if {
	chain := [{"path": ["site", "deny"], "annotations": {"custom": {"message": "{subject} for {purpose}: {leaseSeconds} of {leaseSecondsMax}"}}}]
	saying := lib.said(chain) with input as fixture.grant
	saying.reason.message == "nhi:prod/billing-export for nightly-billing: 900 of 3600"
}

test_a_message_does_not_say_what_is_missing_or_long if {
	chain := [{"path": ["site", "deny"], "annotations": {"custom": {"message": "{purpose}"}}}]
	said := lib.said(chain).reason.message with input as {}
	said == "{purpose}"
	long := concat("", ["x" | some _ in numbers.range(1, 65)])
	cut := lib.said(chain).reason.message with input as {"change": {"purpose": long}}
	cut == "(not shown)"
}

test_what_is_said_comes_in_a_fixed_order if {
	sayings := {
		{"reason": {"code": "b", "message": "m", "rule": "r"}, "controls": {{"framework": "f", "id": "2", "rule": "r"}}},
		{"reason": {"code": "a", "message": "m", "rule": "r"}, "controls": {{"framework": "f", "id": "1", "rule": "r"}}},
	}
	[reason.code | some reason in lib.reasons(sayings)] == ["a", "b"]
	[control.id | some control in lib.controls(sayings)] == ["1", "2"]
}
