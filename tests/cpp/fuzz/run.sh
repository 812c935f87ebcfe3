#!/bin/sh
# Builds the fuzzers and runs each for so many seconds, from the corpus; what is new stays in
# build/fuzz. Prints executions and speed; ends with 1 where one has found something.
#
#   run.sh SECONDS [NAME...]
set -eu

seconds=$1
shift
cd "$(dirname "$0")/../../.."
if ! command -v clang++ >/dev/null 2>&1; then
  echo "make fuzz needs clang with libFuzzer (Debian: apt-get install clang llvm)" >&2
  exit 2
fi
mkdir -p build
if ! cmake --preset fuzz -G Ninja >build/configure-fuzz.log 2>&1; then
  cat build/configure-fuzz.log
  exit 1
fi
cmake --build --preset fuzz >build/build-fuzz.log || { cat build/build-fuzz.log; exit 1; }
status=0
for name in ${*:-index entries tensors slices v1}; do
  found=build/fuzz/found/$name
  mkdir -p "$found"
  log=build/fuzz/$name.log
  # Small inputs, so that what is tried is many of them; a hang is 10 s.
  # Without entropic scheduling and stacks of allocations two to three times as many inputs
  # are tried; a finding is run again with them.
  if ASAN_OPTIONS=malloc_context_size=0:quarantine_size_mb=4 build/fuzz/tests/cpp/fuzz/"$name"_fuzz -max_total_time="$seconds" -max_len=1024 -entropic=0 \
      -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 -artifact_prefix="$found/FOUND-" \
      "$found" tests/cpp/fuzz/corpus/"$name" 2>"$log"; then
    result="nothing found"
  else
    result="FOUND something: see $log"
    status=1
  fi
  executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  speed=$(sed -n 's/^stat::average_exec_per_sec: *//p' "$log")
  echo "$name: ${executions:-?} executions, ${speed:-?} per second: $result"
done
exit $status
