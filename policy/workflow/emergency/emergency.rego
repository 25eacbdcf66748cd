# METADATA
# title: Emergency
# description: What cannot wait for a window or the end of a freeze goes on at once, and more people answer for it.
package workflow.emergency

import data.access.question
import data.lib

declared if {
	question.gain
	input.change.emergency == true
}

# METADATA
# title: An emergency
# description: It waits for no window and no freeze; an owner and security approve it, as two people, however low its risk.
# custom:
#   code: emergency
#   message: "An emergency waits for no window and no freeze; an owner of {subject} and security approve it."
#   controls:
#     - {framework: NIST CSF 2.0, id: ID.RA-07}
#     - {framework: NIST SP 800-53 r5, id: AC-3(2)}
#     - {framework: NIST SP 800-53 r5, id: CM-3}
#     - {framework: SOC 2, id: CC8.1}
#     - {framework: ISO/IEC 27001:2022, id: A.8.32}
pending contains lib.said(rego.metadata.chain()) if declared
