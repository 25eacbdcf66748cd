# METADATA
# title: Verification
# description: |
#   The state that was read after the effect is what the step was to leave: for access that is given, the state before it and the
#   plan, nothing more and nothing less.
# scope: subpackages
# schemas:
#   - input: schema.verify
package access.verification

import data.lib

privileges := {privilege | some privilege in input.privileges}

before := {privilege | some privilege in input.before.held}

after := {privilege | some privilege in input.after.held}

# What a privilege brings with it (a role's own privileges) is neither asked for nor a surprise.
conveyed := {privilege | some privilege in input.conveyed}

actions := {
	"provision": {"provision"},
	"grant": {"grant"},
	"extend": {"extend"},
	"revoke": {"revoke", "call"},
	"rotate": {"stage", "cutover", "retire", "replace", "call"},
	"disable": {"disable", "call"},
}

understood if {
	known_form
	input.seenBy == "executor"
}

understood if {
	known_form
	reported
}

# Of what was to be given or taken, nothing is an empty list.
known_form if {
	input.v == 1
	input.action in actions[input.kind]
	is_array(input.privileges)
}

# Only of a caller's own code may nobody else have seen what it left.
reported if {
	input.seenBy == "selfReported"
	input.action == "call"
}

# What the step was to leave, by its action; of a caller's code, by what the change is for.
gives_access if input.action in {"provision", "grant", "extend", "stage"}

taking_over if input.action == "cutover"

retiring if input.action == "retire"

renewing if input.action == "replace"

renewing if called_for("rotate")

taking_back if input.action == "revoke"

taking_back if called_for("revoke")

shutting_out if input.action == "disable"

shutting_out if called_for("disable")

called_for(kind) if {
	input.action == "call"
	input.kind == kind
	not reported
}

leaves_access if gives_access

leaves_access if taking_over

leaves_access if renewing

# METADATA
# title: Not a question that policy knows
# description: The input is of version 1, of a known kind and action, and says what was to be left and who saw the state; otherwise nothing is verified.
# custom:
#   code: verification-not-understood
#   message: "No rule says how to verify this."
#   solution: Use a policy bundle that knows this version and kind.
#   controls:
#     - {framework: NIST SP 800-207, id: Tenet 6}
#     - {framework: NIST SP 800-53 r5, id: CM-3(2)}
#     - {framework: SOC 2, id: CC8.1}
deny contains lib.said(rego.metadata.chain()) if not understood

due := before | privileges if {
	input.action in {"provision", "grant", "extend"}
} else := privileges if count(privileges) > 0

complete if {
	is_array(input.after.held)
	count(due - after) == 0
}

to_hold if gives_access

to_hold if taking_over

# METADATA
# title: A privilege is missing
# description: Everything held before and everything the plan gives is held after; by the new login of a rotation, what it is to have.
# custom:
#   code: privilege-missing
#   message: "{account} does not hold everything that it held before and that the plan gives."
#   solution: Look at the target; the change is undone.
#   controls:
#     - {framework: NIST SP 800-53 r5, id: CM-3(2)}
#     - {framework: SOC 2, id: CC8.1}
#     - {framework: ISO/IEC 27001:2022, id: A.8.32}
deny contains lib.said(rego.metadata.chain()) if {
	to_hold
	not complete
}

bounded if {
	is_array(input.before.held)
	is_array(input.after.held)
	count(after - ((before | privileges) | conveyed)) == 0
}

# METADATA
# title: A privilege beyond the plan
# description: Nothing is held after that was not held before, given by the plan or brought along by what it gives.
# custom:
#   code: privilege-beyond-plan
#   message: "{account} holds something that neither the plan gave nor the state before had."
#   solution: Look at the target for a change made at the same time by someone else; the change is undone.
#   controls:
#     - {framework: OWASP NHI Top 10 2025, id: NHI5}
#     - {framework: NIST CSF 2.0, id: PR.AA-05}
#     - {framework: NIST SP 800-207, id: Tenet 5}
#     - {framework: NIST SP 800-53 r5, id: AC-6}
#     - {framework: SOC 2, id: CC6.3}
#     - {framework: SOC 2, id: CC8.1}
#     - {framework: ISO/IEC 27001:2022, id: A.5.18}
#     - {framework: ISO/IEC 27001:2022, id: A.8.2}
deny contains lib.said(rego.metadata.chain()) if {
	gives_access
	not bounded
}

works if {
	input.verification == "byUse"
	input.byUse == "works"
}

works if {
	input.verification == "readBack"
	input.byUse in {"works", "notTried"}
}

# A crash between making a credential and trying it loses the only copy of the secret that could be tried; what was read back stands.
works if {
	input.verification == "byUse"
	input.byUse == "notTried"
}

# METADATA
# title: The access does not work
# description: No use of the access failed; where verification is by use, it was used and worked, or could not be tried any more.
# custom:
#   code: not-working
#   message: "The access of {account} was not seen to work."
#   solution: Look at the target; the change is undone.
#   controls:
#     - {framework: NIST SP 800-53 r5, id: CM-3(2)}
#     - {framework: SOC 2, id: CC8.1}
#     - {framework: ISO/IEC 27001:2022, id: A.8.32}
deny contains lib.said(rego.metadata.chain()) if {
	leaves_access
	not works
}

there if input.after.exists == true

# METADATA
# title: The account is missing
# description: The account that was given access, or whose secret was renewed, exists.
# custom:
#   code: account-missing
#   message: "{account} does not exist after the change."
#   solution: Look at the target; the change is undone.
#   controls:
#     - {framework: NIST CSF 2.0, id: PR.AA-01}
#     - {framework: NIST SP 800-53 r5, id: AC-2}
#     - {framework: SOC 2, id: CC8.1}
#     - {framework: ISO/IEC 27001:2022, id: A.5.16}
deny contains lib.said(rego.metadata.chain()) if {
	leaves_access
	not there
}

gone if {
	is_array(input.after.held)
	count(privileges & after) == 0
	input.byUse in {"fails", "notTried"}
}

# METADATA
# title: Still held
# description: Nothing that was to be taken back is held, and no use of it worked.
# custom:
#   code: still-held
#   message: "{account} still holds what was to be taken back."
#   solution: Taking it back goes on until it is gone; look at the target for another grant of the same privilege.
#   controls:
#     - {framework: OWASP NHI Top 10 2025, id: NHI1}
#     - {framework: NIST CSF 2.0, id: PR.AA-05}
#     - {framework: NIST SP 800-53 r5, id: AC-3(8)}
#     - {framework: SOC 2, id: CC6.3}
#     - {framework: ISO/IEC 27001:2022, id: A.5.18}
deny contains lib.said(rego.metadata.chain()) if {
	to_lose
	not gone
}

to_lose if taking_back

to_lose if retiring

# METADATA
# title: As planned
# description: The state after is the state before and the plan.
# custom:
#   code: as-planned
#   message: "{account} holds what it held before and what the plan gives, and nothing else."
#   controls:
#     - {framework: NIST SP 800-207, id: Tenet 5}
#     - {framework: NIST SP 800-53 r5, id: CM-3(2)}
#     - {framework: SOC 2, id: CC8.1}
#     - {framework: ISO/IEC 27001:2022, id: A.8.32}
permit contains lib.said(rego.metadata.chain()) if {
	understood
	gives_access
	complete
	bounded
	works
	there
}

# METADATA
# title: Reported as done
# description: The caller's own code ended well, by its signed word; nobody else saw the state.
# custom:
#   code: reported-done
#   message: "The caller reports that its code has done what was decided for {account}."
#   controls:
#     - {framework: NIST SP 800-53 r5, id: CM-3}
#     - {framework: SOC 2, id: CC8.1}
permit contains lib.said(rego.metadata.chain()) if {
	understood
	reported
}

# METADATA
# title: Taken back
# description: The account is gone, or holds nothing of what was to be taken back.
# custom:
#   code: taken-back
#   message: "{account} holds nothing of what was to be taken back."
#   controls:
#     - {framework: OWASP NHI Top 10 2025, id: NHI1}
#     - {framework: NIST CSF 2.0, id: PR.AA-05}
#     - {framework: NIST SP 800-53 r5, id: AC-3(8)}
#     - {framework: SOC 2, id: CC6.3}
#     - {framework: ISO/IEC 27001:2022, id: A.5.18}
permit contains lib.said(rego.metadata.chain()) if {
	understood
	taking_back
	gone
}

# METADATA
# title: Other privileges changed meanwhile
# description: While this was taken back, something else that the account holds changed too. What was asked is gone all the same.
# custom:
#   code: changed-beyond-plan
#   message: "Other privileges of {account} changed while this was taken back."
#   controls:
#     - {framework: NIST SP 800-207, id: Tenet 5}
#     - {framework: NIST SP 800-53 r5, id: AC-6(7)}
#     - {framework: ISO/IEC 27001:2022, id: A.5.18}
note contains lib.said(rego.metadata.chain()) if {
	taking_back
	gone
	(before - privileges) - conveyed != after - conveyed
}

# METADATA
# title: Not tried
# description: The credential is as planned at the target, and a crash left nothing to try it with. Its sealed secret stands.
# custom:
#   code: not-tried
#   message: "The credential of {account} was read back as planned and could not be tried."
#   solution: Use it; if it does not work, revoke the change and ask again.
#   controls:
#     - {framework: NIST SP 800-53 r5, id: CM-3(2)}
#     - {framework: SOC 2, id: CC8.1}
note contains lib.said(rego.metadata.chain()) if {
	makes_secret
	input.verification == "byUse"
	input.byUse == "notTried"
}

makes_secret if input.action in {"provision", "grant", "stage"}

makes_secret if input.action == "replace"
