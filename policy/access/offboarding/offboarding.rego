# METADATA
# title: Offboarding
# description: Everything that an identity, an owner or a third party holds is taken back, as one case.
package access.offboarding

import data.lib

offboarding if input.change.kind == "offboard"

some_items if {
	is_number(input.change.items)
	input.change.items >= 1
}

# METADATA
# title: There is nothing to take back
# description: An offboarding takes back at least one thing; a case about nothing would be evidence of nothing.
# custom:
#   code: nothing-to-offboard
#   message: "Nothing is known that {subject} holds."
#   solution: Check the spelling of the subject, and whether the inventory says which identities belong to it.
#   controls:
#     - {framework: OWASP NHI Top 10 2025, id: NHI1}
#     - {framework: NIST SP 800-53 r5, id: AC-2}
#     - {framework: SOC 2, id: CC6.2}
#     - {framework: ISO/IEC 27001:2022, id: A.5.18}
deny contains lib.said(rego.metadata.chain()) if {
	offboarding
	not some_items
}
