package access.entitlement_test

import data.access.entitlement
import data.checks.fixture

test_what_is_known_and_needed_is_not_denied if {
	count(entitlement.deny) == 0 with input as fixture.grant
}

test_an_unknown_identity_is_denied if {
	fixture.codes(entitlement.deny) == {"unknown-nhi"} with input as fixture.knowing({"nhi": null})
}

test_the_entry_of_another_identity_does_not_count if {
	fixture.codes(entitlement.deny) == {"unknown-nhi"} with input as fixture.knowing({"nhi": {"id": "nhi:prod/other"}})
}

test_an_unknown_purpose_is_denied if {
	fixture.codes(entitlement.deny) == {"unknown-purpose", "purpose-not-declared"} with input as fixture.changing({"purpose": "mischief"})
}

test_two_purposes_of_one_id_are_none if {
	twice := array.concat(fixture.catalogue.purposes, [{"id": "nightly-billing", "needs": [], "maxLeaseSeconds": null}])
	fixture.codes(entitlement.deny) == {"unknown-purpose"} with input as fixture.knowing({"catalogue": {"purposes": twice}})
}

test_a_purpose_that_the_identity_has_not_declared_is_denied if {
	fixture.codes(entitlement.deny) == {"purpose-not-declared"} with input as fixture.changing({"purpose": "purge"})
}

test_an_unknown_connector_is_denied if {
	fixture.codes(entitlement.deny) == {"unknown-connector"} with input as fixture.knowing({"connectors": []})
}

test_an_unknown_connector_is_denied_to_a_revoke_too if {
	revoke := object.union(fixture.grant, {"change": {"kind": "revoke"}, "facts": {"connectors": []}})
	fixture.codes(entitlement.deny) == {"unknown-connector"} with input as revoke
}

test_an_entitlement_that_is_not_catalogued_is_denied if {
	asked := object.union(fixture.orders, {"privilege": "table:public.secrets:SELECT"})
	fixture.codes(entitlement.deny) == {"unknown-entitlement"} with input as fixture.changing({"entitlements": [asked]})
}

test_a_scope_that_is_not_catalogued_is_another_entitlement if {
	asked := object.union(fixture.orders, {"scope": "region=eu"})
	fixture.codes(entitlement.deny) == {"unknown-entitlement"} with input as fixture.changing({"entitlements": [asked]})
}

test_two_targets_are_denied if {
	"not-one-target" in fixture.codes(entitlement.deny) with input as fixture.changing({"entitlements": [fixture.orders, fixture.preview]})
}

test_no_entitlement_is_denied if {
	fixture.codes(entitlement.deny) == {"not-one-target"} with input as fixture.changing({"entitlements": []})
}

test_an_entitlement_of_another_environment_is_denied if {
	fixture.codes(entitlement.deny) == {"environment-mismatch"} with input as fixture.changing({"entitlements": [fixture.preview]})
}

test_an_id_that_names_another_environment_is_denied if {
	fixture.codes(entitlement.deny) == {"environment-mismatch"} with input as fixture.knowing({
		"nhi": {"environment": "dev"},
		"catalogue": {"entitlements": [fixture.ranked(fixture.orders, 20, "dev")]},
	})
}

test_human_use_is_denied if {
	fixture.codes(entitlement.deny) == {"human-use"} with input as fixture.knowing({"nhi": {"humanUse": true}})
}

test_a_credential_that_a_person_keeps_is_denied if {
	fixture.codes(entitlement.deny) == {"human-use"} with input as fixture.knowing({"nhi": {"custody": "human"}})
}

test_custody_that_is_not_known_is_denied if {
	fixture.codes(entitlement.deny) == {"human-use"} with input as fixture.knowing({"nhi": {"custody": "somewhere"}})
}

test_a_revoke_needs_none_of_this if {
	revoke := object.union(fixture.grant, {
		"change": {"kind": "revoke", "purpose": "mischief", "entitlements": [object.union(fixture.orders, {"privilege": "role:x"})]},
		"facts": {"nhi": null},
	})
	count(entitlement.deny) == 0 with input as revoke
}

test_an_account_that_is_rotated_is_in_the_inventory if {
	count(entitlement.deny) == 0 with input as fixture.rotate
	elsewhere := {"facts": {"nhi": {"accounts": {"pg-main": null}}}}
	fixture.codes(entitlement.deny) == {"no-account"} with input as object.union(fixture.rotate, elsewhere)
	fixture.codes(entitlement.deny) == {"no-account"} with input as fixture.rotating({"system": {"connector": "pg-dev"}})
	count(entitlement.deny) == 0 with input as object.union(fixture.disable, elsewhere)
}

test_a_rotation_is_for_a_purpose_of_the_identity if {
	fixture.codes(entitlement.deny) == {"unknown-purpose", "purpose-not-declared"} with input as fixture.rotating({"purpose": "mischief"})
	fixture.codes(entitlement.deny) == {"purpose-not-declared"} with input as fixture.rotating({"purpose": "purge"})
}

test_a_rotation_stays_in_the_environment if {
	fixture.codes(entitlement.deny) == {"environment-mismatch"} with input as object.union(fixture.rotate, {"facts": {"catalogue": {"entitlements": [fixture.ranked(fixture.orders, 20, "dev")]}}})
}

test_a_rotation_touches_one_target_of_a_connector_that_is_here if {
	fixture.codes(entitlement.deny) == {"unknown-connector"} with input as object.union(fixture.rotate, {"facts": {"connectors": ["pg-dev"]}})
	fixture.codes(entitlement.deny) == {"unknown-connector", "not-one-target", "no-account"} with input as fixture.rotating({"system": null})
	fixture.codes(entitlement.deny) == {"unknown-connector"} with input as object.union(fixture.disable, {"facts": {"connectors": []}})
}

test_a_callers_code_may_reach_further if {
	count(entitlement.deny) == 0 with input as object.union(fixture.called, {"facts": {"connectors": []}})
}

test_an_entitlement_without_a_connector_is_denied if {
	nowhere := object.remove(fixture.orders, ["connector"])
	"unknown-connector" in fixture.codes(entitlement.deny) with input as fixture.changing({"entitlements": [nowhere]})
}

test_people_do_not_rotate_what_they_use if {
	fixture.codes(entitlement.deny) == {"human-use"} with input as object.union(fixture.rotate, {"facts": {"nhi": {"humanUse": true}}})
}

test_what_takes_away_needs_none_of_this if {
	count(entitlement.deny) == 0 with input as fixture.offboard
	count(entitlement.deny) == 0 with input as object.union(fixture.disable, {"facts": {"nhi": null}})
	retiring := object.union(fixture.rotate, fixture.step("retire", 3))
	count(entitlement.deny) == 0 with input as object.union(retiring, {"facts": {"nhi": {"humanUse": true, "purposes": []}}})
}
