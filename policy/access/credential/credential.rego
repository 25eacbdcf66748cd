# METADATA
# title: Credentials
# description: A new credential whose end is far, or that has none, is approved by people or denied, as the limits of the identity's tier say.
package access.credential

import data.access.entitlement
import data.access.lease
import data.access.question
import data.lib

making if {
	input.change.kind == "provision"
	entitlement.known_nhi
}

seconds_max := seconds if {
	seconds := data.limits.credentialSecondsMax[input.facts.nhi.riskTier]
	is_number(seconds)
}

short if {
	is_number(input.change.leaseSeconds)
	input.change.leaseSeconds <= seconds_max
}

# METADATA
# title: A credential that lives long
long_lived if {
	making
	not short
}

approvable if data.limits.longLivedCredential[input.facts.nhi.riskTier] == "approve"

# METADATA
# title: The credential lives too long
# description: A new credential ends within the time that the identity's risk tier may have one for, where people may not approve a longer one.
# custom:
#   code: credential-too-long
#   exceptable: true
#   message: "A new credential at tier {riskTier} may not live as long as this, or without an end."
#   solution: Ask for the counter-offer's lease, or for a grant to the account that is there.
#   controls:
#     - {framework: OWASP NHI Top 10 2025, id: NHI7}
#     - {framework: NIST CSF 2.0, id: PR.AA-01}
#     - {framework: NIST SP 800-53 r5, id: AC-2(2)}
#     - {framework: NIST SP 800-53 r5, id: IA-5}
#     - {framework: SOC 2, id: CC6.1}
#     - {framework: ISO/IEC 27001:2022, id: A.5.17}
deny contains lib.said(rego.metadata.chain()) if {
	long_lived
	not approvable
}

# METADATA
# title: A long-lived credential
# description: A new credential that lives longer than its tier may have one for, or without an end, is approved by people however low its risk.
# custom:
#   code: long-lived-credential
#   message: "This credential lives longer than is usual at tier {riskTier}, or has no end."
#   solution: Rotate it, and have it taken back when it is not needed any more.
#   controls:
#     - {framework: OWASP NHI Top 10 2025, id: NHI7}
#     - {framework: NIST CSF 2.0, id: PR.AA-01}
#     - {framework: NIST SP 800-53 r5, id: IA-5}
#     - {framework: SOC 2, id: CC6.1}
#     - {framework: ISO/IEC 27001:2022, id: A.5.17}
pending contains lib.said(rego.metadata.chain()) if {
	question.gain
	long_lived
	approvable
}

bounded if {
	making
	not approvable
}

# METADATA
# title: The lease to offer instead
# description: That of the limits of leases; for a new credential no longer than it may live. Undefined where no limit says how long.
offered_seconds := lease.offered_seconds if not bounded

offered_seconds := min({lease.offered_seconds, seconds_max}) if {
	bounded
	is_number(lease.offered_seconds)
}

offered_seconds := seconds_max if {
	bounded
	is_null(lease.offered_seconds)
}
