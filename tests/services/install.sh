#!/usr/bin/env bash
# Brings a Debian 12 machine to the state the service tests need. Idempotent:
# with everything in place it only looks, needs no network and takes no time.
#
#   tests/services/install.sh            all steps
#   tests/services/install.sh azure      only the steps named: debian google bigquery azure
#
# A step that cannot be done says so in one line and the others go on. With CI
# set the script then ends with exit code 1; otherwise the tests skip.
set -u

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
cache=$root/.cache
log=$cache/services-install.log
failed=0

say() { printf 'services: %s\n' "$*"; }
cannot() { say "CANNOT $*"; failed=1; }
has() { command -v "$1" >/dev/null 2>&1; }
any() { compgen -G "$1" >/dev/null; }
quietly() { "$@" >>"$log" 2>&1; }

# --- Debian packages -------------------------------------------------------

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

may_install() {
  has apt-get || return 1
  [ "$(id -u)" = 0 ] || { has sudo && sudo -n true 2>/dev/null; }
}

# Keeps package scripts from starting servers, which would occupy ports.
without_services() {
  local policy=/usr/sbin/policy-rc.d cluster=/etc/postgresql-common/createcluster.conf own=
  if [ ! -e $policy ]; then
    own=yes
    printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null
    as_root chmod 755 $policy
  fi
  if [ ! -e $cluster ]; then
    as_root mkdir -p "${cluster%/*}"
    echo 'create_main_cluster = false' | as_root tee $cluster >/dev/null
  fi
  quietly "$@"
  local code=$?
  [ -z "$own" ] || as_root rm -f $policy
  return $code
}

updated=
apt_update() {
  [ -n "$updated" ] || quietly as_root apt-get update || return 1
  updated=yes
}

apt_install() {
  apt_update || return 1
  without_services as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y \
    --no-install-recommends -o Dpkg::Options::=--force-confold "$@"
}

debian() {
  local want=()
  has chromium || want+=(chromium)
  any '/usr/share/fonts/truetype/dejavu/*' || want+=(fonts-dejavu-core)
  any '/usr/share/fonts/truetype/liberation*/*' || want+=(fonts-liberation)
  has initdb || any '/usr/lib/postgresql/*/bin/initdb' || want+=(postgresql)
  [ -x /usr/sbin/mariadbd ] || has mariadbd || want+=(mariadb-server-core)
  has my_print_defaults || want+=(mariadb-client-core) # mariadb-install-db calls it
  has java || want+=(default-jre-headless)
  has node || want+=(nodejs)
  has npm || want+=(npm)
  [ ${#want[@]} -gt 0 ] || return 0
  may_install || { cannot "install ${want[*]}: needs apt-get, and root or sudo"; return; }
  say "apt-get install ${want[*]}"
  apt_install "${want[@]}" || cannot "install ${want[*]}: apt-get failed, see $log"
}

# --- Google Cloud CLI emulators -------------------------------------------

google_file() {
  local gcloud dir
  gcloud=$(readlink -f "$(command -v gcloud || true)" 2>/dev/null || true)
  for dir in "${CLOUDSDK_ROOT_DIR:-}" "${gcloud%/bin/gcloud}" /usr/lib/google-cloud-sdk \
    "$HOME/google-cloud-sdk" /opt/google-cloud-sdk; do
    [ -n "$dir" ] && [ -e "$dir/platform/$1" ] && return 0
  done
  return 1
}

google_package() {
  google_file "$2" && return
  local package=google-cloud-cli-$1-emulator
  may_install || { cannot "install $package: needs apt-get, and root or sudo"; return; }
  apt_update || { cannot "install $package: apt-get update failed, see $log"; return; }
  if ! apt-cache policy "$package" | grep -q 'Candidate: [0-9]'; then
    cannot "install $package: not in this machine's apt sources; add those of the Google Cloud CLI"
    return
  fi
  say "apt-get install $package"
  apt_install "$package" || cannot "install $package: apt-get failed, see $log"
}

google() {
  google_package firestore cloud-firestore-emulator/cloud-firestore-emulator.jar
  google_package pubsub pubsub-emulator/bin/cloud-pubsub-emulator
}

# --- Environments of their own --------------------------------------------

# The stamp holds the hash of the files that decide what is in the folder.
stamp() { cat "$@" | sha256sum | cut -d' ' -f1; }
fresh() { [ "$(cat "$1/.stamp" 2>/dev/null)" = "$2" ]; }

# Builds aside and moves into place: what is there stays until the new one works.
build() {
  local dir=$1 hash=$2 new=$1.partial
  shift 2
  say "building $dir"
  rm -rf "$new"
  if "$@" "$new" >>"$log" 2>&1 && echo "$hash" >"$new/.stamp"; then
    rm -rf "$dir"
    mv "$new" "$dir"
  else
    rm -rf "$new"
    cannot "build $dir: see $log"
  fi
}

find_python313() {
  local python
  for python in python3.13 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.13*/bin/python3.13; do
    "$python" -c 'import sys; print(sys.executable)' 2>/dev/null && return
  done
  return 1
}

find_uv() {
  local python
  for python in "$root/.venv/bin/python" python3; do
    "$python" -m uv --version >/dev/null 2>&1 && { echo "$python -m uv"; return; }
  done
  has uv && uv --version >/dev/null 2>&1 && echo uv
}

build_bigquery() {
  local python=$1 uv=$2 lock=$3 new=$4
  local sync=(pip sync --python "$new/bin/python" --require-hashes --compile-bytecode "$lock")
  export UV_PYTHON_DOWNLOADS=never
  $uv venv --no-project --relocatable --python "$python" "$new" || return 1
  $uv "${sync[@]}" --offline || $uv "${sync[@]}" || return 1
  HOME=$new/home "$new/bin/python" "$here/bigquery_extensions.py" "$new/home"
}

bigquery() {
  local dir=$cache/bigquery lock=$here/bigquery/requirements.lock python uv hash
  hash=$(stamp "$lock" "$here/bigquery_extensions.py")
  fresh "$dir" "$hash" && "$dir/bin/python" -c '' 2>/dev/null && return
  python=$(find_python313) || { cannot "build $dir: no Python 3.13 on PATH or under pyenv"; return; }
  uv=$(find_uv) || { cannot "build $dir: no uv in .venv or on PATH"; return; }
  build "$dir" "$hash" build_bigquery "$python" "$uv" "$lock"
}

build_azure() {
  mkdir -p "$1" && cp "$here"/azure/package*.json "$1" &&
    npm ci --prefix "$1" --ignore-scripts --no-audit --no-fund --prefer-offline
}

azure() {
  local dir=$cache/azurite hash
  hash=$(stamp "$here/azure/package-lock.json")
  fresh "$dir" "$hash" && return
  has npm || { cannot "build $dir: no npm"; return; }
  build "$dir" "$hash" build_azure
}

mkdir -p "$cache"
if has flock; then # two runs at once would share the folders
  exec 9>"$cache/services.lock"
  flock 9
fi
: >"$log"
for step in "${@:-debian google bigquery azure}"; do
  for name in $step; do
    case $name in
      debian | google | bigquery | azure) "$name" ;;
      *) say "no such step: $name" && exit 2 ;;
    esac
  done
done
[ "$failed" = 0 ] || [ -z "${CI:-}" ]
