#!/bin/sh
# A deployment: here, a row that says so. The login is the pipeline's own, and holds nothing but while the change is active.
set -eu
psql -X -q -v ON_ERROR_STOP=1 -v version="${VERSION:?which version}" -U "$COUNTERSIGN_ACCOUNT" <<'SQL'
INSERT INTO deployments (version) VALUES (:'version');
SQL
