# METADATA
# title: People
# description: Who is one person under several ids, who is active, who answers for an identity. Of the directory that the question holds.
package lib.people

directory := input.facts.directory

# METADATA
# title: Every id of the same person, this one included
# description: Links hold both ways and onwards, whoever of the two states them.
identities(id) := {id} | graph.reachable(links, {id})

links[person.id] contains other if {
	some person in directory.people
	some other in person.linked
}

links[other] contains person.id if {
	some person in directory.people
	some other in person.linked
}

# METADATA
# title: In the directory at all
listed contains person.id if some person in directory.people

# METADATA
# title: In the directory, and not disabled
active contains person.id if {
	some person in directory.people
	person.active == true
}

# METADATA
# title: Of everyone it is known who is the same person
# description: Links hold both ways, so that those of one person are missing to others too.
told_apart if {
	every person in directory.people {
		is_array(person.linked)
	}
}

# METADATA
# title: The members of each team
members[name] contains member if {
	some name in ["onCall", "platform", "security"]
	some team in directory.teams
	team.id == name
	some member in team.members
}

# METADATA
# title: The members of a team, none where there is no such team
team(name) := object.get(members, name, set())

# METADATA
# title: What makes a person one who may take access back without asking
# description: By any of the ids of the same person. Empty for everybody else.
responder_roles(nhi, id) := {role |
	some role, holders in {
		"owner": {holder | holder := nhi.owner},
		"backupOwner": {holder | holder := nhi.backupOwner},
		"security": team("security"),
		"onCall": team("onCall"),
	}
	count(holders & identities(id)) > 0
}
