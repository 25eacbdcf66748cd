# METADATA
# title: Question
# description: What sort of change is asked about, and whether the question has the form that policy knows.
package access.question

taking_back if input.change.kind in {"revoke", "disable", "offboard"}

rotating if input.change.kind == "rotate"

# About an account as a whole, and not about privileges that the request names.
of_account if input.change.kind in {"rotate", "disable"}

called if input.change.mode == "caller"

extending if input.change.kind == "extend"

# METADATA
# title: A rotation shuts out the old login
# description: |
#   The new one was decided, approved, made and taken into use. From here on only less access can come of it, so that what holds
#   up gaining does not hold this up.
retiring if {
	asked_properly
	rotating
	input.change.mode == "executor"
	input.phase == "dispatch"
	input.change.step.action == "retire"
}

# METADATA
# title: Part of an offboarding
# description: The parent was decided and approved for everything that it takes back.
part_of_offboarding if {
	asked_properly
	input.change.kind == "disable"
	input.change.mode == "executor"
	is_string(input.change.parent.changeId)
	count(input.change.parent.requester) > 0
}

# Decided and approved before, and only taking away: carried through whatever became of those who asked.
settled if retiring

settled if part_of_offboarding

takes_away if taking_back

takes_away if retiring

# Anything else is held to the rules for gaining access.
gives_access if not takes_away

# METADATA
# title: The inventory's entry for the subject
# description: Null where the subject is no machine identity, or one that the inventory does not hold.
default nhi := null

nhi := input.facts.nhi if input.facts.nhi.id == input.change.subject

# METADATA
# title: What the change touches
# description: Connector and target of each entitlement, or those of the account.
targets := {[entitlement.connector, entitlement.target] | some entitlement in input.change.entitlements} | system

default system := set()

system := {[input.change.system.connector, input.change.system.target]} if of_account

connectors := {target[0] | some target in targets}

# METADATA
# title: No executor reaches it
# description: So that nobody but the caller can see what its code does. Not so where it is not known which connectors there are.
unserved if {
	is_array(input.facts.connectors)
	count(connectors) > 0
	count(connectors & {connector | some connector in input.facts.connectors}) == 0
}

known_form if {
	input.v == 1
	input.phase in {"request", "dispatch", "lease"}
	input.change.mode in {"executor", "caller"}
}

asked_properly if {
	known_form
	input.change.kind in {"provision", "grant", "extend", "revoke"}
	count(input.change.entitlements) > 0
}

asked_properly if {
	known_form
	of_account
	count(system) == 1
}

asked_properly if {
	known_form
	input.change.kind == "offboard"
	input.change.mode == "executor"
}

# METADATA
# title: Access is asked for, and the question says all that it must
# description: What is missing or odd leaves no reason to permit; taking access back asks for less.
gain if {
	asked_properly
	input.change.kind in {"provision", "grant", "extend", "rotate"}
	gives_access
	is_string(input.change.system.connector)
	is_string(input.change.system.target)
	[input.change.system.connector, input.change.system.target] in targets
	is_number(input.nowMs)
	is_boolean(input.change.emergency)
	calendar_named
	window_sound
	input.change.overlap in {"twin", "none", null}
	step_sound
	is_null(input.change.parent)
	is_null(input.change.items)
	extension_sound
	calendar_sound
	locks_sound
}

# An extension of what this ledger does not know says so by null, and is denied for that.
extension_sound if is_null(input.change.extends)

extension_sound if {
	extending
	is_string(input.change.extends.changeId)
}

locks_sound if {
	is_array(input.facts.locks)
	every lock in input.facts.locks {
		is_string(lock.lockId)
	}
}

calendar_named if is_null(input.change.calendar)

calendar_named if is_string(input.change.calendar)

window_sound if is_null(input.change.window)

window_sound if occurrence(input.change.window)

# METADATA
# title: One occurrence of a window
occurrence(window) if {
	is_string(window.calendar)
	is_number(window.opensAtMs)
	is_number(window.closesAtMs)
	window.opensAtMs < window.closesAtMs
}

period(freeze) if {
	is_number(freeze.fromMs)
	is_number(freeze.untilMs)
}

calendar_sound if is_null(input.facts.calendar)

calendar_sound if {
	is_array(input.facts.calendar.windows)
	every window in input.facts.calendar.windows {
		occurrence(window)
	}
	is_array(input.facts.calendar.freezes)
	every freeze in input.facts.calendar.freezes {
		period(freeze)
	}
}

actions := {
	"provision": {"provision"},
	"grant": {"grant"},
	"extend": {"extend"},
	"rotate": {"stage", "cutover", "replace"},
}

step_sound if {
	input.phase in {"request", "lease"}
	is_null(input.change.step)
}

step_sound if {
	input.phase == "dispatch"
	is_number(input.change.step.number)
	input.change.step.number >= 1
	not called
	input.change.step.action in actions[input.change.kind]
}

step_sound if {
	input.phase == "dispatch"
	input.change.step.number == 1
	called
	input.change.step.action == "call"
}
