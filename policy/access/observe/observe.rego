# METADATA
# title: Observe
# description: |
#   Scopes in which policy decides and nothing of it is enforced, until a date: a lease that would be denied or would need approvals is given, and
#   the decision says what policy says of it. What no exception may touch is touched by no scope either; an emergency, and what governs approvals, are in none.
package access.observe

import data.access.exceptions
import data.access.holdings
import data.access.lease
import data.access.question
import data.lib
import data.lib.clock
import data.workflow
import data.workflow.governing

environments := ({input.facts.nhi.environment} | {entry.environment | some entry in workflow.asked_entries}) | {entry.environment | some entry in holdings.entries}

within(listed, _) if is_null(listed)

within(listed, found) if {
	is_array(listed)
	count(found) > 0
	every one in found {
		one in listed
	}
}

begins(prefixes) if is_null(prefixes)

begins(prefixes) if {
	is_array(prefixes)
	some prefix in prefixes
	startswith(input.change.subject, prefix)
}

limited(scope) if {
	some part in ["environments", "connectors", "prefixes"]
	is_array(scope[part])
}

# METADATA
# title: What a scope is about
# description: All that it names fits. In the environments, that is the identity and everything that it asks for.
covers(scope) if {
	limited(scope)
	within(scope.environments, environments)
	within(scope.connectors, question.connectors)
	begins(scope.prefixes)
}

# METADATA
# title: A scope holds
# description: |
#   For this, now, for no longer than a scope may be for, and with an owner who is active and does not ask for the change. A lease that is given is
#   over with it; what has no lease (access that stands, a rotation) is enforced as ever.
holds(scope) if {
	exceptions.considered
	lease.leased
	not governing.asked
	is_string(scope.id)
	is_number(scope.fromMs)
	is_number(scope.untilMs)
	scope.fromMs <= input.nowMs
	input.nowMs < scope.untilMs
	is_number(data.limits.observeMsMax)
	scope.untilMs - scope.fromMs <= data.limits.observeMsMax
	covers(scope)
	exceptions.over_with(scope)
	count(exceptions.answering(scope)) > 0
}

holding := sort([[candidate.id, candidate] |
	some candidate in input.facts.observe
	holds(candidate)
])

# METADATA
# title: The scope that holds
# description: Of several the first by id.
scope := holding[0][1]

touchable if {
	every saying in exceptions.objections {
		exceptions.exceptable(saying)
	}
	count(workflow.deny) == 0
}

# METADATA
# title: Whether it would go ahead whatever policy says
# description: False, and never undefined, so that nothing else hangs on it.
default applies := false

applies if {
	scope
	touchable
}

# METADATA
# title: What of a running lease is not enforced
# description: Of one that was given under observe, while a scope holds.
kept(saying) if {
	input.change.observed == true
	scope
	exceptions.exceptable(saying)
}

# METADATA
# title: Until when
until := clock.rfc3339(scope.untilMs)

# METADATA
# title: Under observe
# description: The identity and what is asked for are in a scope under observe. What policy says of it is on record, and is not enforced.
# custom:
#   code: observed
#   message: "This is under observe: what policy says of it is on record, and is not enforced."
#   controls:
#     - {framework: NIST CSF 2.0, id: ID.RA-07}
#     - {framework: NIST SP 800-53 r5, id: CM-3}
#     - {framework: SOC 2, id: CC8.1}
note contains lib.said(rego.metadata.chain()) if scope
