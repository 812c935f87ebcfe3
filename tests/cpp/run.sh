#!/bin/sh
# Builds the core and its tests by a preset of CMakePresets.json and runs them.
set -eu

preset=$1
cd "$(dirname "$0")/../.."
mkdir -p build
log=build/configure-$preset.log
if ! cmake --preset "$preset" -G Ninja >"$log" 2>&1; then
  if grep -q "GTest" "$log"; then
    echo "SKIPPED: the C++ tests ($preset): GoogleTest is not installed (libgtest-dev)"
    exit 0
  fi
  cat "$log"
  exit 1
fi
cmake --build --preset "$preset"
for program in build/"$preset"/tests/cpp/*/*_test; do
  echo "$(basename "$program") ($preset)"
  "$program" --gtest_brief=1
done
