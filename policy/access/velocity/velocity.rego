# METADATA
# title: Velocity
# description: |
#   How many changes that give access may follow on each other: of one identity, by one requester, and how many new credentials. Counted is what was
#   asked for before and did not come to nothing. Taking back is never limited.
package access.velocity

import data.access.question
import data.lib

fewer(count, limit) if {
	is_number(count)
	is_number(limit)
	count >= 0
	count < limit
}

subject_within if {
	every span in ["hour", "day"] {
		fewer(input.recent.subject[span], data.limits.changesMax.subject[span])
	}
}

requester_within if {
	every span in ["hour", "day"] {
		fewer(input.recent.requester[span], data.limits.changesMax.requester[span])
	}
}

credentials_within if not making

credentials_within if fewer(input.recent.newCredentials.day, data.limits.newCredentialsPerDayMax[input.facts.nhi.riskTier])

making if input.change.kind in {"provision", "rotate"}

# METADATA
# title: Too many changes of one identity
# description: An identity is given access at most as often in an hour and in a day as the limits say. What came to nothing does not count.
# custom:
#   code: too-many-changes
#   message: "{subject} has been given access too often of late, or how often is not known."
#   solution: Look for what asks again and again; ask for one longer lease, or wait.
#   controls:
#     - {framework: NIST CSF 2.0, id: DE.CM-03}
#     - {framework: NIST SP 800-207, id: Tenet 4}
#     - {framework: NIST SP 800-53 r5, id: AC-2(12)}
#     - {framework: SOC 2, id: CC6.1}
deny contains lib.said(rego.metadata.chain()) if {
	question.gives_access
	not subject_within
}

# METADATA
# title: Too many changes by one requester
# description: Nobody in the act chain asks for access more often in an hour and in a day than the limits say, for whichever identities. What came to nothing does not count.
# custom:
#   code: too-many-requests
#   message: "The requester has asked for access too often of late, or how often is not known."
#   solution: Look for what asks again and again; have the owners ask, or wait.
#   controls:
#     - {framework: NIST CSF 2.0, id: DE.CM-03}
#     - {framework: NIST SP 800-207, id: Tenet 4}
#     - {framework: NIST SP 800-53 r5, id: AC-2(12)}
#     - {framework: SOC 2, id: CC6.1}
deny contains lib.said(rego.metadata.chain()) if {
	question.gives_access
	not requester_within
}

# METADATA
# title: Too many new credentials
# description: An identity gets at most as many new credentials in a day as its risk tier may have.
# custom:
#   code: too-many-credentials
#   message: "{subject} has been given too many new credentials within a day for tier {riskTier}, or how many is not known."
#   solution: Use the credential that is there, or wait.
#   controls:
#     - {framework: OWASP NHI Top 10 2025, id: NHI7}
#     - {framework: NIST CSF 2.0, id: DE.CM-03}
#     - {framework: NIST SP 800-53 r5, id: AC-2(12)}
#     - {framework: NIST SP 800-53 r5, id: IA-5}
#     - {framework: SOC 2, id: CC6.1}
#     - {framework: ISO/IEC 27001:2022, id: A.5.17}
deny contains lib.said(rego.metadata.chain()) if {
	question.gives_access
	not credentials_within
}
