package access.toxic_test

import data.access.toxic
import data.checks.fixture

pair := [{"id": "reads-both", "privileges": [fixture.orders.privilege, fixture.invoices.privilege]}]

both := fixture.changing({"entitlements": [fixture.orders, fixture.invoices]})

holding := object.union(fixture.grant, {"held": [fixture.invoices.privilege]})

denied(asked) if {
	fixture.codes(toxic.deny) == {"toxic-combination"} with input as asked
}

passes(asked) if {
	toxic.deny == set() with input as asked
}

test_what_is_asked_for_together_is_denied if {
	denied(both) with data.toxicCombinations as pair
	passes(both)
	passes(fixture.grant) with data.toxicCombinations as pair
}

test_what_is_held_counts if {
	denied(holding) with data.toxicCombinations as pair
	passes(holding)
}

test_of_what_could_not_be_read_everything_may_be_held if {
	denied(object.union(fixture.grant, {"held": null})) with data.toxicCombinations as pair
	denied(object.remove(fixture.grant, ["held"])) with data.toxicCombinations as pair
	passes(object.union(fixture.grant, {"held": null}))
}

test_what_is_brought_along_counts if {
	entry := object.union(fixture.ranked(fixture.orders, 20, "prod"), {"conveys": [fixture.invoices.privilege]})
	denied(fixture.knowing({"catalogue": {"entitlements": [entry]}})) with data.toxicCombinations as pair
	denied(fixture.knowing({"catalogue": {"entitlements": [object.union(entry, {"conveys": "everything"})]}}))
}

test_what_is_held_already_and_not_added_to_is_not_held_against_another if {
	asked := object.union(fixture.changing({"entitlements": [fixture.customers]}), {"held": [fixture.orders.privilege, fixture.invoices.privilege]})
	passes(asked) with data.toxicCombinations as pair
}

test_a_combination_may_be_of_one_system if {
	elsewhere := [object.union(pair[0], {"connector": "pg-other"})]
	passes(both) with data.toxicCombinations as elsewhere
	passes(both) with data.toxicCombinations as [object.union(pair[0], {"target": "other"})]
	denied(both) with data.toxicCombinations as [object.union(pair[0], {"connector": "pg-main", "target": "app"})]
}

test_without_a_list_nothing_is_given if {
	every list in [null, "none", {}, [{"id": "x"}], [{"id": "x", "privileges": ["one"]}], [{"id": "x", "privileges": [1, 2]}]] {
		denied(fixture.grant) with data.toxicCombinations as list
	}
}

test_taking_back_and_rotating_are_not_held_to_it if {
	passes(object.union(both, {"change": {"kind": "revoke"}})) with data.toxicCombinations as pair
	passes(fixture.rotate) with data.toxicCombinations as null
	passes(fixture.disable) with data.toxicCombinations as null
	passes(fixture.offboard) with data.toxicCombinations as null
}
