#!/bin/sh
# Stands in for the entry point of docker.io/library/postgres, as far as the chart relies on it: makes the data at the
# first start, for POSTGRES_USER, POSTGRES_PASSWORD and POSTGRES_DB, then serves it.
set -eu
bin=$(echo /usr/lib/postgresql/*/bin)
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  printf '%s' "$POSTGRES_PASSWORD" >/tmp/password
  "$bin/initdb" -D "$PGDATA" -E UTF8 -U "$POSTGRES_USER" --pwfile /tmp/password --auth-local trust --auth-host scram-sha-256
  rm /tmp/password
  echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
  "$bin/pg_ctl" -D "$PGDATA" -w -o "-c listen_addresses=''" start
  "$bin/createdb" -h /var/run/postgresql -U "$POSTGRES_USER" "$POSTGRES_DB"
  "$bin/pg_ctl" -D "$PGDATA" -w -m fast stop
fi
exec "$bin/postgres" -D "$PGDATA" -c listen_addresses='*'
