# METADATA
# title: Workflow
# description: Who must approve, by owner and by risk; and the reasons for which a change may go ahead at all.
# scope: subpackages
# schemas:
#   - input: schema.decide
#   - data.limits: schema.limits
package workflow

import data.access.credential
import data.access.entitlement
import data.access.exceptions
import data.access.holdings
import data.access.lease
import data.access.question
import data.access.third_party
import data.lib
import data.lib.people
import data.workflow.acceptance
import data.workflow.delegation
import data.workflow.emergency
import data.workflow.governing

levels := ["low", "medium", "high", "critical"]

# METADATA
# title: Risk level
# description: |
#   The highest of the identity's tier, the rank of what is asked or of what the account holds that is rotated, and a third party's
#   hands. Critical where it governs approvals, and where anything it is computed from is missing.
default risk := "critical"

risk := levels[max(opinions)] if {
	tier
	weighed
	every name in ["medium", "high", "critical"] {
		is_number(data.limits.rankMin[name])
	}
}

tier if input.facts.nhi.riskTier in levels

weighed if {
	not question.of_account
	count(asked_entries) > 0
	every entry in asked_entries {
		is_number(entry.rank)
	}
}

weighed if {
	question.of_account
	holdings.weighed
}

asked_entries := [entry |
	some asked in input.change.entitlements
	some entry in input.facts.catalogue.entitlements
	entitlement.key(entry) == entitlement.key(asked)
]

ranks contains entry.rank if some entry in asked_entries

ranks contains entry.rank if some entry in holdings.entries

opinions contains index if {
	some index, name in levels
	name == input.facts.nhi.riskTier
}

opinions contains index if {
	some index, name in levels
	max(ranks) >= data.limits.rankMin[name]
}

opinions contains 2 if third_party.party

opinions contains 3 if governing.asked

# METADATA
# title: Nobody approves their own request
# description: Everyone in the act chain, under every id of the same person.
requesters := {id |
	some principal in input.change.requester
	some id in people.identities(principal)
}

# METADATA
# title: Who of these may approve
# description: |
#   Active people other than the requesters. A machine identity never approves; and nobody does where it is not known who is the same person
#   as who, unless it takes away.
eligible(candidates) := {id |
	telling
	some id in candidates
	startswith(id, "person:")
	id in people.active
	not id in requesters
}

telling if people.told_apart

telling if question.takes_away

owners := eligible({id | id := question.nhi.owner} | {id | id := question.nhi.backupOwner})

security := eligible(people.team("security"))

platform := eligible(people.team("platform"))

# METADATA
# title: Who does not own it
# description: Of security and platform and whoever stands in for them, under none of their ids.
outsiders := {id |
	some id in delegation.with_stand_ins(security | platform)
	count(people.identities(id) & ({owner | owner := question.nhi.owner} | {owner | owner := question.nhi.backupOwner})) == 0
}

# METADATA
# title: Any of these
# description: At most 32, which only ever leaves fewer who can approve. Of nobody, nobody.
any_of(ids) := {"anyOf": array.slice(sort(ids), 0, 32)}

# METADATA
# title: One person
# description: Ids of one person are one part, so that two approvals by them count once.
person(ids) := any_of(ids) if count(ids) > 1

person(ids) := id if {
	count(ids) == 1
	some id in ids
}

# METADATA
# title: Whose approval the risk asks for
# description: An emergency asks for at least what high risk does, and so does what an exception lets through.
level := "high" if {
	raised
	risk in {"low", "medium"}
} else := risk

raised if emergency.declared

raised if exceptions.applied

# METADATA
# title: The groups of each of which somebody approves
# description: Taking back is the owners' to approve, and security's where no owner can.
groups := [owners] if {
	question.gives_access
	level in {"low", "medium"}
}

groups := [owners, security] if {
	question.gives_access
	level in {"high", "critical"}
}

groups := [owners] if {
	question.taking_back
	owned
}

groups := [security] if {
	question.taking_back
	not owned
}

pool := owners if level in {"low", "medium"}

pool := owners | security if level == "high"

pool := (owners | security) | platform if level == "critical"

# Whoever stands in is one person with whom she stands in for.
persons := array.slice(sort({person(delegation.counted(id, pool)) | some id in pool}), 0, 32)

quorum := data.limits.approversMin[level]

# METADATA
# title: Who must approve access that is given
# description: Someone of each group; together, as many distinct people as the risk level asks for.
default approvers := {"anyOf": []}

approvers := asked_of[0] if {
	question.gives_access
	one_owner
}

one_owner if {
	count(groups) == 1
	quorum == 1
}

approvers := {"allOf": together} if {
	counting
	not staged
}

approvers := {"stages": together} if {
	counting
	staged
}

approvers := asked_of[0] if question.taking_back

counting if {
	question.gives_access
	not one_owner
	quorum >= 1
}

asked_of := [any_of(delegation.with_stand_ins(group)) | some group in groups]

# Somebody of another group, where whoever approves could be making an approver of herself.
beside := [any_of(outsiders) | governing.asked]

together := array.concat(array.concat(asked_of, beside), [{"atLeast": quorum, "of": persons}])

# METADATA
# title: One after the other
# description: An owner first, then security, then whoever is missing of so many people. What the limits do not say, or say to be false, is at the same time.
staged if {
	value := data.limits.stages[level]
	value != false
}

# METADATA
# title: How many people reject before that ends the change
# description: One, where the limits do not say, or say what is no such number.
default rejections := 1

rejections := number if {
	number := data.limits.rejections[level]
	is_number(number)
	number == floor(number)
	number >= 1
	number <= 32
}

owned if count(owners) > 0

satisfiable if {
	question.gives_access
	every group in groups {
		count(group) > 0
	}
	every someone in beside {
		count(someone.anyOf) > 0
	}
	quorum >= 1
	count(persons) >= quorum
}

satisfiable if {
	question.taking_back
	count(approvers.anyOf) > 0
}

# METADATA
# title: Nobody can approve
# description: The approvals that are due can be given by active people other than the requesters.
# custom:
#   code: no-eligible-approver
#   message: "Of those who must approve, too few are active people other than the requester."
#   solution: Name an active owner and backup owner for the identity, or have someone else ask.
#   controls:
#     - {framework: NIST CSF 2.0, id: PR.AA-05}
#     - {framework: NIST SP 800-53 r5, id: AC-5}
#     - {framework: SOC 2, id: CC6.3}
#     - {framework: ISO/IEC 27001:2022, id: A.5.3}
deny contains lib.said(rego.metadata.chain()) if {
	not unattended
	not satisfiable
}

unattended if low_risk

unattended if responder

unattended if question.settled

low_risk if {
	question.gain
	not raised
	risk == "low"
	input.facts.nhi.environment in data.limits.nonProductionEnvironments
	not lease.standing_asked
	not credential.long_lived
}

# METADATA
# title: Low risk outside production
# description: A lease or rotation of low risk (identity and privileges) in a non-production environment needs no approval.
# custom:
#   code: low-risk
#   message: "A {kind} of low risk in {environment} needs no approval."
#   controls:
#     - {framework: NIST CSF 2.0, id: PR.AA-05}
#     - {framework: NIST SP 800-207, id: Tenet 4}
#     - {framework: NIST SP 800-53 r5, id: AC-24}
#     - {framework: SOC 2, id: CC6.3}
#     - {framework: ISO/IEC 27001:2022, id: A.5.15}
permit contains lib.said(rego.metadata.chain()) if low_risk

# METADATA
# title: The owner approves
# description: Low and medium risk needs the owner or the backup owner.
# custom:
#   code: owner-approval
#   message: "The owner or backup owner of {subject} approves this."
#   controls:
#     - {framework: NIST CSF 2.0, id: ID.RA-07}
#     - {framework: NIST CSF 2.0, id: PR.AA-05}
#     - {framework: NIST SP 800-53 r5, id: AC-5}
#     - {framework: NIST SP 800-53 r5, id: CM-3(1)}
#     - {framework: SOC 2, id: CC6.3}
#     - {framework: SOC 2, id: CC8.1}
#     - {framework: ISO/IEC 27001:2022, id: A.5.3}
#     - {framework: ISO/IEC 27001:2022, id: A.5.18}
pending contains lib.said(rego.metadata.chain()) if {
	question.gain
	not low_risk
	not raised
	risk in {"low", "medium"}
}

# METADATA
# title: The owner and security approve
# description: High risk needs the owner or backup owner, and security, as two different people.
# custom:
#   code: owner-and-security-approval
#   message: "High risk: an owner of {subject} and security approve this, as two people."
#   controls:
#     - {framework: NIST CSF 2.0, id: ID.RA-07}
#     - {framework: NIST CSF 2.0, id: PR.AA-05}
#     - {framework: NIST SP 800-53 r5, id: AC-3(2)}
#     - {framework: NIST SP 800-53 r5, id: AC-5}
#     - {framework: NIST SP 800-53 r5, id: CM-3(1)}
#     - {framework: NIST SP 800-53 r5, id: CM-5(4)}
#     - {framework: SOC 2, id: CC6.3}
#     - {framework: SOC 2, id: CC8.1}
#     - {framework: ISO/IEC 27001:2022, id: A.5.3}
#     - {framework: ISO/IEC 27001:2022, id: A.5.18}
#     - {framework: ISO/IEC 27001:2022, id: A.8.2}
pending contains lib.said(rego.metadata.chain()) if {
	question.gain
	risk == "high"
}

# METADATA
# title: Three people approve
# description: Critical risk needs an owner and security, and three different people of owners, security and platform.
# custom:
#   code: three-people-approval
#   message: "Critical risk: an owner of {subject}, security and, in all, three people approve this."
#   controls:
#     - {framework: NIST CSF 2.0, id: ID.RA-07}
#     - {framework: NIST CSF 2.0, id: PR.AA-05}
#     - {framework: NIST SP 800-53 r5, id: AC-3(2)}
#     - {framework: NIST SP 800-53 r5, id: AC-5}
#     - {framework: NIST SP 800-53 r5, id: CM-3(1)}
#     - {framework: NIST SP 800-53 r5, id: CM-5(4)}
#     - {framework: SOC 2, id: CC6.3}
#     - {framework: SOC 2, id: CC8.1}
#     - {framework: ISO/IEC 27001:2022, id: A.5.3}
#     - {framework: ISO/IEC 27001:2022, id: A.5.18}
#     - {framework: ISO/IEC 27001:2022, id: A.8.2}
pending contains lib.said(rego.metadata.chain()) if {
	question.gain
	risk == "critical"
}

responder if {
	question.asked_properly
	question.taking_back
	not question.part_of_offboarding
	some principal in input.change.requester
	count(people.responder_roles(question.nhi, principal)) > 0
}

# METADATA
# title: A responder takes access back
# description: |
#   An owner, backup owner, on-call or security principal takes access back without an approval. For everything of a person or a third
#   party only on-call and security do.
# custom:
#   code: taking-back
#   message: "The requester answers for {subject} and may take its access back."
#   controls:
#     - {framework: OWASP NHI Top 10 2025, id: NHI1}
#     - {framework: NIST CSF 2.0, id: PR.AA-05}
#     - {framework: NIST SP 800-53 r5, id: AC-3(8)}
#     - {framework: SOC 2, id: CC6.3}
#     - {framework: ISO/IEC 27001:2022, id: A.5.18}
permit contains lib.said(rego.metadata.chain()) if responder

# METADATA
# title: Someone else asks to take access back
# description: What anyone else takes back is approved by an owner, or by security where no owner can.
# custom:
#   code: taking-back-approval
#   message: "An owner of {subject}, or security where none can, approves taking this back."
#   controls:
#     - {framework: OWASP NHI Top 10 2025, id: NHI1}
#     - {framework: NIST CSF 2.0, id: PR.AA-05}
#     - {framework: NIST SP 800-53 r5, id: AC-3(8)}
#     - {framework: SOC 2, id: CC6.3}
#     - {framework: ISO/IEC 27001:2022, id: A.5.18}
pending contains lib.said(rego.metadata.chain()) if {
	question.asked_properly
	question.taking_back
	not responder
	not question.part_of_offboarding
}

# METADATA
# title: Part of an offboarding
# description: The offboarding was decided and approved for everything that it takes back; its parts are not decided anew.
# custom:
#   code: part-of-offboarding
#   message: "The offboarding that this is part of was decided and approved."
#   controls:
#     - {framework: OWASP NHI Top 10 2025, id: NHI1}
#     - {framework: NIST CSF 2.0, id: ID.AM-08}
#     - {framework: NIST SP 800-53 r5, id: AC-3(8)}
#     - {framework: SOC 2, id: CC6.2}
#     - {framework: ISO/IEC 27001:2022, id: A.5.18}
permit contains lib.said(rego.metadata.chain()) if question.part_of_offboarding

# METADATA
# title: The old login is shut out
# description: |
#   The last step of a rotation, decided and approved with the others. No window, freeze, lock, departure or stale fact keeps the old
#   secret alive.
# custom:
#   code: retiring
#   message: "The new credential of {subject} is in use, and the old one is shut out."
#   controls:
#     - {framework: OWASP NHI Top 10 2025, id: NHI7}
#     - {framework: NIST CSF 2.0, id: PR.AA-01}
#     - {framework: NIST SP 800-53 r5, id: AC-3(8)}
#     - {framework: NIST SP 800-53 r5, id: IA-5}
#     - {framework: SOC 2, id: CC6.1}
#     - {framework: ISO/IEC 27001:2022, id: A.5.17}
permit contains lib.said(rego.metadata.chain()) if question.retiring

# METADATA
# title: How approvals are proven
# description: The strongest class where the level has none, or one that is not known.
default proof_class := "passkey"

proof_class := class if {
	class := data.limits.proofClass[level]
	class in {"session", "ssh", "passkey"}
}

# METADATA
# title: May this person approve this plan?
# entrypoint: true
accept := {
	"effect": acceptance.effect,
	"reasons": lib.reasons(acceptance.sayings),
	"controls": lib.controls(acceptance.sayings),
}
