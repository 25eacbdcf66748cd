# METADATA
# title: Access
# description: The three questions that the sidecar asks. Each answer is defined whatever the input holds; without a reason to permit it is a deny.
package access

import data.access.entitlement
import data.access.facts
import data.access.lease
import data.access.least_privilege
import data.access.requester
import data.access.revocation
import data.access.verification
import data.lib
import data.workflow

refused := (((entitlement.deny | least_privilege.deny) | lease.deny) | requester.deny) | facts.deny

# Who can approve is asked only of what may be approved at all: the answer for too broad a request would mislead.
denied := refused if {
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
#     - {framework: NIST SP 800-53 r5, id: AC-3}
#     - {framework: NIST SP 800-207, id: Tenet 6}
unexplained contains lib.said(rego.metadata.chain()) if count(workflow.permit | workflow.pending) == 0

effects contains "deny" if count(denied) > 0

effects contains "needsApproval" if count(workflow.pending) > 0

effects contains "allow" if count(workflow.permit) > 0

effect := lib.strictest(effects)

sayings := denied if {
	effect == "deny"
} else := (workflow.permit | workflow.pending) | facts.note

# Nobody can approve what is denied.
approvers := {
	"deny": {"anyOf": []},
	"needsApproval": workflow.approvers,
	"allow": null,
}[effect]

proven_by := "byUse" if {
	input.change.kind == "provision"
} else := "readBack"

default requested := []

requested := input.change.entitlements if is_array(input.change.entitlements)

default held := []

held := sort(input.held) if is_array(input.held)

default used := []

used := sort(input.used.privileges) if is_array(input.used.privileges)

# METADATA
# title: May this change go ahead, and who must approve?
# entrypoint: true
decide := {
	"effect": effect,
	"reasons": lib.reasons(sayings),
	"obligations": {
		"approvers": approvers,
		"proofClass": workflow.proof_class,
		"maxLeaseSeconds": lease.obligation_seconds,
		"verification": proven_by,
	},
	"entitlements": {
		"requested": requested,
		"held": held,
		"used": used,
		"excess": least_privilege.excess,
		"counterOffer": least_privilege.counter_offer({saying.reason.code | some saying in denied}),
	},
	"controls": lib.controls(sayings),
}

# METADATA
# title: Is the state after the effect what was decided?
# entrypoint: true
verify := {
	"effect": "allow",
	"reasons": lib.reasons(verification.permit | verification.note),
	"controls": lib.controls(verification.permit | verification.note),
} if {
	count(verification.deny) == 0
	count(verification.permit) > 0
} else := {
	"effect": "deny",
	"reasons": lib.reasons(verification.deny),
	"controls": lib.controls(verification.deny),
}

# METADATA
# title: May this person take access back now?
# entrypoint: true
revoker := {"allow": true, "reasons": lib.reasons(revocation.permit)} if {
	count(revocation.deny) == 0
	count(revocation.permit) > 0
} else := {"allow": false, "reasons": lib.reasons(revocation.deny)}
