# METADATA
# title: Facts
# description: What a decision rests on must be recent, and a dispatch must rest on a plan.
package access.facts

import data.access.question
import data.lib

fresh if {
	is_number(input.facts.ageMs)
	is_number(data.limits.factsAgeMaxMs)
	input.facts.ageMs >= 0
	input.facts.ageMs <= data.limits.factsAgeMaxMs
}

# METADATA
# title: The facts are stale
# description: Inventory, catalogue and directory must be young enough to give access by. Taking access back does not wait for them.
# custom:
#   code: facts-stale
#   message: "The facts are older than policy allows, or their age is not known."
#   solution: Load the inventory, catalogue and directory again.
#   controls:
#     - {framework: NIST CSF 2.0, id: PR.AA-05}
#     - {framework: NIST SP 800-207, id: Tenet 4}
#     - {framework: NIST SP 800-207, id: Tenet 6}
#     - {framework: NIST SP 800-53 r5, id: AC-24}
#     - {framework: ISO/IEC 27001:2022, id: A.5.15}
deny contains lib.said(rego.metadata.chain()) if {
	question.gives_access
	not fresh
}

planned if input.phase == "request"

planned if {
	input.phase == "dispatch"
	is_string(input.change.planDigest)
}

# METADATA
# title: There is no plan to dispatch
# description: At dispatch the change has a plan, named by its digest.
# custom:
#   code: no-plan
#   message: "The change has no plan to carry out."
#   solution: Let the state be read and the plan be derived first.
#   controls:
#     - {framework: NIST CSF 2.0, id: ID.RA-07}
#     - {framework: NIST SP 800-53 r5, id: CM-3}
#     - {framework: SOC 2, id: CC8.1}
#     - {framework: ISO/IEC 27001:2022, id: A.8.32}
deny contains lib.said(rego.metadata.chain()) if not planned

# METADATA
# title: Already held
# description: The account holds everything that is asked for. It may be given again, because a second lease is taken back on its own.
# custom:
#   code: already-held
#   message: "The account already holds everything that is asked for."
#   solution: Use what is held, or extend its lease.
#   controls:
#     - {framework: NIST CSF 2.0, id: PR.AA-05}
#     - {framework: NIST SP 800-53 r5, id: AC-6(7)}
#     - {framework: ISO/IEC 27001:2022, id: A.5.18}
note contains lib.said(rego.metadata.chain()) if {
	input.change.kind == "grant"
	is_array(input.held)
	every asked in input.change.entitlements {
		asked.privilege in input.held
	}
}

# METADATA
# title: Held but unused
# description: The account holds privileges that it was not seen to use, in an observation recent enough to say so.
# custom:
#   code: held-unused
#   message: "The account holds privileges that it was not seen to use."
#   solution: Review what the identity holds and take back what it does not use.
#   controls:
#     - {framework: OWASP NHI Top 10 2025, id: NHI5}
#     - {framework: NIST CSF 2.0, id: PR.AA-05}
#     - {framework: NIST SP 800-207, id: Tenet 7}
#     - {framework: NIST SP 800-53 r5, id: AC-6(7)}
#     - {framework: SOC 2, id: CC6.3}
#     - {framework: ISO/IEC 27001:2022, id: A.5.18}
note contains lib.said(rego.metadata.chain()) if {
	input.used.ageMs <= data.limits.usageAgeMaxMs
	some privilege in input.held
	not used(privilege)
}

used(privilege) if privilege in input.used.privileges

# METADATA
# title: Locked
# description: A lock covers the identity or the connector. Nothing that gives access is carried out until it is lifted; this decision waits with it.
# custom:
#   code: locked
#   message: "A lock covers {subject} or its connector; nothing is gained until it is lifted."
#   solution: Have the lock lifted by someone who answers for it.
#   controls:
#     - {framework: NIST CSF 2.0, id: RS.MI-01}
#     - {framework: NIST SP 800-53 r5, id: AC-2(3)}
#     - {framework: NIST SP 800-53 r5, id: IR-4}
#     - {framework: SOC 2, id: CC6.3}
note contains lib.said(rego.metadata.chain()) if {
	question.gives_access
	count(input.facts.locks) > 0
}
