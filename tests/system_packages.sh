#!/bin/sh
# Installs the Debian packages that the tests profit from, where that is possible.
# Without them the build is the same, but for what they would add: this script says what.
set -u

missing=""
for package in libgtest-dev liburing-dev libsnappy-dev bindfs fio xfsprogs; do
  dpkg -s "$package" >/dev/null 2>&1 || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

sudo=""
[ "$(id -u)" = 0 ] || sudo="sudo -n"
if command -v apt-get >/dev/null 2>&1 && $sudo true 2>/dev/null; then
  # shellcheck disable=SC2086  # words on purpose
  if { $sudo apt-get update -q && $sudo apt-get install -q -y --no-install-recommends $missing; } \
      >/dev/null 2>&1; then
    exit 0
  fi
fi
echo "note: could not install$missing; going on without (libgtest-dev: the C++ tests are" \
  "skipped; libsnappy-dev: one of them is; bindfs: the tests of network file systems are;" \
  "fio: those of the floor are; xfsprogs: power cuts of XFS are)" >&2
