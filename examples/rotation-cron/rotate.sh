#!/bin/sh
# Sets a new password for one login of the database, and keeps it where the service reads it.
#   rotate.sh LOGIN FILE      PGHOST, PGUSER, PGPASSFILE and so on say how psql logs in.
set -eu
umask 077
# Kept before it is set: a password that only the database knows would be nobody's.
head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n' > "$2.new"
# It goes in on standard input, never as an argument that every process of the machine can see.
{ printf '\\set secret '; cat "$2.new"; printf '\nALTER ROLE :"login" PASSWORD :'\''secret'\'';\n'; } | psql -X -q -v ON_ERROR_STOP=1 -v login="$1"
mv "$2.new" "$2"
