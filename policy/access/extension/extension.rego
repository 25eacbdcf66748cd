# METADATA
# title: Extension
# description: |
#   A lease that runs gets a later end. It is weighed like a grant of the same entitlements from now to that end; here is only what is
#   asked of the lease itself.
package access.extension

import data.access.question
import data.lib

running if {
	question.extension_sound
	input.change.extends.running == true
}

# METADATA
# title: There is no such lease
# description: Only a lease of this ledger that is in use, and that nobody has ordered back, gets a later end.
# custom:
#   code: lease-not-running
#   message: "The lease that is to end later is not in use: it is unknown, over, or being taken back."
#   solution: Ask for the access anew.
#   controls:
#     - {framework: OWASP NHI Top 10 2025, id: NHI7}
#     - {framework: NIST CSF 2.0, id: PR.AA-05}
#     - {framework: NIST SP 800-207, id: Tenet 3}
#     - {framework: NIST SP 800-53 r5, id: AC-2(2)}
#     - {framework: SOC 2, id: CC6.3}
#     - {framework: ISO/IEC 27001:2022, id: A.5.18}
deny contains lib.said(rego.metadata.chain()) if {
	question.extending
	not running
}

same if {
	input.change.extends.subject == input.change.subject
	input.change.extends.purpose == input.change.purpose
	input.change.extends.entitlements == input.change.entitlements
}

# METADATA
# title: Another lease than is asked about
# description: An extension names the identity, purpose and entitlements of the change whose lease it is; what another identity holds is not its to keep.
# custom:
#   code: other-lease
#   message: "The lease is not one of {subject} for {purpose} with exactly these entitlements."
#   solution: Extend the identity's own lease, as it was asked for.
#   controls:
#     - {framework: OWASP NHI Top 10 2025, id: NHI9}
#     - {framework: NIST CSF 2.0, id: PR.AA-05}
#     - {framework: NIST SP 800-53 r5, id: AC-3}
#     - {framework: NIST SP 800-53 r5, id: AC-6}
#     - {framework: SOC 2, id: CC6.3}
#     - {framework: ISO/IEC 27001:2022, id: A.5.18}
deny contains lib.said(rego.metadata.chain()) if {
	question.extending
	running
	not same
}

later if {
	is_number(input.nowMs)
	is_number(input.change.extends.endsAtMs)
	is_number(input.change.extends.extendedToMs)
	input.change.extends.extendedToMs > input.change.extends.endsAtMs
	input.change.extends.extendedToMs > input.nowMs
}

# METADATA
# title: The lease ends no earlier already
# description: The new end is later than the one that the lease has.
# custom:
#   code: end-not-later
#   message: "The lease ends no earlier than it would by this {kind}."
#   solution: Ask for a longer duration, or nearer to the lease's end.
#   controls:
#     - {framework: NIST SP 800-53 r5, id: AC-2(2)}
#     - {framework: ISO/IEC 27001:2022, id: A.5.18}
deny contains lib.said(rego.metadata.chain()) if {
	question.extending
	running
	not later
}

unplanned if is_null(input.change.extends.nextEpoch)

next if {
	is_number(input.change.extends.epoch)
	is_number(input.change.extends.nextEpoch)
	input.change.extends.nextEpoch > input.change.extends.epoch
}

# METADATA
# title: The lease was extended meanwhile
# description: The plan is for the lease as it was; another extension has come first.
# custom:
#   code: lease-moved
#   message: "The lease was extended after this {kind} was planned."
#   solution: Ask again; the plan is made anew.
#   controls:
#     - {framework: NIST CSF 2.0, id: ID.RA-07}
#     - {framework: NIST SP 800-53 r5, id: CM-3}
#     - {framework: SOC 2, id: CC8.1}
#     - {framework: ISO/IEC 27001:2022, id: A.8.32}
deny contains lib.said(rego.metadata.chain()) if {
	question.extending
	running
	not unplanned
	not next
}
