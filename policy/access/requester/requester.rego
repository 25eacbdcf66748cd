# METADATA
# title: Requester
# description: |
#   The caller and everyone it acts for. Each must be the identity itself or an active person of the directory; another
#   machine identity asks for nobody, and a sidecar only to take away what it found: people decide on that. Of what was decided and approved before and only takes
#   away, it is not asked again: an old login is not left open because somebody left.
package access.requester

import data.access.question
import data.lib
import data.lib.people

itself(principal) if principal == input.change.subject

named if count(input.change.requester) > 0

recognised(principal) if itself(principal)

recognised(principal) if principal in people.listed

recognised(principal) if {
	startswith(principal, "sidecar:")
	input.change.kind in {"revoke", "disable"}
	input.change.mode == "executor"
}

all_recognised if {
	named
	every principal in input.change.requester {
		recognised(principal)
	}
}

# METADATA
# title: The requester is not known
# description: Everyone in the act chain is the identity itself or a person in the directory.
# custom:
#   code: unknown-requester
#   message: "Someone in the chain of requesters is neither {subject} itself nor a person in the directory."
#   solution: Ask as the identity itself, or as a person in the directory.
#   controls:
#     - {framework: NIST CSF 2.0, id: PR.AA-02}
#     - {framework: NIST SP 800-207, id: Tenet 6}
#     - {framework: NIST SP 800-53 r5, id: IA-9}
#     - {framework: SOC 2, id: CC6.2}
#     - {framework: ISO/IEC 27001:2022, id: A.5.16}
deny contains lib.said(rego.metadata.chain()) if {
	not all_recognised
	not question.settled
}

all_active if {
	every principal in input.change.requester {
		not dormant(principal)
	}
}

dormant(principal) if {
	principal in people.listed
	not principal in people.active
}

# METADATA
# title: The requester is disabled
# description: Nobody in the act chain is disabled in the directory.
# custom:
#   code: requester-inactive
#   message: "Someone in the chain of requesters is disabled in the directory."
#   solution: Have an active person ask.
#   controls:
#     - {framework: OWASP NHI Top 10 2025, id: NHI1}
#     - {framework: NIST CSF 2.0, id: PR.AA-01}
#     - {framework: NIST SP 800-53 r5, id: AC-2(3)}
#     - {framework: NIST SP 800-53 r5, id: PS-4}
#     - {framework: SOC 2, id: CC6.2}
#     - {framework: ISO/IEC 27001:2022, id: A.5.18}
deny contains lib.said(rego.metadata.chain()) if {
	not all_active
	not question.settled
}
