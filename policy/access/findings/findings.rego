# METADATA
# title: Findings
# description: |
#   What is proposed where a target is not as it is recorded. A proposal is a change like any other: its owner decides on it. Of what this
#   ledger gave and is there past its end policy is not asked: it is ordered back.
# scope: subpackages
# schemas:
#   - input: schema.reconcile
package access.findings

import data.lib

well_formed if {
	input.v == 1
	is_string(input.finding.code)
	is_array(input.finding.privileges)
}

# The inventory says whose the account is, and it is the identity's own.
owned if {
	is_string(input.finding.nhi)
	input.facts.nhi.id == input.finding.nhi
	input.facts.nhi.accounts[input.finding.connector] == input.finding.account
}

catalogued contains entry.privilege if {
	some entry in input.facts.catalogue.entitlements
	entry.connector == input.finding.connector
	entry.target == input.finding.target
}

# As many as one change takes, each of which its connector has a word for.
takeable if {
	count(input.finding.privileges) > 0
	count(input.finding.privileges) <= 16
	every privilege in input.finding.privileges {
		privilege in catalogued
	}
}

# METADATA
# title: Nothing explains what the account holds
# description: Standing access of an identity that no record and none of its purposes explains is proposed to be taken.
# custom:
#   code: unexplained-access
#   message: "No record and no purpose of its identity explains what this account holds: taking it is proposed to the owner."
#   controls:
#     - {framework: OWASP NHI Top 10 2025, id: NHI5}
#     - {framework: NIST CSF 2.0, id: PR.AA-05}
#     - {framework: NIST SP 800-207, id: Tenet 5}
#     - {framework: NIST SP 800-53 r5, id: AC-6(7)}
#     - {framework: SOC 2, id: CC6.3}
#     - {framework: ISO/IEC 27001:2022, id: A.5.18}
revoke contains lib.said(rego.metadata.chain()) if {
	well_formed
	owned
	input.finding.code == "access-unexplained"
	is_null(input.finding.change)
	takeable
}

# METADATA
# title: An account that was shut out lets somebody in again
# description: Shutting it out again is proposed.
# custom:
#   code: shut-out-undone
#   message: "This account was shut out and lets somebody in again: shutting it out is proposed to the owner."
#   controls:
#     - {framework: OWASP NHI Top 10 2025, id: NHI1}
#     - {framework: NIST CSF 2.0, id: PR.AA-01}
#     - {framework: NIST SP 800-53 r5, id: AC-2(3)}
#     - {framework: SOC 2, id: CC6.2}
#     - {framework: ISO/IEC 27001:2022, id: A.5.18}
disable contains lib.said(rego.metadata.chain()) if {
	well_formed
	owned
	input.finding.code == "access-returned"
}

proposed := revoke | disable

# METADATA
# title: People look at it
# description: What is not known to be an identity's own, what is missing, and what no change could take is left to its owner.
# custom:
#   code: for-people
#   message: "Nothing is proposed: its owner looks at it."
#   controls:
#     - {framework: NIST SP 800-207, id: Tenet 7}
#     - {framework: NIST SP 800-53 r5, id: CA-7}
#     - {framework: ISO/IEC 27001:2022, id: A.5.18}
leave contains lib.said(rego.metadata.chain()) if count(proposed) == 0
