# METADATA
# title: Lease
# description: Access ends. How late depends on the purpose and on the identity's risk tier; standing access is the exception.
package access.lease

import data.access.entitlement
import data.access.question
import data.access.third_party
import data.lib

tier_seconds_max := usual_seconds_max if not third_party.party

# However long others may have theirs.
tier_seconds_max := min({usual_seconds_max, seconds}) if {
	third_party.party
	seconds := data.limits.thirdPartyLeaseSecondsMax[input.facts.nhi.riskTier]
	is_number(seconds)
}

usual_seconds_max := seconds if {
	seconds := data.limits.leaseSecondsMax[input.facts.nhi.riskTier]
	is_number(seconds)
}

purpose_seconds_max := entitlement.purpose.maxLeaseSeconds

# METADATA
# title: The longest lease, in seconds
# description: Undefined where access may stand, and where the tier's limit is missing (which denies).
seconds_max := longest if not may_stand

longest := min({tier_seconds_max, purpose_seconds_max}) if is_number(purpose_seconds_max)

longest := tier_seconds_max if is_null(purpose_seconds_max)

may_stand if {
	is_null(purpose_seconds_max)
	input.facts.nhi.riskTier in data.limits.standingTiers
	lasting
}

lasting if not third_party.party

lasting if input.facts.nhi.riskTier in data.limits.thirdPartyStandingTiers

# A rotation gives a new secret to what stands already.
leased if {
	question.gives_access
	not question.rotating
}

standing_asked if {
	is_null(input.change.leaseSeconds)
	not question.rotating
}

within_limit if {
	some_lease
	may_stand
}

within_limit if {
	some_lease
	input.change.leaseSeconds <= longest
}

some_lease if {
	is_number(input.change.leaseSeconds)
	input.change.leaseSeconds >= 1
}

weighable if {
	leased
	entitlement.known_nhi
	entitlement.purpose
}

# METADATA
# title: The lease is too long
# description: A lease is at least a second, and no longer than the purpose and the identity's risk tier allow.
# custom:
#   code: lease-too-long
#   exceptable: true
#   message: "A lease of {leaseSeconds} s is not within the {leaseSecondsMax} s that {purpose} may have at tier {riskTier}."
#   solution: Ask for the counter-offer's lease, and for an extension when it is needed.
#   controls:
#     - {framework: OWASP NHI Top 10 2025, id: NHI7}
#     - {framework: NIST CSF 2.0, id: PR.AA-05}
#     - {framework: NIST SP 800-207, id: Tenet 3}
#     - {framework: NIST SP 800-53 r5, id: AC-2(2)}
#     - {framework: SOC 2, id: CC6.3}
#     - {framework: ISO/IEC 27001:2022, id: A.5.18}
deny contains lib.said(rego.metadata.chain()) if {
	weighable
	not standing_asked
	not within_limit
}

# METADATA
# title: Standing access is not allowed
# description: Access without an end is given only where both the purpose and the identity's risk tier allow it.
# custom:
#   code: standing-not-allowed
#   message: "{purpose} may not stand at tier {riskTier}; the longest lease is {leaseSecondsMax} s."
#   solution: Ask for a lease.
#   controls:
#     - {framework: OWASP NHI Top 10 2025, id: NHI7}
#     - {framework: NIST CSF 2.0, id: PR.AA-05}
#     - {framework: NIST SP 800-207, id: Tenet 3}
#     - {framework: NIST SP 800-53 r5, id: AC-2(2)}
#     - {framework: SOC 2, id: CC6.3}
#     - {framework: ISO/IEC 27001:2022, id: A.5.18}
#     - {framework: ISO/IEC 27001:2022, id: A.8.2}
deny contains lib.said(rego.metadata.chain()) if {
	weighable
	standing_asked
	not may_stand
}

# METADATA
# title: The lease to offer instead
# description: What was asked where it may be kept, else the longest; null where access was asked to stand and may.
offered_seconds := null if {
	standing_asked
	may_stand
}

offered_seconds := seconds_max if {
	standing_asked
	not may_stand
}

offered_seconds := input.change.leaseSeconds if within_limit

offered_seconds := seconds_max if {
	not standing_asked
	not within_limit
}

# METADATA
# title: The longest lease, as an obligation
# description: Null where there is no lease to limit.
default obligation_seconds := null

obligation_seconds := seconds_max if leased
