# METADATA
# title: Standing approvals
# description: |
#   Whether a template that a person has signed may count as her approval of what is within it. Who she is, and what she signed, is for others to say: it
#   neither permits nor denies anything. Never for an emergency, for what stands, for what governs approvals, or for what an exception lets through; nor, unless the limits say so, for
#   what the identity is not seen to use. What the limits do not say, or say in another form, lets none count.
package workflow.standing_approval

import data.access.exceptions
import data.access.facts
import data.access.question
import data.workflow
import data.workflow.emergency
import data.workflow.governing

# METADATA
# title: What a decision that needs approval says of it
# description: Undefined where none counts.
obligation := {"maxLeaseSeconds": longest} if {
	question.gain
	not emergency.declared
	not exceptions.applied
	not governing.asked
	longest := data.limits.standingApproval.maxLeaseSeconds[workflow.risk]
	is_number(longest)
	longest == floor(longest)
	longest >= 1
	longest <= 2592000
	bounded(longest)
	familiar
}

bounded(longest) if {
	input.change.kind in {"provision", "grant", "extend"}
	is_number(input.change.leaseSeconds)
	input.change.leaseSeconds <= longest
}

bounded(_) if input.change.kind == "rotate"

familiar if data.limits.standingApproval.firstTime == true

# A new secret for what stands already is nothing new.
familiar if input.change.kind == "rotate"

familiar if {
	input.used.ageMs <= data.limits.usageAgeMaxMs
	count(input.change.entitlements) > 0
	every asked in input.change.entitlements {
		facts.used(asked.privilege)
	}
}
