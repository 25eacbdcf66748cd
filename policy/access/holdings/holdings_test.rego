package access.holdings_test

import data.access.holdings
import data.checks.fixture

holding(held) := object.union(fixture.rotate, {"held": held})

ranked(entry) := {"facts": {"catalogue": {"entitlements": [entry]}}}

test_what_is_held_is_weighed_by_its_ranks if {
	held := holding(["table:public.orders:SELECT", "table:public.customers:DELETE"])
	{entry.rank | some entry in holdings.entries} == {20, 85} with input as held
	holdings.weighed with input as held
}

test_an_account_that_holds_nothing_is_weighed if {
	holdings.weighed with input as holding([])
	holdings.entries == [] with input as holding([])
}

test_what_nobody_ranked_is_not_weighed if {
	not holdings.weighed with input as holding(["table:public.orders:SELECT", "attribute:SUPERUSER"])
}

test_what_a_ranked_privilege_brings_with_it_is_ranked_by_it if {
	role := {"connector": "pg-main", "target": "app", "privilege": "role:deploy", "rank": 60, "environment": "prod", "conveys": ["table:public.orders:UPDATE"]}
	holdings.weighed with input as object.union(holding(["role:deploy", "table:public.orders:UPDATE"]), ranked(role))
	not holdings.weighed with input as object.union(holding(["table:public.orders:UPDATE"]), ranked(role))
}

test_the_same_privilege_elsewhere_does_not_count if {
	elsewhere := object.union(fixture.ranked(fixture.orders, 5, "prod"), {"target": "other"})
	not holdings.weighed with input as object.union(holding(["table:public.orders:SELECT"]), ranked(elsewhere))
}

test_every_scope_counts if {
	scoped := {"facts": {"catalogue": {"entitlements": [
		object.union(fixture.ranked(fixture.orders, 5, "prod"), {"scope": "own"}),
		object.union(fixture.ranked(fixture.orders, 75, "prod"), {"scope": "all"}),
	]}}}
	{entry.rank | some entry in holdings.entries} == {5, 75} with input as object.union(fixture.rotate, scoped)
}

test_what_was_not_read_is_not_weighed if {
	every held in [null, "everything"] {
		not holdings.weighed with input as holding(held)
	}
	not holdings.weighed with input as object.union(fixture.called, {"held": null})
	not holdings.weighed with input as {}
}

test_where_nobody_can_read_the_purpose_says_what_is_held if {
	unread := object.union(fixture.called, {"held": null, "facts": {"connectors": []}})
	holdings.weighed with input as unread
	{entry.rank | some entry in holdings.entries} == {20, 25} with input as unread
	not holdings.weighed with input as object.union(unread, {"change": {"purpose": "mischief"}})
}

test_only_what_is_about_an_account_has_holdings if {
	not holdings.weighed with input as object.union(fixture.grant, {"held": ["table:public.orders:SELECT"]})
	holdings.weighed with input as fixture.disable
}

test_only_a_callers_rotation_is_weighed_by_its_purpose if {
	unread := {"held": null, "facts": {"connectors": []}}
	not holdings.weighed with input as object.union(fixture.rotate, unread)
	not holdings.weighed with input as object.union(fixture.disable, object.union(unread, {"change": {"mode": "caller", "purpose": "nightly-billing"}}))
}
