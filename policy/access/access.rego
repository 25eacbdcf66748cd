# METADATA
# title: Access
# description: |
#   The questions that the sidecar asks. Each answer is defined whatever the input holds; without a reason to permit it is a
#   deny, and without a window that fits there is none.
# scope: subpackages
# schemas:
#   - input: schema.decide
#   - data.limits: schema.limits
package access

import data.access.caller
import data.access.credential
import data.access.exceptions
import data.access.facts
import data.access.findings
import data.access.lease
import data.access.least_privilege
import data.access.observe
import data.access.redecision
import data.access.requester
import data.access.third_party
import data.access.verification
import data.access.verification.logins
import data.lib
import data.lib.clock
import data.workflow
import data.workflow.absence
import data.workflow.break_glass
import data.workflow.delegation
import data.workflow.emergency
import data.workflow.escalation
import data.workflow.governing
import data.workflow.schedule as planning
import data.workflow.standing_approval
import data.workflow.windows

refused := exceptions.standing

pending := union({workflow.pending, emergency.pending, governing.pending, credential.pending, exceptions.pending})

permitted := workflow.permit | pending

may_ask if count(requester.deny) == 0

# Whoever may not ask is told that and nothing more, such as whether the identity exists. Who can approve is asked only of what may be
# approved at all: the answer for too broad a request would mislead.
denied := requester.deny if {
	not may_ask
} else := refused if {
	count(refused) > 0
} else := workflow.deny if {
	count(workflow.deny) > 0
} else := unexplained

# METADATA
# title: No reason to permit
# description: The absence of an objection is not a permission.
# custom:
#   code: no-permit-reason
#   message: "No rule gives a reason to permit this."
#   solution: Look at the request; it is of a kind or form that no rule foresees.
#   controls:
#     - {framework: NIST CSF 2.0, id: PR.AA-05}
#     - {framework: NIST SP 800-207, id: Tenet 6}
#     - {framework: NIST SP 800-53 r5, id: AC-3}
#     - {framework: SOC 2, id: CC6.1}
#     - {framework: ISO/IEC 27001:2022, id: A.5.15}
unexplained contains lib.said(rego.metadata.chain()) if count(permitted) == 0

effects contains "deny" if count(denied) > 0

effects contains "needsApproval" if count(pending) > 0

effects contains "allow" if count(workflow.permit) > 0

effect := lib.strictest(effects)

sayings := denied if {
	effect == "deny"
} else := union({permitted, facts.note, third_party.note, caller.note, windows.note, asking})

# Of who is asked, where anybody is.
asking := delegation.note | absence.note if {
	count(pending) > 0
} else := set()

# Of an exception its owner as well.
answering := {"allOf": array.concat([workflow.approvers], exceptions.approvers)} if exceptions.applied

else := workflow.approvers

# Nobody can approve what is denied.
approvers := {
	"deny": {"anyOf": []},
	"needsApproval": answering,
	"allow": null,
}[enforced]

# METADATA
# title: Whether what policy says is on record only
# description: Never for somebody who may not ask, nor where there is no reason to permit it with approvals.
default observing := false

observing if {
	effect != "allow"
	may_ask
	count(permitted) > 0
	observe.applies
}

enforced := "allow" if observing

enforced := effect if not observing

told := observe.note if observing

told := sayings if not observing

# Who would have to approve it, were it not denied.
default would_approve := null

would_approve := answering if count(pending) > 0

observed := {"observed": {
	"scope": observe.scope.id,
	"owner": observe.scope.owner,
	"until": observe.until,
	"effect": effect,
	"reasons": lib.reasons(sayings),
	"approvers": would_approve,
}} if observing

else := {}

proven_by := "byUse" if {
	input.change.kind in {"provision", "rotate"}
	input.change.mode == "executor"
} else := "readBack"

# What is denied waits for nothing.
waiting := {"notBefore": clock.rfc3339(windows.frozen_until_ms)} if {
	windows.frozen_until_ms
	enforced != "deny"
} else := {}

# Only what waits for approvals is escalated, and where nobody is to be told nothing is said.
escalating := {"escalation": escalation.obligation} if {
	enforced == "needsApproval"
	escalation.obligation
} else := {}

# One who rejects is enough where nothing is said.
rejecting := {"rejections": workflow.rejections} if {
	count(pending) > 0
	enforced != "deny"
	workflow.rejections > 1
} else := {}

# Only what waits for approvals may be given without them, and where the limits let nobody nothing is said.
breaking := {"breakGlass": break_glass.obligation} if {
	enforced == "needsApproval"
	break_glass.obligation
} else := {}

# Only what waits for approvals may be approved beforehand, and where none counts nothing is said.
standing := {"standingApproval": standing_approval.obligation} if {
	enforced == "needsApproval"
	standing_approval.obligation
} else := {}

# What an exception lets through may be as long as it was asked for; it is over with the exception. So is what is under observe with its scope.
lease_seconds_max := input.change.leaseSeconds if {
	may_ask
	exceptions.used["lease-too-long"]
} else := input.change.leaseSeconds if {
	observing
	"lease-too-long" in {saying.reason.code | some saying in denied}
} else := lease.obligation_seconds if {
	may_ask
} else := null

# Told with a denial too: it is why something is not among the reasons. Of what is under observe those say so.
excepting := {"exceptions": exceptions.named} if {
	may_ask
	exceptions.applied
	not observing
} else := {}

proof_class := workflow.proof_class if {
	may_ask
} else := "passkey"

excess := least_privilege.excess if {
	may_ask
} else := []

default requested := []

requested := input.change.entitlements if is_array(input.change.entitlements)

default held := []

held := sort(input.held) if {
	may_ask
	is_array(input.held)
}

default used := []

used := sort(input.used.privileges) if {
	may_ask
	is_array(input.used.privileges)
}

# METADATA
# title: May this change go ahead, and who must approve?
# entrypoint: true
decide := object.union_n([excepting, observed, {
	"effect": enforced,
	"reasons": lib.reasons(told),
	"obligations": object.union_n([waiting, escalating, breaking, rejecting, standing, {
		"approvers": approvers,
		"proofClass": proof_class,
		"maxLeaseSeconds": lease_seconds_max,
		"verification": proven_by,
	}]),
	"entitlements": {
		"requested": requested,
		"held": held,
		"used": used,
		"excess": excess,
		"counterOffer": least_privilege.counter_offer({saying.reason.code | some saying in denied}),
	},
	"controls": lib.controls(sayings | told),
}])

disproved := verification.deny | logins.deny

proved := verification.permit | logins.permit

verified := union({proved, verification.note, logins.note, caller.note})

# METADATA
# title: Is the state after the effect what was decided?
# entrypoint: true
verify := {
	"effect": "allow",
	"reasons": lib.reasons(verified),
	"controls": lib.controls(verified),
} if {
	count(disproved) == 0
	count(proved) > 0
} else := {
	"effect": "deny",
	"reasons": lib.reasons(disproved),
	"controls": lib.controls(disproved),
}

# METADATA
# title: Which maintenance window must this change use?
# entrypoint: true
schedule := {"window": planning.chosen, "reasons": lib.reasons(planning.note | emergency.pending)}

proposal := "disable" if {
	count(findings.disable) > 0
} else := "revoke" if {
	count(findings.revoke) > 0
} else := null

found := findings.proposed | findings.leave

# METADATA
# title: What is to be proposed where a target is not as it is recorded?
# entrypoint: true
reconcile := {"propose": proposal, "reasons": lib.reasons(found), "controls": lib.controls(found)}

# METADATA
# title: Would what runs under this lease be given again?
# entrypoint: true
redecide := {
	"effect": redecision.effect,
	"reasons": lib.reasons(redecision.sayings),
	"controls": lib.controls(redecision.sayings),
}
