#!/bin/sh
# Keeps a token of GitHub's about this job, for this sidecar and nobody else, in the file $1.
set -eu
umask 077
curl -sSf -H "Authorization: Bearer $ACTIONS_ID_TOKEN_REQUEST_TOKEN" "$ACTIONS_ID_TOKEN_REQUEST_URL&audience=countersign.acme.example" | jq -er .value > "$1.new"
mv "$1.new" "$1"
