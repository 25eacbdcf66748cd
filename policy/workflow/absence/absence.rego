# METADATA
# title: Absence
# description: |
#   Who of those who are asked is away, with nobody to stand in. That lets nobody approve instead: it has others told at once.
package workflow.absence

import data.access.question
import data.lib
import data.lib.clock
import data.lib.people
import data.workflow
import data.workflow.delegation

# METADATA
# title: Until when each is away who is asked and for whom nobody stands in
missing[id] := max(ends) if {
	some id in delegation.asked
	ends := {one.untilMs |
		some one in people.directory.away
		one.person in people.identities(id)
		one.sinceMs <= input.nowMs
		input.nowMs < one.untilMs
	}
	count(ends) > 0
	count(delegation.for_person(id)) == 0
}

# METADATA
# title: Others are told at once
# description: The owner is away, or all of a group of which somebody must approve.
default told_at_once := false

told_at_once if missing[question.nhi.owner]

told_at_once if {
	some group in workflow.groups
	count(group) > 0
	every id in group {
		missing[id]
	}
}

# METADATA
# title: Who is asked is away
# description: Nobody stands in, so that others are told at once; nobody approves in her place, and she still may.
# custom:
#   code: approver-away
#   message: "{person} is away until {until}, and nobody stands in."
#   controls:
#     - {framework: NIST CSF 2.0, id: PR.AA-05}
#     - {framework: NIST SP 800-53 r5, id: CM-3(1)}
note contains lib.about(lib.said(rego.metadata.chain()), {"{person}": id, "{until}": clock.rfc3339(until_ms)}) if {
	told_at_once
	some [id, until_ms] in array.slice(sort([[id, until_ms] | some id, until_ms in missing]), 0, 16)
}
