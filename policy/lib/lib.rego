# METADATA
# title: Words that every policy uses
# description: How a rule speaks (its code, message and controls come from its METADATA), and which of several answers holds.
# scope: subpackages
# schemas:
#   - input: schema.decide
#   - data.limits: schema.limits
package lib

# METADATA
# title: What a rule says
# description: |
#   Defined for every chain: a deny whose message is undefined would not deny. Called as `lib.said(rego.metadata.chain())`,
#   so that code, message and controls are those of the rule that calls it, and whether an exception may be made from it (`exceptable: true`).
said(chain) := {
	"reason": {"code": code, "message": message, "rule": rule},
	"controls": {control |
		some mapped in object.get(custom, "controls", [])
		control := {"framework": mapped.framework, "id": mapped.id, "rule": rule}
	},
	"exceptable": object.get(custom, "exceptable", false),
} if {
	custom := object.get(chain[0], ["annotations", "custom"], {})
	code := object.get(custom, "code", "unlabelled")
	rule := concat(".", chain[0].path)
	title := object.get(chain[0], ["annotations", "title"], "no message")
	message := strings.replace_n(placeholders, object.get(custom, "message", title))
}

# METADATA
# title: What a rule says of somebody
# description: The same saying, with what its message mentions of one of several people.
about(saying, mentioned) := object.union(saying, {"reason": {"message": strings.replace_n(
	{name: shown(value) | some name, value in mentioned},
	saying.reason.message,
)}})

# METADATA
# title: What a message may mention
# description: Each entry is absent, never undefined as a whole, where the input does not hold it; what is long is not shown.
placeholders["{subject}"] := shown(input.change.subject)

placeholders["{purpose}"] := shown(input.change.purpose)

placeholders["{kind}"] := shown(input.change.kind)

placeholders["{environment}"] := shown(input.facts.nhi.environment)

placeholders["{riskTier}"] := shown(input.facts.nhi.riskTier)

placeholders["{leaseSeconds}"] := shown(input.change.leaseSeconds)

placeholders["{leaseSecondsMax}"] := shown(data.access.lease.seconds_max)

# METADATA
# title: The account that a step was about
# schemas:
#   - input: schema.verify
placeholders["{account}"] := shown(input.account)

# METADATA
# title: Who is about to approve
# schemas:
#   - input: schema.accept
placeholders["{approver}"] := shown(input.approval.approver)

default shown(_) := "(not shown)"

shown(value) := value if {
	is_string(value)
	count(value) <= 64
}

shown(value) := format_int(value, 10) if is_number(value)

# METADATA
# title: Strictest wins
# description: deny > needsApproval > allow; no opinion at all, or one that is not known, is a deny.
default strictest(_) := "deny"

strictest(effects) := "needsApproval" if {
	"needsApproval" in effects
	count(effects - {"needsApproval", "allow"}) == 0
}

strictest(effects) := "allow" if effects == {"allow"}

# METADATA
# title: Reasons in a fixed order
reasons(sayings) := sort({saying.reason | some saying in sayings})

# METADATA
# title: Controls in a fixed order
controls(sayings) := sort({control |
	some saying in sayings
	some control in saying.controls
})
