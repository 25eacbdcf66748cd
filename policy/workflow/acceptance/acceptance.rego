# METADATA
# title: Acceptance
# description: |
#   Whether this person may approve this plan, on the facts of now. Asked when an approval comes in, never of a rejection. It refuses more than the sidecar
#   does by itself (who was not asked, who asked, another plan, too late) and lets nobody approve besides. What it cannot tell it refuses; of a change that only
#   takes access away neither roles nor the age of facts matter.
# schemas:
#   - input: schema.accept
package workflow.acceptance

import data.access.facts
import data.access.question
import data.lib
import data.lib.people
import data.workflow
import data.workflow.delegation

# METADATA
# title: Every id of whoever approves
ids := people.identities(input.approval.approver)

understood if {
	input.v == 1
	input.phase == "approval"
	startswith(input.approval.approver, "person:")
	is_array(input.approval.approved)
	every id in input.approval.approved {
		is_string(id)
	}
	count(input.change.requester) > 0
	every id in input.change.requester {
		is_string(id)
	}
	is_string(input.change.kind)
	workflow.telling
	told
}

# Of the identity it is known who uses it.
told if {
	is_boolean(question.nhi.humanUse)
	is_array(question.nhi.consumers)
}

told if question.takes_away

active if input.approval.approver in people.active

asks if count(ids & workflow.requesters) > 0

counted contains id if {
	some id in input.approval.approved
	id in ids
	id != input.approval.approver
}

# METADATA
# title: Who answers for something in this change, now
# description: |
#   Its owners, the members of every team, and the owners of exceptions for it that are not over. Not only whom this very question would ask, since a
#   requirement never shrinks and others may still be due.
answerable contains question.nhi.owner

answerable contains question.nhi.backupOwner

answerable contains member if {
	some team in people.members
	some member in team
}

answerable contains exception.owner if {
	some exception in input.facts.exceptions
	exception.fromMs <= input.nowMs
	input.nowMs < exception.untilMs
}

answers if count(ids & answerable) > 0

# Whoever stands in for one who does, while that lasts.
answers if {
	some one in delegation.in_force
	one.to == input.approval.approver
	count(people.identities(one.from) & answerable) > 0
}

# Whoever keeps the trust folder says who: for whom its floor names this directory has no say.
answers if input.approval.namedByFloor == true

answers if question.takes_away

# METADATA
# title: Who uses the identity by hand
users contains id if {
	question.gives_access
	question.nhi.humanUse == true
	some id in question.nhi.consumers
}

uses if count(ids & users) > 0

current if facts.fresh

current if question.takes_away

# METADATA
# title: The question is understood
# description: What lacks something, or has it in another form, is no approval; nor is one where it is not known who is the same person as who, or of what identity it is.
# custom:
#   code: approval-not-understood
#   message: "The question about this approval is not one that policy knows."
#   solution: Look at the directory, at the identity in the inventory, and at the version of the sidecar that asks.
#   controls:
#     - {framework: NIST CSF 2.0, id: PR.AA-05}
#     - {framework: NIST SP 800-207, id: Tenet 6}
#     - {framework: NIST SP 800-53 r5, id: AC-2}
#     - {framework: NIST SP 800-53 r5, id: AC-3(2)}
#     - {framework: SOC 2, id: CC6.3}
#     - {framework: ISO/IEC 27001:2022, id: A.5.18}
deny contains lib.said(rego.metadata.chain()) if not understood

# METADATA
# title: The approver is active
# description: Who approves is in the directory now, and not disabled.
# custom:
#   code: approver-inactive
#   message: "{approver} is not an active person in the directory."
#   solution: Have somebody else approve who is asked.
#   controls:
#     - {framework: NIST CSF 2.0, id: PR.AA-05}
#     - {framework: NIST SP 800-207, id: Tenet 6}
#     - {framework: NIST SP 800-53 r5, id: AC-2}
#     - {framework: NIST SP 800-53 r5, id: AC-3(2)}
#     - {framework: SOC 2, id: CC6.3}
#     - {framework: ISO/IEC 27001:2022, id: A.5.18}
deny contains lib.said(rego.metadata.chain()) if not active

# METADATA
# title: The approver did not ask
# description: Nobody of the act chain approves under another id of theirs, whenever that became known.
# custom:
#   code: approver-asked
#   message: "{approver} is the same person as one of those who ask."
#   solution: Have somebody else approve who is asked.
#   controls:
#     - {framework: NIST CSF 2.0, id: PR.AA-05}
#     - {framework: NIST SP 800-53 r5, id: AC-3(2)}
#     - {framework: NIST SP 800-53 r5, id: AC-5}
#     - {framework: SOC 2, id: CC6.3}
#     - {framework: ISO/IEC 27001:2022, id: A.5.3}
deny contains lib.said(rego.metadata.chain()) if asks

# METADATA
# title: One person approves once
# description: Two ids of one person are no two approvals, whenever it became known that they are of one.
# custom:
#   code: approver-counted
#   message: "{approver} is the same person as one who has approved already."
#   solution: Have somebody else approve who is asked.
#   controls:
#     - {framework: NIST CSF 2.0, id: PR.AA-05}
#     - {framework: NIST SP 800-53 r5, id: AC-3(2)}
#     - {framework: NIST SP 800-53 r5, id: AC-5}
#     - {framework: SOC 2, id: CC6.3}
#     - {framework: ISO/IEC 27001:2022, id: A.5.3}
deny contains lib.said(rego.metadata.chain()) if count(counted) > 0

# METADATA
# title: The approver still answers for it
# description: Who approves access that is given is, at this moment, an owner of the identity, in one of the teams, the owner of an exception for it, somebody who stands in for one of them, or somebody whom the floor names.
# custom:
#   code: approver-without-role
#   message: "{approver} is no owner of {subject} any more, and in no team."
#   solution: Have somebody approve who is; where nobody is left who was asked, revise the request.
#   controls:
#     - {framework: NIST CSF 2.0, id: PR.AA-05}
#     - {framework: NIST SP 800-207, id: Tenet 6}
#     - {framework: NIST SP 800-53 r5, id: AC-2}
#     - {framework: NIST SP 800-53 r5, id: AC-3(2)}
#     - {framework: SOC 2, id: CC6.3}
#     - {framework: ISO/IEC 27001:2022, id: A.5.18}
deny contains lib.said(rego.metadata.chain()) if not answers

# METADATA
# title: Who uses it by hand does not approve
# description: Of an identity that a person uses, that person gives it nothing.
# custom:
#   code: approver-uses-it
#   message: "{approver} uses {subject} by hand."
#   solution: Have somebody else approve who is asked.
#   controls:
#     - {framework: NIST CSF 2.0, id: PR.AA-05}
#     - {framework: NIST SP 800-53 r5, id: AC-3(2)}
#     - {framework: NIST SP 800-53 r5, id: AC-5}
#     - {framework: SOC 2, id: CC6.3}
#     - {framework: ISO/IEC 27001:2022, id: A.5.3}
deny contains lib.said(rego.metadata.chain()) if uses

# METADATA
# title: The facts are recent
# description: Who is active and answers for what must be known as of late, to give access by.
# custom:
#   code: approver-facts-stale
#   message: "The facts are older than policy allows, or their age is not known."
#   solution: Load the inventory, catalogue and directory again.
#   controls:
#     - {framework: NIST CSF 2.0, id: PR.AA-05}
#     - {framework: NIST SP 800-207, id: Tenet 6}
#     - {framework: NIST SP 800-53 r5, id: AC-2}
#     - {framework: NIST SP 800-53 r5, id: AC-3(2)}
#     - {framework: SOC 2, id: CC6.3}
#     - {framework: ISO/IEC 27001:2022, id: A.5.18}
deny contains lib.said(rego.metadata.chain()) if not current

# METADATA
# title: Accepted
# description: Nothing stands against the approval on the facts of now.
# custom:
#   code: approval-accepted
#   message: "{approver} may approve this."
#   controls:
#     - {framework: NIST CSF 2.0, id: PR.AA-05}
#     - {framework: NIST SP 800-53 r5, id: AC-3(2)}
#     - {framework: NIST SP 800-53 r5, id: AC-5}
#     - {framework: SOC 2, id: CC6.3}
#     - {framework: ISO/IEC 27001:2022, id: A.5.3}
permit contains lib.said(rego.metadata.chain()) if {
	understood
	count(deny) == 0
}

default effect := "refuse"

effect := "accept" if {
	count(deny) == 0
	count(permit) > 0
}

sayings := permit if {
	effect == "accept"
} else := deny
