#!/usr/bin/env bash
# The bundle for a machine with a GPU: complete, and clear where there is none.
#
#   bundle_test.sh BUNDLE.tar.xz
set -euo pipefail

bundle=$(realpath "$1")
cd "$(mktemp -d "${TEST_TMPDIR:-/tmp}/bundleXXXXXX")"
fail() {
  echo "FAILED: $*"
  exit 1
}

tar xJf "$bundle"
for program in distil-gpu/bin/*; do
  missing=$(LD_LIBRARY_PATH=distil-gpu/lib ldd "$program" | grep 'not found' || true)
  [[ -z $missing ]] || fail "$program lacks $missing"
done
for program in distil-gpu/bin/*_test; do # some read their golden numbers when they start
  (cd distil-gpu && LD_LIBRARY_PATH=lib "../$program" --gtest_list_tests) > names || fail "$program does not start"
done

code=0
distil-gpu/run.sh --results here nonsense > out 2>&1 || code=$?
[[ $code == 2 ]] && grep -q "no check 'nonsense'" out || fail "a wrong check gave $code: $(cat out)"
code=0
distil-gpu/run.sh --device cpu > out 2>&1 || code=$?
[[ $code == 2 ]] && grep -q "not a GPU" out || fail "a wrong device gave $code: $(cat out)"

code=0
distil-gpu/run.sh --results here full > out 2>&1 || code=$?
[[ $code == 2 ]] && grep -q "full needs --data" out || fail "no data gave $code: $(cat out)"
code=0
distil-gpu/run.sh --results here agree > out 2>&1 || code=$?
cat out
case $code in
  77) [[ $(wc -l < out) == 1 ]] && grep -q '^no device: ...' out || fail "no device, but: $(cat out)" ;;
  0) grep -q '^device: cuda ' out && grep -q '^ok agree ' out || fail "success, but: $(cat out)" ;;
  *) fail "exit code $code" ;;
esac

# What it says of programs that pass, fail, skip or give other bits: stand-ins for all of them.
standin() { # standin PROGRAM: its text on standard input
  { echo '#!/bin/bash' && cat; } > "distil-gpu/bin/$1"
  chmod +x "distil-gpu/bin/$1"
}
for program in distil-gpu/bin/*_test; do standin "$(basename "$program")" <<< 'echo "[  PASSED  ] 3 tests."'; done
standin methods_test <<< 'echo "[  FAILED  ] 1 test, listed below:"; exit 1'
standin threads_test <<< 'echo "[  SKIPPED ] 1 test"; echo "[  PASSED  ] 3 tests."'
standin planner_test <<< 'echo "[  PASSED  ] 0 tests."'
standin step <<< 'exit 0'
standin harness << 'END'
case $1 in
  list) echo 'cuda:0         cuda 13.0, Stand-in' ;;
  train)
    mkdir -p "${@: -1}"
    for f in student.safetensors metrics.jsonl; do cat bits > "${@: -1}/$f"; done
    [[ ! -e drift ]] || date +%N >> bits
    ;;
esac
END
echo 1 > distil-gpu/bits
mkdir toolkit toolkit/bin
printf '#!/bin/bash\n[[ "$*" != *racecheck* || ! -e race ]]\n' > toolkit/bin/compute-sanitizer && chmod +x toolkit/bin/compute-sanitizer
export CUDA_HOME=$PWD/toolkit
code=0
distil-gpu/run.sh --results here --python /bin/false tests repeat torch bench > out 2>&1 || code=$?
cat out
[[ $code == 1 ]] || fail "failures gave $code"
for line in 'device: cuda 13.0, Stand-in' 'ok ops ' 'FAILED methods ' 'FAILED threads ' 'FAILED planner ' 'ok repeat ' \
  'skipped torch: /bin/false has no torch' 'ok bench '; do
  grep -q "^$line" out || fail "no line '$line'"
done
code=0
distil-gpu/run.sh --results here --data distil-gpu/bits repeat bench sanitize full > out 2>&1 || code=$?
[[ $code == 0 && $(grep -c '^ok ' out) == 4 ]] || fail "success gave $code: $(cat out)"
touch distil-gpu/race
code=0
distil-gpu/run.sh --results here sanitize > out 2>&1 || code=$?
[[ $code == 1 ]] && grep -q '^FAILED sanitize ' out || fail "a race gave $code: $(cat out)"
touch distil-gpu/drift
code=0
distil-gpu/run.sh --results here repeat > out 2>&1 || code=$?
[[ $code == 1 ]] && grep -q '^FAILED repeat ' out || fail "other bits gave $code: $(cat out)"
echo "passed"
