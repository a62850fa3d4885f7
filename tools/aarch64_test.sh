#!/usr/bin/env bash
# The small build for 64-bit ARM and its unit tests under QEMU, which is slow. Ends with `N passed, N failed, N skipped`
# and the time.
#
#   tools/aarch64_test.sh [--install] [BAZEL-TEST-ARGUMENT...]
#
# It needs Debian's packages g++-aarch64-linux-gnu, qemu-user-static and googletest. Without --install it only says which
# are missing; with it ./bazelw installs them, as root or through sudo. No foreign architecture is added, and nothing
# outside Bazel's own folders is written.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=()
[[ -x /usr/bin/aarch64-linux-gnu-g++ ]] || packages+=(g++-aarch64-linux-gnu)
[[ -x /usr/bin/qemu-aarch64-static ]] || packages+=(qemu-user-static)
[[ -e /usr/src/googletest/googletest/src/gtest-all.cc ]] || packages+=(googletest)
install=false
if [[ ${1:-} == --install ]]; then
  install=true
  shift
fi
if ((${#packages[@]})); then
  if ! "$install"; then
    echo "aarch64_test.sh: missing ${packages[*]}; run it with --install, or: apt-get install ${packages[*]}" >&2
    exit 1
  fi
  ./bazelw --install-only "${packages[@]}"
fi

events=$(mktemp)
trap 'rm -f "$events"' EXIT
status=0
# What a device has: the library without oneDNN, and not the data sets of the harness (HDF5).
./bazelw test --config=small --config=aarch64 --keep_going --build_tests_only --test_tag_filters=unit \
  --test_timeout=1800 --build_event_json_file="$events" "$@" \
  -- //tests/... -//tests/data/... -//tests/onednn/... || status=$?
read -r passed failed skipped < <(python3 .ci/count.py "$events" "$status")
echo "aarch64: $passed passed, $failed failed, $skipped skipped in $SECONDS s"
((failed == 0 && passed > 0))
