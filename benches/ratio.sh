#!/usr/bin/env bash
# The whole drill against the floor, interleaved: medians, and the ratio pair by pair. Absolute times mean nothing on a
# shared machine.
#
#   benches/ratio.sh [PAIRS] [PASSMUSTER]      20 pairs, target/release/passmuster
set -euo pipefail
pairs=${1:-20}
program=${2:-target/release/passmuster}
here=$(cd "$(dirname "$0")" && pwd)
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
bin=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
version=$("$bin/postgres" --version | awk '{ print $3 }')
for i in $(seq "$pairs"); do
  floor=$(bash "$here/floor.sh" "$bin" 2>/dev/null)
  begun=$(date +%s.%N)
  PASSMUSTER_PG_BIN='' "$program" drill postgres-drop-table --seed "$i" --out "$out/runs" --set "systems.db.postgres.version=$version" --format json -q >"$out/view.json" 2>/dev/null || { echo "run $i did not pass" >&2; exit 1; }
  ended=$(date +%s.%N)
  python3 - "$out/view.json" "$begun" "$ended" "$floor" <<'PY'
import json, sys
view = json.load(open(sys.argv[1]))["runs"][0]["verdict"]
times = view["times"]
floor = dict(line.split() for line in sys.argv[4].splitlines())
total = float(sys.argv[3]) - float(sys.argv[2])
write = (times["write"] - times["fault"]) / 1e9
print(f'{total:.3f} {floor["total"]} {write:.3f} {floor["fault-to-write"]} {times["harness_ns"] / 1e6:.1f} {times["verified_rto_ns"] / 1e9:.3f}')
PY
done | tee "$out/rows" >&2
python3 - "$out/rows" <<'PY'
import statistics as s, sys
rows = [tuple(map(float, line.split())) for line in open(sys.argv[1])]
med = lambda xs: s.median(xs)
show = lambda name, a, b: print(f'{name}: drill {med(a):.2f} s, floor {med(b):.2f} s, ratio {med([x / y for x, y in zip(a, b)]):.2f} (pairs {min(x / y for x, y in zip(a, b)):.2f} to {max(x / y for x, y in zip(a, b)):.2f})')
total, floor, write, floor_write, share, rto = zip(*rows)
print(f'{len(rows)} interleaved pairs, medians')
show('whole run', total, floor)
show('fault to first verified write', write, floor_write)
print(f"harness's own share of the verified RTO: median {med(share):.0f} ms of {med(rto):.2f} s, most {max(share):.0f} ms")
PY
