# METADATA
# title: Third parties
# description: |
#   What is in the hands of somebody outside: never critical, for a shorter time (`access.lease`), and with security's approval (`workflow`).
package access.third_party

import data.access.question
import data.lib
import data.workflow

# METADATA
# title: The identity is a third party's
# description: By who keeps its credential, or by the organisation that the inventory names. Whatever that says, it says that there is one.
party if input.facts.nhi.custody == "thirdParty"

party if object.get(input.facts.nhi, "thirdParty", null) != null

handing if {
	party
	question.gives_access
	not question.rotating
}

modest if {
	is_number(data.limits.rankMin.critical)
	every entry in workflow.asked_entries {
		is_number(entry.rank)
		entry.rank < data.limits.rankMin.critical
	}
}

# METADATA
# title: Nothing critical for a third party
# description: An identity of a third party is given nothing whose rank is critical, whoever would approve it.
# custom:
#   code: third-party-critical
#   exceptable: true
#   message: "{subject} is a third party's, and what it asks for is critical."
#   solution: Have an identity of your own do it, or offer the third party something smaller.
#   controls:
#     - {framework: OWASP NHI Top 10 2025, id: NHI3}
#     - {framework: NIST CSF 2.0, id: GV.SC-07}
#     - {framework: NIST CSF 2.0, id: PR.AA-05}
#     - {framework: NIST SP 800-53 r5, id: AC-6}
#     - {framework: NIST SP 800-53 r5, id: SA-9}
#     - {framework: SOC 2, id: CC6.3}
#     - {framework: ISO/IEC 27001:2022, id: A.5.19}
#     - {framework: ISO/IEC 27001:2022, id: A.8.2}
deny contains lib.said(rego.metadata.chain()) if {
	handing
	not modest
}

# METADATA
# title: A third party
# description: The identity is a third party's. Its leases are shorter, none of them stands unless the limits say so, and security approves.
# custom:
#   code: third-party
#   message: "{subject} is a third party's; its leases are shorter, and security approves."
#   controls:
#     - {framework: OWASP NHI Top 10 2025, id: NHI3}
#     - {framework: NIST CSF 2.0, id: GV.SC-07}
#     - {framework: NIST SP 800-53 r5, id: PS-7}
#     - {framework: NIST SP 800-53 r5, id: SA-9}
#     - {framework: ISO/IEC 27001:2022, id: A.5.19}
note contains lib.said(rego.metadata.chain()) if handing
