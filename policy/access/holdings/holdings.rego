# METADATA
# title: Holdings
# description: |
#   What an account holds, as the catalogue ranks it. A rotation hands all of it to whoever gets the new secret, so it is weighed
#   like something that is asked for.
package access.holdings

import data.access.question

# METADATA
# title: The privileges of the account that is touched
# description: |
#   As read. Where no executor can read them, a caller's rotation is weighed by what its purpose needs. Undefined otherwise.
privileges := {[connector, target, privilege] |
	some [connector, target] in question.targets
	some privilege in input.held
} if {
	question.of_account
	is_array(input.held)
}

privileges := {[need.connector, need.target, need.privilege] |
	some purpose in purposes
	some need in purpose.needs
} if {
	question.rotating
	question.called
	question.unserved
	is_null(input.held)
	count(purposes) == 1
}

purposes := [purpose |
	some purpose in input.facts.catalogue.purposes
	purpose.id == input.change.purpose
]

# METADATA
# title: Their entries in the catalogue
# description: Of every scope.
entries := [entry |
	some entry in input.facts.catalogue.entitlements
	[entry.connector, entry.target, entry.privilege] in privileges
]

explained contains [entry.connector, entry.target, entry.privilege] if some entry in entries

# What a ranked privilege brings with it is ranked by it.
explained contains [entry.connector, entry.target, privilege] if {
	some entry in entries
	some privilege in entry.conveys
}

# METADATA
# title: All of it is ranked
# description: What nobody has ranked cannot be weighed.
weighed if {
	count(privileges - explained) == 0
	every entry in entries {
		is_number(entry.rank)
	}
}
