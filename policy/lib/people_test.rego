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
		people.identities(linked, id) == {"person:a", "person:b", "person:c"}
	}
	people.identities(linked, "person:gone") == {"person:d", "person:gone"}
}

test_whoever_has_no_link_is_alone if {
	people.identities(fixture.directory, "person:wei") == {"person:wei"}
	people.identities(fixture.directory, "nhi:prod/other") == {"nhi:prod/other"}
}

test_only_the_listed_and_enabled_are_active if {
	people.active(linked, "person:a")
	not people.active(linked, "person:c")
	not people.active(linked, "person:gone")
	people.listed(linked, "person:c")
	not people.listed(linked, "person:gone")
}

test_roles_are_those_of_the_person if {
	people.responder_roles(fixture.directory, fixture.nhi, "person:ana-adm") == {"owner"}
	people.responder_roles(fixture.directory, fixture.nhi, "person:wei") == set()
	people.responder_roles(fixture.directory, null, "person:sam") == {"onCall"}
}
