# METADATA
# title: People
# description: Who is one person under several ids, who is active, who answers for an identity.
package lib.people

# METADATA
# title: Every id of the same person, this one included
# description: Links hold both ways and onwards, whoever of the two states them.
identities(directory, id) := {id} | graph.reachable(links(directory), {id})

links(directory) := {from: to |
	some [from, _] in stated(directory)
	to := {pair[1] |
		some pair in stated(directory)
		pair[0] == from
	}
}

stated(directory) := {pair |
	some person in directory.people
	some other in person.linked
	some pair in [[person.id, other], [other, person.id]]
}

# METADATA
# title: In the directory, and not disabled
active(directory, id) if {
	some person in directory.people
	person.id == id
	person.active == true
}

# METADATA
# title: In the directory at all
listed(directory, id) if {
	some person in directory.people
	person.id == id
}

members(directory, name) := {member |
	some team in directory.teams
	team.id == name
	some member in team.members
}

# METADATA
# title: What makes a person one who may take access back without asking
# description: By any of the ids of the same person. Empty for everybody else.
responder_roles(directory, nhi, id) := {role |
	some role, holders in {
		"owner": {holder | holder := nhi.owner},
		"backupOwner": {holder | holder := nhi.backupOwner},
		"security": members(directory, "security"),
		"onCall": members(directory, "onCall"),
	}
	count(holders & identities(directory, id)) > 0
}
