# METADATA
# title: Logins
# description: |
#   What must be so after a step of a rotation, or after an account was shut out: the new login takes over, a renewed one holds what it
#   held, an old one is of no use any more.
package access.verification.logins

import data.access.verification
import data.lib

unchanged if {
	is_array(input.before.held)
	is_array(input.after.held)
	verification.before == verification.after
}

# METADATA
# title: What the account holds has changed
# description: A new secret changes nothing of what the account holds.
# custom:
#   code: holdings-changed
#   message: "{account} does not hold what it held before its secret was renewed."
#   solution: Look at the target for a change made at the same time, or at what the caller's code does.
#   controls:
#     - {framework: NIST SP 800-53 r5, id: AC-6}
#     - {framework: NIST SP 800-53 r5, id: CM-3(2)}
#     - {framework: SOC 2, id: CC8.1}
#     - {framework: ISO/IEC 27001:2022, id: A.8.32}
deny contains lib.said(rego.metadata.chain()) if {
	verification.renewing
	not unchanged
}

# Of connectors that name no role there is none on either side.
same_role if object.get(input.before.touched, "role", null) == object.get(input.after.touched, "role", null)

# METADATA
# title: The role behind the logins has changed
# description: Old and new login of a rotation are members of one and the same role.
# custom:
#   code: role-changed
#   message: "The role that {account} belongs to is not the one that was read before."
#   solution: Look at the target; a role was dropped and made again. The change is undone.
#   controls:
#     - {framework: NIST SP 800-53 r5, id: CM-3(2)}
#     - {framework: SOC 2, id: CC8.1}
#     - {framework: ISO/IEC 27001:2022, id: A.8.32}
deny contains lib.said(rego.metadata.chain()) if {
	verification.taking_over
	not same_role
}

shut if {
	verification.retiring
	input.after.touched.currentCanLogin == false
}

shut if {
	verification.shutting_out
	input.after.touched.canLogin == false
}

shut if {
	to_be_shut
	input.after.exists == false
}

locked_out if {
	shut
	is_array(input.after.held)
	input.byUse in {"fails", "notTried"}
}

to_be_shut if verification.retiring

to_be_shut if verification.shutting_out

# METADATA
# title: The account can still log in
# description: An account that was to be shut out cannot log in, or is gone, and no use of it worked.
# custom:
#   code: can-log-in
#   message: "{account} was to be shut out and can still log in."
#   solution: Shutting it out goes on; look at the target for someone who enables it again.
#   controls:
#     - {framework: OWASP NHI Top 10 2025, id: NHI1}
#     - {framework: NIST CSF 2.0, id: PR.AA-01}
#     - {framework: NIST SP 800-53 r5, id: AC-2(3)}
#     - {framework: SOC 2, id: CC6.2}
#     - {framework: ISO/IEC 27001:2022, id: A.5.18}
deny contains lib.said(rego.metadata.chain()) if {
	to_be_shut
	not locked_out
}

# METADATA
# title: Ready to take over
# description: The new login of a rotation is there, holds what it is to have, and the role behind both logins is the same.
# custom:
#   code: ready-to-take-over
#   message: "The new login {account} holds what it is to have and can take over."
#   controls:
#     - {framework: OWASP NHI Top 10 2025, id: NHI7}
#     - {framework: NIST CSF 2.0, id: PR.AA-01}
#     - {framework: NIST SP 800-53 r5, id: CM-3(2)}
#     - {framework: NIST SP 800-53 r5, id: IA-5}
#     - {framework: SOC 2, id: CC8.1}
#     - {framework: ISO/IEC 27001:2022, id: A.5.17}
permit contains lib.said(rego.metadata.chain()) if {
	verification.understood
	verification.taking_over
	verification.complete
	verification.works
	verification.there
	same_role
}

# METADATA
# title: Retired
# description: The old login of a rotation cannot log in and holds nothing of what it had through the role.
# custom:
#   code: retired
#   message: "The old login {account} is shut out."
#   controls:
#     - {framework: OWASP NHI Top 10 2025, id: NHI7}
#     - {framework: NIST CSF 2.0, id: PR.AA-01}
#     - {framework: NIST SP 800-53 r5, id: AC-3(8)}
#     - {framework: NIST SP 800-53 r5, id: IA-5}
#     - {framework: SOC 2, id: CC6.1}
#     - {framework: ISO/IEC 27001:2022, id: A.5.17}
permit contains lib.said(rego.metadata.chain()) if {
	verification.understood
	verification.retiring
	verification.gone
	locked_out
}

# METADATA
# title: Renewed
# description: The account has a new secret and holds what it held before.
# custom:
#   code: renewed
#   message: "{account} holds what it held before its secret was renewed, and nothing else."
#   controls:
#     - {framework: OWASP NHI Top 10 2025, id: NHI7}
#     - {framework: NIST CSF 2.0, id: PR.AA-01}
#     - {framework: NIST SP 800-53 r5, id: CM-3(2)}
#     - {framework: NIST SP 800-53 r5, id: IA-5}
#     - {framework: SOC 2, id: CC6.1}
#     - {framework: ISO/IEC 27001:2022, id: A.5.17}
permit contains lib.said(rego.metadata.chain()) if {
	verification.understood
	verification.renewing
	unchanged
	verification.works
	verification.there
}

# METADATA
# title: Shut out
# description: The account cannot log in, or is gone.
# custom:
#   code: shut-out
#   message: "{account} is shut out."
#   controls:
#     - {framework: OWASP NHI Top 10 2025, id: NHI1}
#     - {framework: NIST CSF 2.0, id: PR.AA-01}
#     - {framework: NIST SP 800-53 r5, id: AC-2(3)}
#     - {framework: SOC 2, id: CC6.2}
#     - {framework: ISO/IEC 27001:2022, id: A.5.18}
permit contains lib.said(rego.metadata.chain()) if {
	verification.understood
	verification.shutting_out
	locked_out
}

# METADATA
# title: Still owns something
# description: An account that was shut out keeps what it has as an owner. Nobody can use it through the account; somebody must take it over.
# custom:
#   code: still-owns
#   message: "{account} is shut out, and the target still shows privileges of it, such as an owner's."
#   solution: Hand on what the account owns, then drop it.
#   controls:
#     - {framework: OWASP NHI Top 10 2025, id: NHI1}
#     - {framework: NIST SP 800-53 r5, id: AC-2}
#     - {framework: ISO/IEC 27001:2022, id: A.5.18}
note contains lib.said(rego.metadata.chain()) if {
	verification.shutting_out
	locked_out
	count(verification.after) > 0
}
