#!/usr/bin/env bash
# How large a trainer is: the library as usual, for size (--config=minsize) and without oneDNN (--config=small), each
# linked with examples/train_kd.c (a network built layer by layer teaches resnet8), less what the program does not reach,
# and stripped. Prints a table; shared libraries are named, not counted.
#
#   tools/sizes.sh [default] [minsize] [small]
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(($#)) || set -- default minsize small

kib() { echo $((($1 + 512) / 1024)); }

echo '| build | libdistil.a, KiB | stripped program, KiB | of it code and constants | shared libraries |'
echo '|---|---|---|---|---|'
for build; do
  options=(--color=no --noshow_progress)
  [[ $build == default ]] || options+=(--config="$build")
  ./bazelw build "${options[@]}" //:dist 2> "$work/log" || {
    cat "$work/log" >&2
    exit 1
  }
  mkdir "$work/$build"
  bin=$(./bazelw info "${options[@]}" bazel-bin 2> /dev/null)
  tar xzf "$bin"/distil-*.tar.gz -C "$work/$build" --strip-components=1
  export PKG_CONFIG_PATH=$work/$build/lib/pkgconfig
  # shellcheck disable=SC2046 # flags are words
  cc -std=c99 -Os -ffunction-sections -o "$work/program" examples/train_kd.c -Wl,--gc-sections -s \
    $(pkg-config --static --cflags --libs distil)
  read -r text _ < <(size "$work/program" | tail -n 1)
  echo "| $build | $(kib "$(stat -c %s "$work/$build/lib/libdistil.a")") | $(kib "$(stat -c %s "$work/program")") |" \
    "$(kib "$text") |" \
    "$(readelf --dynamic "$work/program" | sed -n 's/.*(NEEDED).*\[\(.*\)\.so.*\]/\1/p' | paste -sd ' ') |"
done
