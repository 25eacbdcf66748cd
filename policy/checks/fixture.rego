# METADATA
# title: Fixture
# description: |
#   A grant that an owner may approve, as the tests start from: each changes the one thing that it is about.
package checks.fixture

orders := {"connector": "pg-main", "target": "app", "privilege": "table:public.orders:SELECT"}

invoices := {"connector": "pg-main", "target": "app", "privilege": "table:public.invoices:SELECT"}

customers := {"connector": "pg-main", "target": "app", "privilege": "table:public.customers:DELETE"}

preview := {"connector": "pg-dev", "target": "app_dev", "privilege": "table:public.orders:SELECT"}

nhi := {
	"id": "nhi:prod/billing-export",
	"owner": "person:ana",
	"backupOwner": "person:ben",
	"environment": "prod",
	"purposes": ["nightly-billing", "standing-billing"],
	"riskTier": "medium",
	"custody": "vault",
	"humanUse": false,
	"consumers": [],
	"accounts": {"pg-main": "billing_export"},
}

preview_nhi := {
	"id": "nhi:dev/report-preview",
	"owner": "person:ana",
	"environment": "dev",
	"purposes": ["preview-reports"],
	"riskTier": "low",
	"custody": "workload",
	"humanUse": false,
	"consumers": [],
	"accounts": {"pg-dev": "report_preview"},
}

catalogue := {
	"v": 1,
	"entitlements": [
		ranked(orders, 20, "prod"),
		ranked(invoices, 25, "prod"),
		ranked(customers, 85, "prod"),
		ranked(preview, 5, "dev"),
	],
	"purposes": [
		{"id": "nightly-billing", "needs": [orders, invoices], "maxLeaseSeconds": 3600},
		{"id": "standing-billing", "needs": [orders], "maxLeaseSeconds": null},
		{"id": "preview-reports", "needs": [preview], "maxLeaseSeconds": 28800},
		{"id": "purge", "needs": [customers], "maxLeaseSeconds": 600},
	],
}

ranked(entitlement, rank, environment) := object.union(entitlement, {"rank": rank, "environment": environment})

directory := {
	"v": 1,
	"people": [
		{"id": "person:ana", "name": "Ana", "active": true, "linked": ["person:ana-adm"]},
		{"id": "person:ana-adm", "name": "Ana", "active": true, "linked": []},
		{"id": "person:ben", "name": "Ben", "active": true, "linked": []},
		{"id": "person:kim", "name": "Kim", "active": false, "linked": []},
		{"id": "person:mallory", "name": "Mallory", "active": true, "linked": []},
		{"id": "person:olga", "name": "Olga", "active": true, "linked": []},
		{"id": "person:sam", "name": "Sam", "active": true, "linked": []},
		{"id": "person:wei", "name": "Wei", "active": true, "linked": []},
	],
	"teams": [
		{"id": "onCall", "members": ["person:sam"]},
		{"id": "platform", "members": ["person:sam", "person:wei"]},
		{"id": "security", "members": ["person:olga"]},
	],
}

change := {
	"changeId": "chg_0123456789abcdef_01JDE7XQ0M4N5P6Q7R8S9T0V1W",
	"revision": 1,
	"kind": "grant",
	"mode": "executor",
	"requester": ["nhi:prod/billing-export"],
	"subject": "nhi:prod/billing-export",
	"purpose": "nightly-billing",
	"entitlements": [orders],
	"leaseSeconds": 900,
	"planDigest": "sha256:0000000000000000000000000000000000000000000000000000000000000000",
	"system": {"connector": "pg-main", "target": "app"},
	"emergency": false,
	"calendar": null,
	"window": null,
	"overlap": null,
	"step": null,
	"parent": null,
	"items": null,
	"extends": null,
}

facts := {
	"nhi": nhi,
	"catalogue": catalogue,
	"directory": directory,
	"connectors": ["pg-dev", "pg-main"],
	"ageMs": 1000,
	"calendar": null,
	"locks": [],
}

recent := {
	"subject": {"hour": 0, "day": 0},
	"requester": {"hour": 0, "day": 0},
	"newCredentials": {"day": 0},
}

grant := {
	"v": 1,
	"phase": "request",
	"nowMs": now_ms,
	"change": change,
	"held": [],
	"used": null,
	"recent": recent,
	"facts": facts,
}

# METADATA
# title: The grant, with parts of the change replaced
changing(part) := object.union(grant, {"change": part})

# METADATA
# title: The grant, with parts of the facts replaced
knowing(part) := object.union(grant, {"facts": part})

# METADATA
# title: A later end for that grant, ten minutes after it was given
extend := changing({
	"kind": "extend",
	"extends": {
		"changeId": "chg_0123456789abcdef_01JDE7XQ0M4N5P6Q7R8S9T0V00",
		"subject": change.subject,
		"purpose": change.purpose,
		"entitlements": change.entitlements,
		"running": true,
		"endsAtMs": minutes(5),
		"extendedToMs": minutes(15),
		"epoch": 1,
		"nextEpoch": null,
	},
})

# METADATA
# title: The extension, with parts of what it extends replaced
extending(part) := object.union(extend, {"change": {"extends": part}})

# METADATA
# title: The same for an identity of low risk in dev
preview_change := {
	"requester": ["nhi:dev/report-preview"],
	"subject": "nhi:dev/report-preview",
	"purpose": "preview-reports",
	"entitlements": [preview],
	"system": {"connector": "pg-dev", "target": "app_dev"},
}

preview_grant := object.union(grant, {"change": preview_change, "facts": {"nhi": preview_nhi}})

granted := {
	"v": 1,
	"nowMs": 1795132800000,
	"kind": "grant",
	"action": "grant",
	"seenBy": "executor",
	"account": "billing_export",
	"privileges": ["table:public.orders:SELECT"],
	"verification": "readBack",
	"byUse": "notTried",
	"before": {"exists": true, "held": ["table:public.invoices:SELECT"], "touched": {}},
	"after": {"exists": true, "held": ["table:public.invoices:SELECT", "table:public.orders:SELECT"], "touched": {}},
}

extended := object.union(granted, {
	"kind": "extend",
	"action": "extend",
	"before": {"held": ["table:public.invoices:SELECT", "table:public.orders:SELECT"]},
})

revoked := object.union(granted, {
	"kind": "revoke",
	"action": "revoke",
	"before": {"held": ["table:public.invoices:SELECT", "table:public.orders:SELECT"]},
	"after": {"held": ["table:public.invoices:SELECT"]},
})

# METADATA
# title: What was seen after each step of a rotation
staged := object.union(granted, {
	"kind": "rotate",
	"action": "stage",
	"account": "orders_b",
	"privileges": ["role:orders"],
	"verification": "byUse",
	"byUse": "works",
	"before": {"exists": false, "held": [], "touched": {"role": 16384, "current": 16385, "next": null}},
	"after": {"held": ["role:orders"], "touched": {"role": 16384, "current": 16385, "next": 16386}},
})

taken_over := object.union(staged, {
	"action": "cutover",
	"byUse": "notTried",
	"before": {"exists": true, "held": ["role:orders"]},
})

retired := object.union(taken_over, {
	"action": "retire",
	"account": "orders_a",
	"before": {"touched": {"currentCanLogin": true}},
	"after": {"held": [], "touched": {"currentCanLogin": false}},
})

replaced := object.union(granted, {
	"kind": "rotate",
	"action": "replace",
	"privileges": [],
	"verification": "byUse",
	"byUse": "works",
	"before": {"held": ["role:deploy"], "touched": {"account": 16384, "canLogin": true}},
	"after": {"held": ["role:deploy"], "touched": {"account": 16384, "canLogin": true}},
})

disabled := object.union(granted, {
	"kind": "disable",
	"action": "disable",
	"privileges": [],
	"before": {"held": ["role:deploy"], "touched": {"account": 16384, "canLogin": true}},
	"after": {"held": [], "touched": {"account": 16384, "canLogin": false}},
})

# METADATA
# title: A rotation with overlap, as the owner may approve it
rotate_change := {
	"kind": "rotate",
	"entitlements": [],
	"leaseSeconds": null,
	"overlap": "twin",
}

rotate := object.union(grant, {"change": rotate_change, "held": ["table:public.orders:SELECT"]})

# METADATA
# title: The rotation, with parts of the change replaced
rotating(part) := object.union(rotate, {"change": part})

# METADATA
# title: The rotation by the caller's own code
called := rotating({"mode": "caller", "overlap": null})

# METADATA
# title: Shutting out one account, as the owner asks for it
disable := object.union(grant, {"change": {
	"kind": "disable",
	"requester": ["person:ana"],
	"purpose": "offboarding",
	"entitlements": [],
	"leaseSeconds": null,
}})

# METADATA
# title: Taking back everything of a third party, as security asks for it
offboard := object.union(grant, {
	"change": {
		"kind": "offboard",
		"requester": ["person:olga"],
		"subject": "thirdParty:northwind-analytics",
		"purpose": "offboarding",
		"entitlements": [],
		"leaseSeconds": null,
		"system": null,
		"items": 2,
	},
	"held": null,
	"facts": {"nhi": null},
})

# METADATA
# title: The step that is about to be dispatched
step(action, number) := {"phase": "dispatch", "change": {"step": {"action": action, "number": number}}}

# METADATA
# title: A window that is open, one later today, and the same of another calendar
now_ms := 1795132800000

minutes(n) := now_ms + (n * 60000)

window(calendar, from, until) := {"calendar": calendar, "opensAtMs": minutes(from), "closesAtMs": minutes(until)}

open_window := window("night", -10, 50)

later_window := window("night", 120, 180)

weekend_window := window("weekend", 60, 90)

freeze(from, until) := {"id": "year-end", "fromMs": minutes(from), "untilMs": minutes(until)}

calendar := {"windows": [open_window, weekend_window, later_window], "freezes": []}

# METADATA
# title: The codes that a set of sayings has
codes(sayings) := {saying.reason.code | some saying in sayings}

limits := data.limits
