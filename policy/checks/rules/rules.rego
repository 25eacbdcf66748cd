# METADATA
# title: Policy about policies
# description: |
#   What must hold of every rule that is compiled. The input is the outline that `policy test` makes of the sources: of each rule its METADATA
#   and, for each literal, whether it is negated, what it reads of question and data, and which rules it uses.
package checks.rules

known := {rule.id | some rule in input.rules}

speaking contains rule if {
	some rule in input.rules
	rule.speaks
}

words(rule, name) if {
	is_string(rule.custom[name])
	count(rule.custom[name]) > 0
}

evident(rule) if count(rule.custom.controls) > 0

described(rule) if count(rule.description) > 0

# What denies says what to do about it.
denies := {"deny", "unexplained"}

deny contains finding("no-code", rule, "a rule that says something has a code") if {
	some rule in speaking
	not words(rule, "code")
}

deny contains finding("no-message", rule, "a rule that says something has a message") if {
	some rule in speaking
	not words(rule, "message")
}

deny contains finding("no-controls", rule, "a rule that says something is evidence for a control") if {
	some rule in speaking
	not evident(rule)
}

deny contains finding("no-description", rule, "a rule that says something says in words what must hold") if {
	some rule in speaking
	not described(rule)
}

deny contains finding("no-solution", rule, "a rule that denies says what to do about it") if {
	some rule in speaking
	rule.name in denies
	not words(rule, "solution")
}

deny contains finding("silent", rule, "a rule that denies says so by lib.said") if {
	some rule in input.rules
	rule.name in denies
	not rule.speaks
}

deny contains finding("default-yes", rule, "nothing is true or allowed by default") if {
	some rule in input.rules
	rule.isDefault
	rule.value in [true, "allow"]
}

# Of an argument that is missing the negation is undefined, and not true: it belongs in a rule of its own, which is then negated.
deny contains finding("negated-read", rule, "a call that reads the question or data is not negated in place") if {
	some rule in input.rules
	some literal in rule.literals
	literal.negated
	literal.call
	count(literal.reads) > 0
}

deny contains finding("rests-on-data", rule, "no denial fails because a limit is missing: what must hold is stated, and negated") if {
	some rule in input.rules
	rule.name == "deny"
	some reached in graph.reachable(edges, {node(rule.id, false)})
	reached in resting
}

node(id, true) := concat("", [id, " must not hold"])

node(id, false) := concat("", [id, " must hold"])

# Never undefined, whatever they read: rules with a default, and what a rule says.
settled := {rule.id | some rule in input.rules; rule.isDefault} | {"lib.said"}

# From each rule to those it uses, each as often negated as it is.
edges[from] := reached if {
	some upside in [false, true]
	some id in known
	from := node(id, upside)
	reached := {node(used, turned(upside, literal.negated)) |
		some rule in input.rules
		rule.id == id
		some literal in rule.literals
		some used in literal.uses
		used in known
		not used in settled
	}
}

turned(upside, negated) := upside != negated

# Undefined where its data is, so that what needs it to hold does not.
resting contains node(rule.id, literal.negated) if {
	some rule in input.rules
	some literal in rule.literals
	some read in literal.reads
	startswith(read, "data.")
}

finding(code, rule, message) := {"code": code, "rule": rule.id, "file": rule.file, "message": message}
