package access.least_privilege_test

import data.access.least_privilege
import data.checks.fixture

test_what_the_purpose_needs_is_not_excess if {
	least_privilege.excess == [] with input as fixture.changing({"entitlements": [fixture.orders, fixture.invoices]})
	count(least_privilege.deny) == 0 with input as fixture.grant
}

test_what_the_purpose_does_not_need_is_excess_and_denied if {
	asked := fixture.changing({"entitlements": [fixture.customers, fixture.orders]})
	least_privilege.excess == [fixture.customers] with input as asked
	fixture.codes(least_privilege.deny) == {"exceeds-purpose"} with input as asked
}

test_a_revoke_has_no_excess if {
	least_privilege.excess == [] with input as fixture.changing({"kind": "revoke", "entitlements": [fixture.customers]})
}

test_the_counter_offer_keeps_what_was_asked_and_is_needed if {
	least_privilege.counter_offer({"exceeds-purpose"}) == {"entitlements": [fixture.orders], "leaseSeconds": 900} with input as fixture.changing({"entitlements": [fixture.customers, fixture.orders]})
}

test_the_counter_offer_names_what_is_needed_on_the_target_where_nothing_can_be_kept if {
	least_privilege.counter_offer({"exceeds-purpose"}).entitlements == [fixture.orders, fixture.invoices] with input as fixture.changing({"entitlements": [fixture.customers]})
}

test_there_is_no_counter_offer_where_the_purpose_needs_nothing_there if {
	asked := fixture.changing({"purpose": "preview-reports", "entitlements": [fixture.customers]})
	least_privilege.counter_offer({"exceeds-purpose"}) == null with input as asked
}

test_there_is_no_counter_offer_where_asking_for_less_is_not_enough if {
	least_privilege.counter_offer({"exceeds-purpose", "human-use"}) == null with input as fixture.grant
}

test_there_is_no_counter_offer_to_what_is_not_denied if {
	least_privilege.counter_offer(set()) == null with input as fixture.grant
}

test_the_counter_offer_shortens_the_lease if {
	least_privilege.counter_offer({"lease-too-long"}) == {"entitlements": [fixture.orders], "leaseSeconds": 3600} with input as fixture.changing({"leaseSeconds": 7200})
}
