# METADATA
# title: Breaking the glass
# description: |
#   How far a person whom floors name may give a lease alone, when those who are asked cannot be waited for. It is for an emergency, and for what a lease
#   takes back by itself; never for what governs approvals. It neither permits nor denies anything: who that person is, her key and longest lease are for the floors to say. What the
#   limits do not say, or say in another form, lets nobody.
package workflow.break_glass

import data.access.question
import data.workflow
import data.workflow.emergency
import data.workflow.governing

whole(seconds, longest) if {
	is_number(seconds)
	seconds == floor(seconds)
	seconds >= 1
	seconds <= longest
}

# METADATA
# title: What a decision that needs approval says of it
# description: Undefined where nobody may.
obligation := object.union({"maxLeaseSeconds": lease_seconds, "reviewWithinSeconds": review_seconds}, rotation) if {
	emergency.declared
	not governing.asked
	question.gain
	input.change.kind in {"provision", "grant"}
	is_number(input.change.leaseSeconds)
	lease_seconds := data.limits.breakGlass.maxLeaseSeconds[workflow.risk]
	whole(lease_seconds, 86400)
	review_seconds := data.limits.breakGlass.reviewWithinSeconds
	whole(review_seconds, 2592000)
}

# By when a login that was lent more has a new credential: where the limits do not say, floors do.
rotation := {} if not says_rotation

rotation := {"rotateWithinSeconds": seconds} if {
	says_rotation
	seconds := data.limits.breakGlass.rotateWithinSeconds
	whole(seconds, 2592000)
}

says_rotation if {
	some key, _ in data.limits.breakGlass
	key == "rotateWithinSeconds"
}
