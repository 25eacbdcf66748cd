# METADATA
# title: What governs approvals
# description: |
#   Access by which one can change who approves, what policy says, or what is kept of it: whoever approves it could make an approver of herself. The
#   catalogue marks it with `governs`; what an account holds that nobody knows is held to be such. It is of critical risk, whatever its rank; no standing
#   approval and no broken glass lets it through.
package workflow.governing

import data.access.holdings
import data.access.question
import data.lib
import data.workflow

# What is written there in a form that the catalogue does not have is a mark as well.
marked(entry) if {
	some key, value in entry
	key == "governs"
	value != null
}

governs if {
	some entry in workflow.asked_entries
	marked(entry)
}

# A new secret for what governs is access to it.
governs if {
	question.of_account
	some entry in holdings.entries
	marked(entry)
}

# Whoever gets a new secret gets all that the account holds: where that is not known, or not all in the catalogue, some of it may govern.
unknown if {
	question.of_account
	not holdings.weighed
}

asked if governs

asked if unknown

# METADATA
# title: Somebody beside the owners approves what governs approvals
# description: An owner and security, and somebody of security or platform who does not own the identity; three people in all.
# custom:
#   code: governs-approvals
#   message: "Who has this can change who approves, or what is decided: somebody who does not own {subject} approves it as well."
#   controls:
#     - {framework: NIST CSF 2.0, id: PR.AA-05}
#     - {framework: NIST SP 800-207, id: Tenet 4}
#     - {framework: NIST SP 800-53 r5, id: AC-5}
#     - {framework: NIST SP 800-53 r5, id: AC-6(5)}
#     - {framework: SOC 2, id: CC6.3}
#     - {framework: ISO/IEC 27001:2022, id: A.5.3}
#     - {framework: ISO/IEC 27001:2022, id: A.8.2}
pending contains lib.said(rego.metadata.chain()) if {
	question.gain
	governs
}

# METADATA
# title: Somebody beside the owners approves what may govern approvals
# description: |
#   A new secret for an account of which it is not known what it holds, or that holds what the catalogue does not rank, is held to what governs approvals is
#   held to.
# custom:
#   code: may-govern-approvals
#   message: "It is not known of all that this account holds whether it governs approvals: somebody who does not own {subject} approves it as well."
#   solution: List in the catalogue all that the account holds.
#   controls:
#     - {framework: NIST CSF 2.0, id: PR.AA-05}
#     - {framework: NIST SP 800-207, id: Tenet 4}
#     - {framework: NIST SP 800-53 r5, id: AC-5}
#     - {framework: NIST SP 800-53 r5, id: AC-6(5)}
#     - {framework: SOC 2, id: CC6.3}
#     - {framework: ISO/IEC 27001:2022, id: A.5.3}
#     - {framework: ISO/IEC 27001:2022, id: A.8.2}
pending contains lib.said(rego.metadata.chain()) if {
	question.gain
	unknown
}
