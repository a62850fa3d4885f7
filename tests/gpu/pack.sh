#!/usr/bin/env bash
# Packs programs with the shared libraries that they need into one folder that runs on another machine.
#
#   pack.sh OUT.tar.xz LIMIT PLACE=FILE...       PLACE: path in the folder; LIMIT: bytes that OUT may have
#
# Left out is what must be the other machine's own: the C library, the driver, CUDA's libraries.
set -euo pipefail

out=$1 limit=$2
shift 2
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
root=$stage/distil-gpu
for pair; do
  mkdir -p "$(dirname "$root/${pair%%=*}")"
  cp -L "${pair#*=}" "$root/${pair%%=*}"
done
chmod -R u+w "$root"
strip "$root"/bin/*
mkdir "$root/lib"
for program in "$root"/bin/*; do
  ldd "$program" | awk '$2 == "=>" { print $1, $3 }'
done | sort -u | while read -r name file; do
  case $name in
    libc.so* | libm.so* | libdl.so* | librt.so* | libpthread.so* | libresolv.so*) continue ;;
    libcuda* | libcudnn* | libcublas* | libnv*) continue ;;
  esac
  [[ -e $file ]] || {
    echo "pack.sh: $name was not found" >&2
    exit 1
  }
  cp -L "$file" "$root/lib/$name"
done
# The dictionary spans the programs, which share most of their code.
tar -C "$stage" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX \
  --format=ustar -cf - distil-gpu | xz --threads=1 --lzma2=preset=0,dict=64MiB > "$out"
size=$(stat -c %s "$out")
((size <= limit)) || {
  echo "pack.sh: the folder has $size bytes packed, $limit are allowed" >&2
  exit 1
}
