#!/usr/bin/env bash
# What someone without Bazel gets: unpacks the distribution, builds every example with the plain compilers through
# pkg-config and through CMake, runs them, and checks what the library exports.
#
#   dist_test.sh DISTIL.tar.gz VERSION LIBRARY,... EXAMPLE.{c,cc}...
#
# LIBRARY: what a program may need when it runs, as in libc,libm.
set -euo pipefail

archive=$PWD/$1
version=$2
libraries=$3
shift 3
examples=("${@/#/$PWD/}")
cd "$TEST_TMPDIR"
failures=0

check() { # check NAME COMMAND...
  if "${@:2}" > output 2>&1; then
    echo "ok: $1"
  else
    echo "FAILED: $1"
    sed 's/^/  | /' output
    failures=$((failures + 1))
  fi
}

# The owner, times and order of members say nothing about the machine that packed them.
reproducible_members() {
  ! tar tvzf "$archive" --numeric-owner --full-time --utc | grep -v ' 0/0 .* 1970-01-01 00:00:00 ' &&
    tar tzf "$archive" | LC_ALL=C sort --check
}

same() { # same WANTED GOT
  [[ $1 == "$2" ]] || {
    echo "wanted '$1', got '$2'"
    return 1
  }
}

# Prints "binding visibility name" for each symbol that the library defines.
symbols() {
  readelf --wide --symbols "$prefix/lib/libdistil.a" | awk '$4 ~ /FUNC|OBJECT|TLS|NOTYPE/ && $7 != "UND" && NF == 8 {
    print $5, $6, $8 }' | sort -u
}

# Only the C API is visible. Inline functions of the standard library stay weak and visible in any C++ object.
exports_only_the_api() {
  local others
  others=$(symbols | grep -E '^(GLOBAL|WEAK|UNIQUE) DEFAULT ' |
    grep -vE '^GLOBAL DEFAULT distil_|^(WEAK|UNIQUE) DEFAULT _Z(Z|T[ISV]|GV)?N?[KVR]*(S[tabsiod]|9__gnu_cxx)' || true)
  same '' "$(c++filt <<< "$others")" && symbols | grep '^GLOBAL DEFAULT distil_' > /dev/null
}

# Hidden names still meet the user's own when a program is linked, so all of them have distil in front; nvcc puts a
# kernel's whole name behind its own prefix.
names_are_in_the_namespace() {
  local others
  others=$(symbols | grep '^GLOBAL ' | grep -vE '^GLOBAL [A-Z]+ (distil_|_Z(T[A-Z]|GV|[0-9]+__device_stub__Z)?N[KVR]*6distil)' || true)
  same '' "$(c++filt <<< "$others")"
}

no_foreign_object() {
  local allowed='^(lib|losses|models)_.*\.o$'
  same '' "$(ar t "$prefix/lib/libdistil.a" | grep -vE "$allowed" || true)"
}

header_alone() { # header_alone COMPILER...
  echo '#include <distil/distil.h>' | "$@" -Wall -Wextra -pedantic -Werror -fsyntax-only -I"$prefix/include" -
}

header_version() {
  same "$version" "$(printf '#include <distil/distil.h>\nDISTIL_VERSION_MAJOR.DISTIL_VERSION_MINOR.DISTIL_VERSION_PATCH' |
    cc -E -P -I"$prefix/include" - | tail -n 1 | tr -d ' ')"
}

wrong_header_does_not_link() {
  mkdir -p wrong/distil
  sed 's/distil_abi_[0-9_]*$/distil_abi_of_another_version/' "$prefix/include/distil/distil.h" > wrong/distil/distil.h
  printf '#include <distil/distil.h>\nint main(void) { return distil_version() == NULL; }\n' > wrong/main.c
  # shellcheck disable=SC2046 # flags are words
  ! cc -std=c99 -O2 -o wrong/main wrong/main.c -Iwrong $(pkg-config --static --libs distil) 2> wrong/messages &&
    grep 'undefined reference to .*distil_abi_of_another_version' wrong/messages
}

compile() { # compile EXAMPLE BINARY
  local compiler=(cc -std=c99)
  [[ $1 == *.c ]] || compiler=(c++ -std=c++17)
  # shellcheck disable=SC2046 # flags are words
  "${compiler[@]}" -Wall -Wextra -pedantic -Werror -O1 -o "$2" "$1" $(pkg-config --static --cflags --libs distil)
}

run() { # run BINARY: in a folder of its own
  mkdir -p "$1.run" && (cd "$1.run" && "$1")
}

# The loader names itself on some machines.
needs_only_the_libraries() { # needs_only_the_libraries BINARY
  local needed
  needed=$(readelf --dynamic "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\.so.*\]/\1/p' | grep -v '^ld-linux')
  echo "needs: " $needed
  grep -q '^libc$' <<< "$needed" && same '' "$(grep -vxF "$(tr , '\n' <<< "$libraries")" <<< "$needed" || true)"
}

cmake_project() {
  mkdir -p cmake/build
  {
    echo 'cmake_minimum_required(VERSION 3.10)'
    echo 'project(examples C CXX)'
    echo "find_package(distil ${version%.*} REQUIRED)"
    for example in "${examples[@]}"; do
      echo "add_executable($(binary_name "$example") $example)"
      echo "target_link_libraries($(binary_name "$example") distil::distil)"
    done
  } > cmake/CMakeLists.txt
  cmake -S cmake -B cmake/build -DCMAKE_PREFIX_PATH="$prefix" && cmake --build cmake/build
}

binary_name() { basename "$1" | tr . _; }

check "members of the archive are reproducible" reproducible_members
tar xzf "$archive"
mv "distil-$version" "moved elsewhere" # nothing in it may depend on where it was
prefix="$PWD/moved elsewhere"
ln -s "$prefix" prefix # pkg-config and a space in a path do not go together
export PKG_CONFIG_PATH=$PWD/prefix/lib/pkgconfig

check "pkg-config knows version $version" same "$version" "$(pkg-config --modversion distil)"
check "the header has version $version" header_version
check "the header is C99" header_alone cc -std=c99 -x c
check "the header is C++" header_alone c++ -std=c++11 -x c++
check "an archive of another version does not link" wrong_header_does_not_link
check "only distil_ symbols are exported" exports_only_the_api
check "all global names are distil's" names_are_in_the_namespace
check "all objects are distil's" no_foreign_object

for example in "${examples[@]}"; do
  binary=$PWD/$(binary_name "$example")
  check "compile $(basename "$example")" compile "$example" "$binary"
  [[ ! -x $binary ]] || check "run $(basename "$example")" run "$binary"
  [[ ! -x $binary ]] || check "$(basename "$example") needs $libraries" needs_only_the_libraries "$binary"
done

if command -v cmake > /dev/null; then
  check "the examples as a CMake project" cmake_project
  for example in "${examples[@]}"; do
    binary=$PWD/cmake/build/$(binary_name "$example")
    [[ ! -x $binary ]] || check "run $(basename "$example") built by CMake" run "$binary"
  done
else
  echo "SKIPPED: CMake is not installed, so the CMake package was not tried (apt-get install cmake)"
fi

((failures == 0))
