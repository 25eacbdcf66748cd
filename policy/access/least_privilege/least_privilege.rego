# METADATA
# title: Least privilege
# description: What is asked, minus what the purpose needs, must be nothing; otherwise a smaller request is offered.
package access.least_privilege

import data.access.credential
import data.access.entitlement
import data.access.question
import data.lib

needed := {entitlement.key(need) | some need in entitlement.purpose.needs}

within(asked) if entitlement.key(asked) in needed

# METADATA
# title: What is asked beyond what the purpose needs
# description: In the request's order. Empty for a revoke and where the purpose is unknown, which is denied as such.
excess := [asked |
	question.gives_access
	entitlement.purpose
	some asked in input.change.entitlements
	not within(asked)
]

# METADATA
# title: More than the purpose needs
# description: The privileges asked for must all be among those that the declared purpose needs.
# custom:
#   code: exceeds-purpose
#   exceptable: true
#   message: "The request asks for more than the purpose {purpose} needs."
#   solution: Ask for the counter-offer, or have what the purpose needs changed in the catalogue.
#   controls:
#     - {framework: OWASP NHI Top 10 2025, id: NHI5}
#     - {framework: NIST CSF 2.0, id: PR.AA-05}
#     - {framework: NIST SP 800-207, id: Tenet 3}
#     - {framework: NIST SP 800-53 r5, id: AC-6}
#     - {framework: SOC 2, id: CC6.3}
#     - {framework: ISO/IEC 27001:2022, id: A.5.18}
#     - {framework: ISO/IEC 27001:2022, id: A.8.2}
deny contains lib.said(rego.metadata.chain()) if count(excess) > 0

curable := {"credential-too-long", "exceeds-purpose", "lease-too-long", "standing-not-allowed", "unknown-entitlement"}

# METADATA
# title: The request that would not be denied
# description: |
#   Null unless asking for less is all that it takes. The entitlements are those asked for that the purpose needs, or, where
#   there are none, those that the purpose needs on the same target.
default counter_offer(_) := null

counter_offer(codes) := {"entitlements": array.slice(offered, 0, 16), "leaseSeconds": credential.offered_seconds} if {
	count(codes) > 0
	count(codes - curable) == 0
	count(offered) > 0
}

offered := kept if {
	count(kept) > 0
} else := fallback

kept := [asked |
	some asked in input.change.entitlements
	within(asked)
	entitlement.in_environment(asked)
]

fallback := [need |
	some need in entitlement.purpose.needs
	[need.connector, need.target] in question.targets
	entitlement.in_environment(need)
]
