package lib.people_test

import data.checks.fixture
import data.lib.people

linked := {
	"people": [
		{"id": "person:a", "active": true, "linked": ["person:b"]},
		{"id": "person:b", "active": true, "linked": []},
		{"id": "person:c", "active": false, "linked": ["person:b"]},
		{"id": "person:d", "active": true, "linked": ["person:gone"]},
	],
	"teams": [],
}

test_links_hold_both_ways_and_onwards if {
	every id in ["person:a", "person:b", "person:c"] {
		people.identities(id) == {"person:a", "person:b", "person:c"} with input.facts.directory as linked
	}
	people.identities("person:gone") == {"person:d", "person:gone"} with input.facts.directory as linked
}

test_whoever_has_no_link_is_alone if {
	people.identities("person:wei") == {"person:wei"} with input as fixture.grant
	people.identities("nhi:prod/other") == {"nhi:prod/other"} with input as fixture.grant
}

test_only_the_listed_and_enabled_are_active if {
	people.active == {"person:a", "person:b", "person:d"} with input.facts.directory as linked
	people.listed == {"person:a", "person:b", "person:c", "person:d"} with input.facts.directory as linked
}

test_roles_are_those_of_the_person if {
	people.responder_roles(fixture.nhi, "person:ana-adm") == {"owner"} with input as fixture.grant
	people.responder_roles(fixture.nhi, "person:wei") == set() with input as fixture.grant
	people.responder_roles(null, "person:sam") == {"onCall"} with input as fixture.grant
}

test_everyone_s_links_must_be_known_to_tell_people_apart if {
	people.told_apart with input as fixture.grant
	not people.told_apart with input as object.union(fixture.grant, {"facts": {"directory": {"people": [{"id": "person:ana", "active": true}]}}})
	not people.told_apart with input as object.union(fixture.grant, {"facts": {"directory": {"people": [{"id": "person:ana", "active": true, "linked": "person:ana-adm"}]}}})
	not people.told_apart with input as {}
}
