# METADATA
# title: Escalation
# description: |
#   Who is told as well when a change has waited for approvals for long. It neither permits nor denies anything, and lets nobody approve who was not
#   asked. What the limits do not say, or say in another form, tells people sooner, and never nobody.
package workflow.escalation

import data.access.question
import data.lib.people
import data.workflow
import data.workflow.absence
import data.workflow.emergency

urgency := "emergency" if {
	emergency.declared
} else := workflow.level

# METADATA
# title: How long a change waits before further people are told
# description: A quarter of an hour where the limits do not say.
default after_seconds := 900

after_seconds := seconds if {
	seconds := data.limits.escalateAfterSeconds[urgency]
	is_number(seconds)
	seconds == floor(seconds)
	seconds >= 1
	seconds <= 31536000
}

holders := {
	"owner": {id | id := question.nhi.owner},
	"backupOwner": {id | id := question.nhi.backupOwner},
	"onCall": people.team("onCall"),
	"security": people.team("security"),
	"platform": people.team("platform"),
}

# METADATA
# title: By what they are to people are told
# description: On call and security where the limits do not say, or name something else. An empty list is nobody.
default roles := ["onCall", "security"]

roles := data.limits.escalateTo if {
	is_array(data.limits.escalateTo)
	every role in data.limits.escalateTo {
		role in object.keys(holders)
	}
}

# Whoever is offboarded is not told of it.
to := array.slice(sort(workflow.eligible(union({holders[role] | some role in roles})) - people.identities(input.change.subject)), 0, 32)

# METADATA
# title: What a decision that needs approval says of it
# description: Undefined where there is nobody to tell.
obligation := {"afterSeconds": waits_seconds, "to": to} if count(to) > 0

waits_seconds := 1 if {
	absence.told_at_once
} else := after_seconds
