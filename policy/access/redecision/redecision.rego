# METADATA
# title: Redecision
# description: |
#   Whether what runs under a lease would be given again, now that facts or policy are others. What denies is what denies a request;
#   `leaseRevokedFor` in the limits says for which of it access is taken back before its time. For the rest a person looks at it.
#   An exception that let it through still does, while it holds, and so does a scope under observe in which it was given.
#   What is said of the moment at which something is given (windows, freezes, locks, the age of facts, the approvals) does not matter here.
package access.redecision

import data.access.credential
import data.access.entitlement
import data.access.exceptions
import data.access.lease
import data.access.least_privilege
import data.access.observe
import data.access.overlays
import data.access.question
import data.access.requester
import data.access.third_party
import data.access.toxic
import data.lib

standing := {objection |
	some objection in union({
		entitlement.deny,
		least_privilege.deny,
		lease.deny,
		requester.deny,
		overlays.denied,
		toxic.deny,
		third_party.deny,
		credential.deny,
	})
	not exceptions.taken(objection)
}

objections := {objection |
	some objection in standing
	not observe.kept(objection)
}

understood if {
	input.phase == "lease"
	input.change.kind in {"provision", "grant"}
	question.gain
}

revoking contains objection if {
	some objection in objections
	is_array(data.limits.leaseRevokedFor)
	objection.reason.code in data.limits.leaseRevokedFor
}

# METADATA
# title: A lease is asked about properly
# description: What lacks something, or is of another kind, takes nothing back and is not kept in silence either.
# custom:
#   code: lease-not-understood
#   message: "The question about this lease is not one that policy knows."
#   controls:
#     - {framework: NIST SP 800-207, id: Tenet 6}
#     - {framework: NIST SP 800-53 r5, id: AC-3}
#     - {framework: ISO/IEC 27001:2022, id: A.5.18}
unclear contains lib.said(rego.metadata.chain()) if not understood

# METADATA
# title: It would be given again
# description: Nothing stands against it on the facts and under the policy of now.
# custom:
#   code: lease-kept
#   message: "Nothing stands against what runs under this lease."
#   controls:
#     - {framework: NIST CSF 2.0, id: PR.AA-05}
#     - {framework: NIST SP 800-207, id: Tenet 6}
#     - {framework: NIST SP 800-53 r5, id: AC-2(6)}
#     - {framework: ISO/IEC 27001:2022, id: A.5.18}
keep contains lib.said(rego.metadata.chain()) if {
	understood
	count(standing) == 0
}

keep contains saying if {
	count(standing) > 0
	some saying in observe.note
}

effect := "finding" if {
	not understood
} else := "revoke" if {
	count(revoking) > 0
} else := "finding" if {
	count(objections) > 0
} else := "keep"

sayings := unclear if {
	not understood
} else := objections if {
	count(objections) > 0
} else := keep
