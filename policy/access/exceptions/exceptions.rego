# METADATA
# title: Exceptions
# description: |
#   What is objected to, and which of it an exception takes away for a time. An exception is for one rule and one identity, and has an owner. It
#   makes nothing allowed: what it lets through is approved by its owner, an owner of the identity and security, whatever the risk.
package access.exceptions

import data.access.caller
import data.access.credential
import data.access.entitlement
import data.access.extension
import data.access.facts
import data.access.lease
import data.access.least_privilege
import data.access.offboarding
import data.access.overlays
import data.access.question
import data.access.requester
import data.access.third_party
import data.access.toxic
import data.access.velocity
import data.lib
import data.lib.clock
import data.lib.people
import data.workflow
import data.workflow.windows

objections := union({
	entitlement.deny,
	least_privilege.deny,
	lease.deny,
	extension.deny,
	requester.deny,
	facts.deny,
	caller.deny,
	offboarding.deny,
	overlays.denied,
	toxic.deny,
	third_party.deny,
	credential.deny,
	velocity.deny,
	windows.deny,
})

# METADATA
# title: What no exception may touch
# description: |
#   Whatever a rule says of itself, an overlay's too. Who asks, for whom and by which facts; what cannot be weighed or carried out; that people
#   other than the requester approve. What is verified after an effect is another question, in which no exception is looked at.
untouchable := {
	"end-not-later",
	"executor-required",
	"facts-stale",
	"lease-moved",
	"lease-not-running",
	"no-account",
	"no-eligible-approver",
	"no-permit-reason",
	"no-plan",
	"no-window",
	"not-one-target",
	"nothing-to-offboard",
	"other-lease",
	"outside-window",
	"requester-inactive",
	"standing-not-allowed",
	"too-many-changes",
	"too-many-credentials",
	"too-many-requests",
	"unknown-connector",
	"unknown-entitlement",
	"unknown-nhi",
	"unknown-purpose",
	"unknown-requester",
	"unlabelled",
}

# METADATA
# title: The codes that an exception may be for
# description: Those of rules that say so of themselves, and of overlays that do. An overlay that uses another's code is not silenced by that.
exceptable(saying) if {
	saying.exceptable == true
	not saying.reason.code in untouchable
}

# Nothing that could stand for a lease of any length is a lease.
lease_sound if is_null(input.change.leaseSeconds)

lease_sound if {
	is_number(input.change.leaseSeconds)
	input.change.leaseSeconds >= 1
}

# A question that lacks something has no reason to permit, and an exception is none. An emergency has a way of its own, past windows and freezes. It does not lead past anything else.
considered if {
	question.gain
	input.change.emergency == false
	lease_sound
}

# METADATA
# title: An exception holds
# description: |
#   For this identity, now, for no longer than an exception may be for, and with an owner who is active and does not ask for the change.
holds(exception) if {
	considered
	is_string(exception.id)
	is_number(exception.fromMs)
	is_number(exception.untilMs)
	exception.subject == input.change.subject
	exception.fromMs <= input.nowMs
	input.nowMs < exception.untilMs
	is_number(data.limits.exceptionMsMax)
	exception.untilMs - exception.fromMs <= data.limits.exceptionMsMax
	over_with(exception)
	count(answering(exception)) > 0
}

# METADATA
# title: What is let through is over with the exception
# description: |
#   A lease that is given ends by then, and access that would stand is given by none. One that runs was held to that when it was given.
over_with(_) if not lease.leased

over_with(_) if input.phase == "lease"

over_with(exception) if {
	is_number(input.change.leaseSeconds)
	input.nowMs + (input.change.leaseSeconds * 1000) <= exception.untilMs
}

# METADATA
# title: Who may approve for the owner of an exception
# description: The owner alone, under any id of theirs; nobody where the owner asks, or has left.
answering(exception) := workflow.eligible(people.identities(exception.owner))

# METADATA
# title: The exceptions that take something away
# description: For each code one of those that hold, always the same. None, where something is missing.
used := {code: exceptions[0] |
	some saying in objections
	exceptable(saying)
	code := saying.reason.code
	exceptions := sort([exception |
		some exception in input.facts.exceptions
		exception.rule == code
		holds(exception)
	])
	count(exceptions) > 0
}

# METADATA
# title: Whether any does
# description: False, and never undefined, so that who must approve does not hang on a limit that is missing.
default applied := false

applied if count(used) > 0

taken(saying) if {
	exceptable(saying)
	used[saying.reason.code]
}

# METADATA
# title: What is still objected to
standing := {saying |
	some saying in objections
	not taken(saying)
}

# METADATA
# title: The owners of the exceptions, who each approve
approvers := sort({workflow.any_of(answering(exception)) | some exception in used})

# METADATA
# title: The exceptions, as the decision names them
named := [{"id": exception.id, "rule": code, "owner": exception.owner, "until": clock.rfc3339(exception.untilMs)} |
	some code, exception in used
]

# METADATA
# title: An exception
# description: |
#   An exception takes away what would be denied, for one rule and one identity and for a time. Its owner, an owner of the identity and security
#   approve each change that it lets through, as at least two people.
# custom:
#   code: excepted
#   message: "What would be denied is let through by an exception; its owner, an owner of {subject} and security approve this."
#   controls:
#     - {framework: NIST CSF 2.0, id: ID.RA-07}
#     - {framework: NIST SP 800-53 r5, id: AC-3(2)}
#     - {framework: NIST SP 800-53 r5, id: CM-3}
#     - {framework: SOC 2, id: CC8.1}
#     - {framework: ISO/IEC 27001:2022, id: A.5.18}
pending contains lib.said(rego.metadata.chain()) if applied
