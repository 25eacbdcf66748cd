# METADATA
# title: Schedule
# description: Which maintenance window a change must use. What takes access away needs none, and an emergency waits for none.
package workflow.schedule

import data.access.question
import data.lib
import data.workflow
import data.workflow.emergency

waits if {
	question.gives_access
	not emergency.declared
}

modest_risk if workflow.risk in {"low", "medium"}

modest_tier if input.facts.nhi.riskTier in {"low", "medium"}

calendar_silent if is_null(input.facts.calendar)

calendar_silent if input.facts.calendar.windows == []

overlapping if input.change.overlap == "twin"

# How a caller's own code rotates is not known; that it has no overlap would be a guess.
overlapping if {
	question.called
	is_null(input.change.overlap)
}

required if {
	waits
	not modest_risk
	not calendar_silent
}

required if {
	waits
	question.rotating
	not modest_tier
}

required if {
	waits
	question.rotating
	not overlapping
}

asked if {
	waits
	is_string(input.change.calendar)
}

wanted if required

wanted if asked

named(_) if is_null(input.change.calendar)

named(window) if input.change.calendar == window.calendar

# Of a window that is about to close nothing is left to work in.
roomy(window) if max({window.opensAtMs, input.nowMs}) + (data.limits.windowMinSeconds * 1000) <= window.closesAtMs

frozen(window) if {
	some freeze in input.facts.calendar.freezes
	freeze.fromMs < window.closesAtMs
	freeze.untilMs > window.opensAtMs
}

usable(window) if {
	named(window)
	roomy(window)
	not frozen(window)
}

candidates := sort([[window.opensAtMs, window.closesAtMs, window.calendar] |
	question.calendar_sound
	is_number(input.nowMs)
	some window in input.facts.calendar.windows
	usable(window)
])

# METADATA
# title: The window to use
# description: The first that leaves enough time and no freeze overlaps. Null where none is wanted, and where there is none.
default chosen := null

chosen := {"calendar": candidates[0][2], "opensAtMs": candidates[0][0], "closesAtMs": candidates[0][1]} if wanted

# METADATA
# title: A window is required
# description: |
#   For what gives access with high or critical risk where windows are kept; for every rotation of an identity of high or critical
#   tier; and for every rotation without overlap.
# custom:
#   code: window-required
#   message: "This {kind} must be made in a maintenance window."
#   controls:
#     - {framework: NIST CSF 2.0, id: ID.RA-07}
#     - {framework: NIST SP 800-53 r5, id: CM-3}
#     - {framework: NIST SP 800-53 r5, id: MA-2}
#     - {framework: SOC 2, id: CC8.1}
#     - {framework: ISO/IEC 27001:2022, id: A.8.32}
note contains lib.said(rego.metadata.chain()) if required

# METADATA
# title: A window is asked for
# description: The request names a calendar, so that the change is made in one of its windows.
# custom:
#   code: window-asked
#   message: "The request names a calendar; this {kind} is made in one of its windows."
#   controls:
#     - {framework: NIST CSF 2.0, id: ID.RA-07}
#     - {framework: NIST SP 800-53 r5, id: CM-3}
#     - {framework: NIST SP 800-53 r5, id: MA-2}
#     - {framework: SOC 2, id: CC8.1}
#     - {framework: ISO/IEC 27001:2022, id: A.8.32}
note contains lib.said(rego.metadata.chain()) if asked

# METADATA
# title: No window is needed
# description: The change takes access away, or neither its risk nor how it is made asks for a window.
# custom:
#   code: no-window-needed
#   message: "This {kind} needs no maintenance window."
#   controls:
#     - {framework: NIST CSF 2.0, id: ID.RA-07}
#     - {framework: NIST SP 800-53 r5, id: CM-3}
#     - {framework: SOC 2, id: CC8.1}
#     - {framework: ISO/IEC 27001:2022, id: A.8.32}
note contains lib.said(rego.metadata.chain()) if {
	not wanted
	not emergency.declared
}
