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
distil-gpu/run.sh --results here agree > out 2>&1 || code=$?
cat out
case $code in
  77) [[ $(wc -l < out) == 1 ]] && grep -q '^no device: ...' out || fail "no device, but: $(cat out)" ;;
  0) grep -q '^device: cuda ' out && grep -q '^ok agree ' out || fail "success, but: $(cat out)" ;;
  *) fail "exit code $code" ;;
esac
echo "passed"
