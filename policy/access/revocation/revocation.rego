# METADATA
# title: Revocation
# description: Who may take access back, or lock, now and without an approval.
package access.revocation

import data.lib
import data.lib.people

roles := people.responder_roles(input.nhi, input.principal)

active if input.principal in people.active

answers if count(roles) > 0

# METADATA
# title: The principal is not an active person
# description: Whoever revokes is active in the directory.
# custom:
#   code: revoker-inactive
#   message: "{principal} is not an active person in the directory."
#   solution: Have an active owner, on-call or security person revoke.
#   controls:
#     - {framework: NIST SP 800-53 r5, id: AC-2(3)}
deny contains lib.said(rego.metadata.chain()) if not active

# METADATA
# title: The principal does not answer for this identity
# description: Whoever revokes is an owner or backup owner of the identity, on call, or in security.
# custom:
#   code: not-a-revoker
#   message: "{principal} is neither an owner of the identity nor on call nor in security."
#   solution: File a revoke as a change, or ask the owner, on-call or security.
#   controls:
#     - {framework: NIST SP 800-53 r5, id: AC-3(8)}
deny contains lib.said(rego.metadata.chain()) if not answers

# METADATA
# title: Owner
# description: The owner of the identity may take its access back.
# custom:
#   code: revoker-owner
#   message: "{principal} owns the identity."
#   controls:
#     - {framework: NIST SP 800-53 r5, id: AC-3(8)}
permit contains lib.said(rego.metadata.chain()) if {
	active
	"owner" in roles
}

# METADATA
# title: Backup owner
# description: The backup owner of the identity may take its access back.
# custom:
#   code: revoker-backup-owner
#   message: "{principal} is the identity's backup owner."
#   controls:
#     - {framework: NIST SP 800-53 r5, id: AC-3(8)}
permit contains lib.said(rego.metadata.chain()) if {
	active
	"backupOwner" in roles
}

# METADATA
# title: Security
# description: A member of security may take any access back.
# custom:
#   code: revoker-security
#   message: "{principal} is in security."
#   controls:
#     - {framework: NIST SP 800-53 r5, id: AC-3(8)}
permit contains lib.said(rego.metadata.chain()) if {
	active
	"security" in roles
}

# METADATA
# title: On call
# description: Whoever is on call may take any access back.
# custom:
#   code: revoker-on-call
#   message: "{principal} is on call."
#   controls:
#     - {framework: NIST SP 800-53 r5, id: AC-3(8)}
permit contains lib.said(rego.metadata.chain()) if {
	active
	"onCall" in roles
}
