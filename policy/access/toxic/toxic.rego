# METADATA
# title: Toxic combinations
# description: |
#   Privileges that are each within bounds, and together are not. Of the account that is touched, and as its connector reports what it holds; what
#   else the identity holds elsewhere is not in the question.
package access.toxic

import data.access.question
import data.lib
import data.workflow

# A new secret gives nothing that is not held already.
adding if {
	question.gives_access
	not question.rotating
}

well_formed if {
	is_array(data.toxicCombinations)
	every combination in data.toxicCombinations {
		is_array(combination.privileges)
		count(combination.privileges) > 1
		every privilege in combination.privileges {
			is_string(privilege)
		}
	}
}

here(combination) if {
	object.get(combination, "connector", input.change.system.connector) == input.change.system.connector
	object.get(combination, "target", input.change.system.target) == input.change.system.target
}

# What is asked for, and what it brings along.
added contains asked.privilege if some asked in input.change.entitlements

added contains privilege if {
	some entry in workflow.asked_entries
	some privilege in entry.conveys
}

touched contains {privilege | some privilege in combination.privileges} if {
	some combination in data.toxicCombinations
	here(combination)
	some privilege in combination.privileges
	privilege in added
}

readable if is_array(input.held)

# Of what could not be read everything may be held.
combined contains privileges if {
	some privileges in touched
	not readable
}

combined contains privileges if {
	some privileges in touched
	count((privileges - added) - {privilege | some privilege in input.held}) == 0
}

legible if {
	every entry in workflow.asked_entries {
		is_array(object.get(entry, "conveys", []))
	}
}

harmless if {
	well_formed
	legible
	count(combined) == 0
}

# METADATA
# title: A toxic combination
# description: What is asked for and what the account holds are not, together, a combination that policy lists as toxic.
# custom:
#   code: toxic-combination
#   exceptable: true
#   message: "What is asked for and what the account holds may not be held together."
#   solution: Ask with another identity, or have what is held taken back first.
#   controls:
#     - {framework: OWASP NHI Top 10 2025, id: NHI5}
#     - {framework: NIST CSF 2.0, id: PR.AA-05}
#     - {framework: NIST SP 800-53 r5, id: AC-5}
#     - {framework: NIST SP 800-53 r5, id: AC-6}
#     - {framework: SOC 2, id: CC6.3}
#     - {framework: ISO/IEC 27001:2022, id: A.5.3}
#     - {framework: ISO/IEC 27001:2022, id: A.8.2}
deny contains lib.said(rego.metadata.chain()) if {
	adding
	not harmless
}
