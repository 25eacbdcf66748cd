# METADATA
# title: Delegation
# description: |
#   Who stands in for those who are asked, by the directory. Whoever stands in may approve in her place, is one person with her where people are counted, and
#   hands it on to nobody. Nobody stands in for who asks for the change, nor is whoever asks a stand-in. What lacks something, or has it in another form, holds for nothing.
package workflow.delegation

import data.access.question
import data.lib
import data.lib.clock
import data.lib.people
import data.workflow
import data.workflow.governing

# METADATA
# title: A delegation holds
# description: Now, of somebody active, for this change, and for no longer than a delegation may be.
in_force contains one if {
	some one in people.directory.delegations
	one.from in people.active
	is_number(input.nowMs)
	is_number(one.sinceMs)
	is_number(one.untilMs)
	one.sinceMs <= input.nowMs
	input.nowMs < one.untilMs
	is_number(data.limits.delegationDaysMax)
	one.untilMs - one.sinceMs <= data.limits.delegationDaysMax * clock.day_ms
	reaches(one)
	in_environment(one)
	risks(one)
}

reaches(one) if is_null(one.connectors)

reaches(one) if {
	is_array(one.connectors)
	count(question.connectors) > 0
	every connector in question.connectors {
		connector in one.connectors
	}
}

in_environment(one) if is_null(one.environments)

in_environment(one) if {
	is_array(one.environments)
	question.nhi.environment in one.environments
}

risks(one) if is_null(one.maxRisk)

risks(one) if {
	some most, name in workflow.levels
	name == one.maxRisk
	some least, level in workflow.levels
	level == workflow.risk
	least <= most
}

# METADATA
# title: Who stands in for this person, who is asked
# description: Active people who do not ask, and are not she under another id.
for_person(id) := {to |
	some one in in_force
	one.from in people.identities(id)
	some to in workflow.eligible({one.to})
	not to in people.identities(id)
}

# METADATA
# title: Those of a group, and whoever stands in for one of them
with_stand_ins(ids) := ids | {to | some id in ids; some to in for_person(id)}

# METADATA
# title: With whom a stand-in is counted as one
# description: |
#   With one of those for whom she stands in, always the same. Whoever is asked herself is counted for herself alone, so that her approval is never two.
counted_with[to] := min({first(id, pool) | some id in pool; count(for_person(id) & people.identities(to)) > 0}) if {
	pool := workflow.pool
	some to in (with_stand_ins(pool) - pool)
	count(people.identities(to) & pool) == 0
}

# METADATA
# title: The id by which one person of a pool is known there
first(id, pool) := min(pool & people.identities(id))

# METADATA
# title: Who is one person of the pool where people are counted
counted(id, pool) := (pool & people.identities(id)) | {to | some to, whom in counted_with; whom == first(id, pool)}

asked contains id if {
	some group in workflow.groups
	some id in group
}

asked contains id if {
	governing.asked
	some id in (workflow.security | workflow.platform)
}

pairs := array.slice(
	sort({[one.from, to, one.untilMs] |
		some id in asked
		some to in for_person(id)
		some one in in_force
		one.from in people.identities(id)
		one.to == to
	}),
	0, 16,
)

# METADATA
# title: Somebody stands in
# description: A delegation in the directory lets somebody approve in the place of one who is asked, for a time and for what it covers. They count as one person, and a floor counts only whom it names.
# custom:
#   code: delegated
#   message: "{to} may approve in the place of {from}, until {until}."
#   controls:
#     - {framework: NIST CSF 2.0, id: PR.AA-05}
#     - {framework: NIST SP 800-53 r5, id: AC-3(2)}
#     - {framework: NIST SP 800-53 r5, id: AC-5}
#     - {framework: SOC 2, id: CC6.3}
#     - {framework: ISO/IEC 27001:2022, id: A.5.3}
#     - {framework: ISO/IEC 27001:2022, id: A.5.18}
note contains lib.about(lib.said(rego.metadata.chain()), {"{from}": from, "{to}": to, "{until}": clock.rfc3339(until_ms)}) if {
	some [from, to, until_ms] in pairs
}
