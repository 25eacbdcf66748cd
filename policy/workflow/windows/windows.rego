# METADATA
# title: Windows and freezes
# description: What gives access is done in its window, and in no freeze. What takes access away is held up by neither.
package workflow.windows

import data.access.question
import data.lib
import data.workflow.schedule

windowed if {
	question.occurrence(input.change.window)
	schedule.named(input.change.window)
}

# METADATA
# title: There is no window for it
# description: A change that must be made in a maintenance window, or asks to be, has one in its plan.
# custom:
#   code: no-window
#   message: "This {kind} must be made in a maintenance window, and the calendar has none for it."
#   solution: Add a window to the calendar, or declare an emergency, which more people approve.
#   controls:
#     - {framework: NIST CSF 2.0, id: ID.RA-07}
#     - {framework: NIST SP 800-53 r5, id: CM-3}
#     - {framework: NIST SP 800-53 r5, id: MA-2}
#     - {framework: SOC 2, id: CC8.1}
#     - {framework: ISO/IEC 27001:2022, id: A.8.32}
deny contains lib.said(rego.metadata.chain()) if {
	schedule.wanted
	not windowed
}

dispatched if {
	input.phase == "dispatch"
	question.gives_access
}

unbound if is_null(input.change.window)

inside if {
	question.occurrence(input.change.window)
	is_number(input.nowMs)
	input.change.window.opensAtMs <= input.nowMs
	input.nowMs < input.change.window.closesAtMs
}

# METADATA
# title: Outside the window
# description: What gives access is done inside the plan's window or not at all. Shutting out an old login is held up by no window.
# custom:
#   code: outside-window
#   message: "The plan's maintenance window is not open."
#   solution: Ask again; the change gets the next window.
#   controls:
#     - {framework: NIST CSF 2.0, id: ID.RA-07}
#     - {framework: NIST SP 800-53 r5, id: CM-3}
#     - {framework: NIST SP 800-53 r5, id: MA-2}
#     - {framework: SOC 2, id: CC8.1}
#     - {framework: ISO/IEC 27001:2022, id: A.8.32}
deny contains lib.said(rego.metadata.chain()) if {
	dispatched
	not unbound
	not inside
}

freezes := [freeze |
	some freeze in input.facts.calendar.freezes
	freeze.fromMs <= input.nowMs
	input.nowMs < freeze.untilMs
]

# METADATA
# title: When the freeze ends
# description: Of all that cover this moment the latest. Undefined where nothing holds the step up.
frozen_until_ms := max([freeze.untilMs | some freeze in freezes]) if {
	dispatched
	schedule.waits
	count(freezes) > 0
}

# METADATA
# title: A freeze
# description: A freeze covers this moment; the step waits until it ends, and policy is asked again. Emergencies do not wait.
# custom:
#   code: frozen
#   message: "A change freeze is on; this {kind} waits until it ends."
#   controls:
#     - {framework: NIST CSF 2.0, id: ID.RA-07}
#     - {framework: NIST SP 800-53 r5, id: CM-3}
#     - {framework: SOC 2, id: CC8.1}
#     - {framework: ISO/IEC 27001:2022, id: A.8.32}
note contains lib.said(rego.metadata.chain()) if frozen_until_ms
