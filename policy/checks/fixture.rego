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
	"requester": ["nhi:prod/billing-export"],
	"subject": "nhi:prod/billing-export",
	"purpose": "nightly-billing",
	"entitlements": [orders],
	"leaseSeconds": 900,
	"planDigest": "sha256:0000000000000000000000000000000000000000000000000000000000000000",
}

facts := {
	"nhi": nhi,
	"catalogue": catalogue,
	"directory": directory,
	"connectors": ["pg-dev", "pg-main"],
	"ageMs": 1000,
}

grant := {
	"v": 1,
	"phase": "request",
	"nowMs": 1795132800000,
	"change": change,
	"held": [],
	"used": null,
	"facts": facts,
}

# METADATA
# title: The grant, with parts of the change replaced
changing(part) := object.union(grant, {"change": part})

# METADATA
# title: The grant, with parts of the facts replaced
knowing(part) := object.union(grant, {"facts": part})

# METADATA
# title: The same for an identity of low risk in dev
preview_change := {
	"requester": ["nhi:dev/report-preview"],
	"subject": "nhi:dev/report-preview",
	"purpose": "preview-reports",
	"entitlements": [preview],
}

preview_grant := object.union(grant, {"change": preview_change, "facts": {"nhi": preview_nhi}})

granted := {
	"v": 1,
	"nowMs": 1795132800000,
	"kind": "grant",
	"account": "billing_export",
	"privileges": ["table:public.orders:SELECT"],
	"verification": "readBack",
	"byUse": "notTried",
	"before": {"exists": true, "held": ["table:public.invoices:SELECT"]},
	"after": {"exists": true, "held": ["table:public.invoices:SELECT", "table:public.orders:SELECT"]},
}

revoked := object.union(granted, {
	"kind": "revoke",
	"before": {"held": ["table:public.invoices:SELECT", "table:public.orders:SELECT"]},
	"after": {"held": ["table:public.invoices:SELECT"]},
})

revoker := {
	"v": 1,
	"principal": "person:ana",
	"nhi": nhi,
	"directory": directory,
}

# METADATA
# title: The codes that a set of sayings has
codes(sayings) := {saying.reason.code | some saying in sayings}

limits := data.limits
