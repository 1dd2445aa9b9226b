#!/usr/bin/env bash
# The floor: the steps of `passmuster drill postgres-drop-table` by hand, with the real pg_* programs and a shell. The same
# initdb, the same seconds of load, the same number of restores and backups, the same settings and fsync; plain
# local copies: no store, no compression, no encryption, no ledger, no evidence.
#
#   benches/floor.sh [BINDIR]         prints `total SECONDS` and `fault-to-write SECONDS`
#
# Run as root it continues as the user postgres, since the server refuses root.
set -euo pipefail
if [ "$(id -u)" = 0 ]; then exec setpriv --reuid=postgres --regid=postgres --clear-groups env HOME=/tmp bash "$0" "$@"; fi
bin=${1:-$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)}
work=$(mktemp -d /var/tmp/floor.XXXXXX)
servers=()
trap 'for p in "${servers[@]}"; do kill -9 "$p" 2>/dev/null || :; done; rm -rf "$work"' EXIT
now() { date +%s.%N; }
begun=$(now)
port=$((20000 + RANDOM % 20000))
export PGUSER=postgres PGDATABASE=postgres PGHOST=127.0.0.1 PGCONNECT_TIMEOUT=5 TZ=UTC LC_ALL=C
archive=$work/archive
mkdir "$archive"

configuration() { # DIR PORT
  cat >"$1/postgresql.conf" <<CONF
listen_addresses = '127.0.0.1'
port = $2
unix_socket_directories = ''
max_connections = 60
shared_buffers = 64MB
max_wal_size = 1GB
min_wal_size = 5MB
wal_level = replica
max_wal_senders = 6
hot_standby = on
logging_collector = off
timezone = 'UTC'
autovacuum_naptime = '10min'
CONF
  printf 'host all all all trust\nhost replication all all trust\n' >"$1/pg_hba.conf"
}
archiving() { printf "archive_mode = on\narchive_command = 'cp \"%%p\" \"%s/%%f\"'\narchive_timeout = 5s\n" "$archive" >>"$1/postgresql.conf"; }
serve() { "$bin/postgres" -D "$1" >>"$work/log" 2>&1 & servers+=($!); }
answers() { until "$bin/psql" -p "$1" -qAtc 'SELECT pg_is_in_recovery()' 2>/dev/null | grep -q f; do :; done; }
read_all() { for t in presence journal ledger_a ledger_b base_data; do "$bin/psql" -p "$1" -qAtc "COPY $t TO STDOUT" | sha256sum >/dev/null; done; }

# the origin, its data and its load
"$bin/initdb" -D "$work/origin" -U postgres -A trust --encoding=UTF8 --locale=C --no-sync --wal-segsize=1 --data-checksums >/dev/null
configuration "$work/origin" $port
archiving "$work/origin"
serve "$work/origin"
answers $port
"$bin/psql" -p $port -q <<'SQL'
CREATE TABLE presence (c integer NOT NULL, n bigint NOT NULL, PRIMARY KEY (c, n));
CREATE TABLE journal (c integer NOT NULL, n bigint NOT NULL, chain text NOT NULL, PRIMARY KEY (c, n));
CREATE TABLE ledger_a (c integer NOT NULL, n bigint NOT NULL, payload text NOT NULL, object text, PRIMARY KEY (c, n));
CREATE TABLE ledger_b (LIKE ledger_a INCLUDING ALL);
CREATE TABLE base_data (id bigint NOT NULL, content text NOT NULL);
INSERT INTO base_data SELECT i, repeat(md5(i::text), 15) FROM generate_series(0, 32 * 1048576 / 540 - 1) i;
ALTER TABLE base_data ADD PRIMARY KEY (id);
CREATE SEQUENCE n;
SQL
cat >"$work/load.sql" <<'SQL'
\set payload random(1, 4)
SELECT nextval('n') AS n \gset
BEGIN;
INSERT INTO presence VALUES (:client_id, :n);
INSERT INTO ledger_a VALUES (:client_id, :n, repeat(md5(:n::text), 2 * :payload), NULL);
INSERT INTO journal VALUES (:client_id, :n, md5(:n::text));
SELECT pg_current_xact_id()::text;
COMMIT;
SQL
load() { "$bin/pgbench" -p "$1" -n -c 4 -j 1 -R 200 -T 600 -f "$work/load.sql" postgres >/dev/null 2>&1 & servers+=($!); }
load $port
sleep 1

"$bin/pg_basebackup" -p $port -D "$work/base" -F plain -X fetch -c fast --manifest-checksums=SHA256 --no-sync
node=$("$bin/psql" -p $port -qAtc "SELECT pg_relation_filenode('ledger_b')")
first=$(awk '/START WAL LOCATION/ { gsub(/\)/, ""); print $NF }' "$work/base/backup_label")
sleep 2

# the disaster, noticed twice
"$bin/psql" -p $port -qc 'DROP TABLE ledger_b'
fault=$(now)
for _ in 1 2; do
  "$bin/psql" -p $port -qAtc 'SELECT 1 FROM ledger_b LIMIT 1' 2>/dev/null && exit 1
  sleep 0.05
done
# the old instance stops in order and ships its last segment
kill -INT "${servers[0]}"
wait "${servers[0]}" || :
last=$(ls "$archive" | grep -E '^[0-9A-F]{24}$' | tail -n 1)
xid=$("$bin/pg_waldump" -p "$archive" "$first" "$last" 2>/dev/null | grep -E "^rmgr: Transaction.*COMMIT.*rels: .*/$node[ ;]" | sed -E 's/.*tx: +([0-9]+),.*/\1/' | tail -n 1) || :
[ -n "$xid" ]

restore() { # DIR PORT
  cp -a "$work/base" "$1"
  configuration "$1" "$2"
  printf "restore_command = 'cp \"%s/%%f\" \"%%p\"'\nrecovery_target_action = promote\n" "$archive" >>"$1/postgresql.conf"
  : >"$1/recovery.signal"
}
restore "$work/recovered" $((port + 1))
archiving "$work/recovered"
printf "recovery_target_xid = '%s'\nrecovery_target_inclusive = off\n" "$xid" >>"$work/recovered/postgresql.conf"
serve "$work/recovered"
answers $((port + 1))
"$bin/psql" -p $((port + 1)) -qAtc 'SELECT count(*) FROM presence' >/dev/null
"$bin/psql" -p $((port + 1)) -qc "BEGIN; INSERT INTO presence VALUES (99, 1); INSERT INTO journal VALUES (99, 1, 'x'); COMMIT"
"$bin/psql" -p $((port + 1)) -qAtc 'SELECT 1 FROM presence WHERE c = 99 AND n = 1' | grep -q 1
write=$(now)
load $((port + 1))
held=$(now)
read_all $((port + 1))
awk -v a="$held" -v b="$(now)" 'BEGIN { exit !(b - a < 1) }' && sleep "$(awk -v a="$held" -v b="$(now)" 'BEGIN { print 1 - (b - a) }')"
# its own backup, its structure
"$bin/pg_basebackup" -p $((port + 1)) -D "$work/again" -F plain -X fetch -c fast --manifest-checksums=SHA256 --no-sync
"$bin/psql" -p $((port + 1)) -qAt >/dev/null <<'SQL'
CREATE EXTENSION amcheck;
SELECT count(bt_index_check(c.oid, true)) FROM pg_class c JOIN pg_am a ON a.oid = c.relam JOIN pg_namespace n ON n.oid = c.relnamespace WHERE a.amname = 'btree' AND c.relkind = 'i' AND n.nspname NOT LIKE 'pg_toast%';
SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, LATERAL verify_heapam(c.oid) v WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema');
SQL
# the control restore
restore "$work/control" $((port + 2))
printf "recovery_target_timeline = '1'\n" >>"$work/control/postgresql.conf"
serve "$work/control"
answers $((port + 2))
for t in presence journal ledger_a base_data; do "$bin/psql" -p $((port + 2)) -qAtc "COPY $t TO STDOUT" | sha256sum >/dev/null; done

for p in "${servers[@]}"; do kill -9 "$p" 2>/dev/null || :; done
wait 2>/dev/null || :
rm -rf "$work"
trap - EXIT
awk -v b="$begun" -v e="$(now)" -v f="$fault" -v w="$write" 'BEGIN { printf "total %.3f\nfault-to-write %.3f\n", e - b, w - f }'
