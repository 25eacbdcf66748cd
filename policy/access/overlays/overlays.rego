# METADATA
# title: Overlays
# description: |
#   What teams' own packages (`overlays.<team>`) object to. They tighten, and never loosen: of an overlay nothing but its `deny` is heard,
#   and where access is only taken away not even that: an overlay that goes wrong there is not looked at.
package access.overlays

import data.access.question

denied contains saying if {
	question.gives_access
	some saying in data.overlays[_].deny
}

# METADATA
# title: An objection of another form
# description: A `deny` that is no set says nothing that could be told. It is no permission for that; alone, it is no answer at all.
denied contains {"overlay": name} if {
	question.gives_access
	objection := data.overlays[name].deny
	not is_set(objection)
}
