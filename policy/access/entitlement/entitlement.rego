# METADATA
# title: Entitlement
# description: Everything that is named must be known, and the identity must be one that may ask for it.
package access.entitlement

import data.access.question
import data.lib

known_nhi if input.facts.nhi.id == input.change.subject

purposes := [purpose |
	some purpose in input.facts.catalogue.purposes
	purpose.id == input.change.purpose
]

# Two entries of one id are no entry: nobody can say which was meant.
purpose := purposes[0] if count(purposes) == 1

key(entitlement) := [
	entitlement.connector,
	entitlement.target,
	entitlement.privilege,
	object.get(entitlement, "scope", ""),
]

catalogue_keys := {key(entry) | some entry in input.facts.catalogue.entitlements}

in_environment(entitlement) if {
	some entry in input.facts.catalogue.entitlements
	key(entry) == key(entitlement)
	entry.environment == input.facts.nhi.environment
}

# METADATA
# title: The identity is not in the inventory
# description: Access is given only to a machine identity that the inventory holds, with its owner and purposes.
# custom:
#   code: unknown-nhi
#   message: "{subject} is not in the inventory."
#   solution: Add the identity, its owner and its purposes to the inventory.
#   controls:
#     - {framework: OWASP NHI Top 10 2025, id: NHI1}
#     - {framework: NIST CSF 2.0, id: PR.AA-01}
#     - {framework: NIST SP 800-53 r5, id: AC-2}
#     - {framework: NIST SP 800-53 r5, id: IA-4}
#     - {framework: SOC 2, id: CC6.2}
#     - {framework: ISO/IEC 27001:2022, id: A.5.16}
deny contains lib.said(rego.metadata.chain()) if {
	question.gives_access
	not known_nhi
}

# METADATA
# title: The purpose is not in the catalogue
# description: A purpose is an id in the entitlement catalogue that says which privileges it needs; prose is not a purpose.
# custom:
#   code: unknown-purpose
#   message: "The catalogue has no purpose {purpose}."
#   solution: Ask for a purpose of the catalogue, or add this one and what it needs.
#   controls:
#     - {framework: OWASP NHI Top 10 2025, id: NHI5}
#     - {framework: NIST CSF 2.0, id: PR.AA-05}
#     - {framework: NIST SP 800-207, id: Tenet 4}
#     - {framework: NIST SP 800-53 r5, id: AC-6}
#     - {framework: SOC 2, id: CC6.3}
#     - {framework: ISO/IEC 27001:2022, id: A.5.15}
deny contains lib.said(rego.metadata.chain()) if {
	question.gives_access
	not purpose
}

declared if input.change.purpose in input.facts.nhi.purposes

# METADATA
# title: The identity has not declared this purpose
# description: An identity may claim only the purposes that its inventory entry lists.
# custom:
#   code: purpose-not-declared
#   exceptable: true
#   message: "{subject} has not declared the purpose {purpose}."
#   solution: Have the owner add the purpose to the identity's inventory entry.
#   controls:
#     - {framework: OWASP NHI Top 10 2025, id: NHI9}
#     - {framework: NIST CSF 2.0, id: PR.AA-05}
#     - {framework: NIST SP 800-53 r5, id: AC-2(11)}
#     - {framework: SOC 2, id: CC6.3}
#     - {framework: ISO/IEC 27001:2022, id: A.5.18}
deny contains lib.said(rego.metadata.chain()) if {
	question.gives_access
	known_nhi
	not declared
}

# The argument is an object that is there: of one that is missing a negation would be undefined.
connected(named) if named.connector in input.facts.connectors

unreachable if {
	some entitlement in input.change.entitlements
	not connected(entitlement)
}

unreachable if {
	question.of_account
	not connected_account
}

connected_account if connected(input.change.system)

# METADATA
# title: No such connector
# description: The sidecar can change only what one of its connectors reaches; this holds for taking back too. A caller's own code may reach further.
# custom:
#   code: unknown-connector
#   message: "The request names a connector that this sidecar does not have."
#   solution: Name one of the configured connectors, or ask the sidecar that has this one.
#   controls:
#     - {framework: NIST SP 800-207, id: Tenet 1}
#     - {framework: NIST SP 800-53 r5, id: CM-5}
#     - {framework: SOC 2, id: CC6.1}
deny contains lib.said(rego.metadata.chain()) if {
	unreachable
	not question.called
}

account if {
	some connector in question.connectors
	is_string(input.facts.nhi.accounts[connector])
}

# METADATA
# title: No account to rotate
# description: What is rotated is an account that the inventory knows of.
# custom:
#   code: no-account
#   message: "The inventory knows of no account of {subject} there."
#   solution: Add the account to the identity's inventory entry.
#   controls:
#     - {framework: NIST CSF 2.0, id: PR.AA-01}
#     - {framework: NIST SP 800-53 r5, id: AC-2}
#     - {framework: NIST SP 800-53 r5, id: IA-5}
#     - {framework: SOC 2, id: CC6.1}
#     - {framework: ISO/IEC 27001:2022, id: A.5.16}
deny contains lib.said(rego.metadata.chain()) if {
	question.gives_access
	question.rotating
	known_nhi
	not account
}

catalogued(entitlement) if key(entitlement) in catalogue_keys

# METADATA
# title: The entitlement is not in the catalogue
# description: A privilege that nobody has ranked cannot be weighed, so it cannot be given.
# custom:
#   code: unknown-entitlement
#   message: "The request names an entitlement that is not in the catalogue."
#   solution: Ask for catalogued entitlements, or add this one with its rank and environment.
#   controls:
#     - {framework: OWASP NHI Top 10 2025, id: NHI5}
#     - {framework: NIST CSF 2.0, id: PR.AA-05}
#     - {framework: NIST SP 800-53 r5, id: AC-6}
#     - {framework: SOC 2, id: CC6.3}
#     - {framework: ISO/IEC 27001:2022, id: A.5.18}
deny contains lib.said(rego.metadata.chain()) if {
	question.gives_access
	some entitlement in input.change.entitlements
	not catalogued(entitlement)
}

one_target if count(question.targets) == 1

# An offboarding touches what its parts touch, each in a change of its own.
one_target if input.change.kind == "offboard"

# METADATA
# title: Not exactly one target
# description: A change touches one target of one connector, so that its effect is one effect.
# custom:
#   code: not-one-target
#   message: "A change touches exactly one target of one connector."
#   solution: File one change for each target.
#   controls:
#     - {framework: NIST CSF 2.0, id: ID.RA-07}
#     - {framework: NIST SP 800-53 r5, id: CM-3}
#     - {framework: SOC 2, id: CC8.1}
#     - {framework: ISO/IEC 27001:2022, id: A.8.32}
deny contains lib.said(rego.metadata.chain()) if not one_target

# METADATA
# title: Another environment
# description: An identity of one environment gets nothing in another, and its id, its inventory entry and what is asked for or rotated agree on which.
# custom:
#   code: environment-mismatch
#   exceptable: true
#   message: "{subject} belongs to the environment {environment}; the request reaches into another."
#   solution: Use an identity of the environment that the entitlement is in.
#   controls:
#     - {framework: OWASP NHI Top 10 2025, id: NHI8}
#     - {framework: NIST CSF 2.0, id: PR.AA-05}
#     - {framework: NIST SP 800-207, id: Tenet 4}
#     - {framework: NIST SP 800-53 r5, id: AC-3}
#     - {framework: SOC 2, id: CC6.1}
#     - {framework: ISO/IEC 27001:2022, id: A.8.31}
deny contains lib.said(rego.metadata.chain()) if {
	question.gives_access
	known_nhi
	not isolated
}

isolated if {
	startswith(input.change.subject, concat("", ["nhi:", input.facts.nhi.environment, "/"]))
	every entitlement in foreseen {
		in_environment(entitlement)
	}
	surrounded
}

# The account that is rotated is where everything is that is known of its target, whether the account holds it or not.
surrounded if not question.rotating

surrounded if {
	is_array(input.facts.catalogue.entitlements)
	every entry in input.facts.catalogue.entitlements {
		apart(entry)
	}
}

apart(entry) if entry.environment == input.facts.nhi.environment

apart(entry) if {
	is_string(entry.connector)
	is_string(entry.target)
	not [entry.connector, entry.target] in question.targets
}

# What is not catalogued has no environment to compare; it is denied as such.
foreseen := [entitlement |
	some entitlement in input.change.entitlements
	catalogued(entitlement)
]

machine_only if {
	input.facts.nhi.humanUse == false
	input.facts.nhi.custody in {"workload", "vault", "thirdParty"}
}

# METADATA
# title: A person uses this identity
# description: An identity that people use, or whose credential a person keeps, gets no more access.
# custom:
#   code: human-use
#   exceptable: true
#   message: "{subject} is used by people, or its credential is kept by one."
#   solution: Give the people access of their own and end the human use of this identity.
#   controls:
#     - {framework: OWASP NHI Top 10 2025, id: NHI10}
#     - {framework: NIST CSF 2.0, id: PR.AA-01}
#     - {framework: NIST SP 800-53 r5, id: AC-2}
#     - {framework: NIST SP 800-53 r5, id: AC-2(9)}
#     - {framework: SOC 2, id: CC6.1}
#     - {framework: ISO/IEC 27001:2022, id: A.5.16}
deny contains lib.said(rego.metadata.chain()) if {
	question.gives_access
	known_nhi
	not machine_only
}
