# METADATA
# title: Caller
# description: When the caller's own code may make the change, and what is then said of the evidence.
package access.caller

import data.access.question
import data.lib
import data.workflow

# What gives a lease needs an executor that holds its armed revoke; what is critical needs one that sees for itself.
callable if {
	input.change.kind in {"rotate", "revoke", "disable"}
	not executor_due
}

executor_due if {
	workflow.risk == "critical"
	not question.unserved
}

# METADATA
# title: An executor must make this change
# description: The caller's own code rotates, revokes and disables, and nothing of critical risk that an executor reaches.
# custom:
#   code: executor-required
#   message: "This {kind} must be made by an executor and not by the caller's own code."
#   solution: Ask without caller, so that an executor makes the change.
#   controls:
#     - {framework: NIST SP 800-207, id: Tenet 6}
#     - {framework: NIST SP 800-53 r5, id: CM-5}
#     - {framework: SOC 2, id: CC8.1}
#     - {framework: ISO/IEC 27001:2022, id: A.8.32}
deny contains lib.said(rego.metadata.chain()) if {
	question.called
	not callable
}

unseen if {
	question.called
	question.unserved
}

# METADATA
# title: Seen by nobody but the caller
# description: Asked after a step, about what was read.
# schemas:
#   - input: schema.verify
unseen if input.seenBy == "selfReported"

# METADATA
# title: Reported by the caller itself
# description: No executor reaches the system, so that what the caller's code did rests on its own signed word.
# custom:
#   code: self-reported
#   message: "No executor sees what the caller's code does; the evidence is the caller's own report."
#   solution: Configure an executor with a read-only connector for the system.
#   controls:
#     - {framework: NIST SP 800-207, id: Tenet 5}
#     - {framework: NIST SP 800-53 r5, id: CA-7}
note contains lib.said(rego.metadata.chain()) if unseen
