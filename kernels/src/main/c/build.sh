#!/bin/sh
# Builds the kernels into one library for each set of instructions. Without a C compiler, or for
# another processor than x86-64, it builds nothing and says so; the Vector API then does the work.
# Usage: build.sh FOLDER
set -eu

sources=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
folder=$1
compiler=${CC:-cc}
if ! command -v "$compiler" >/dev/null 2>&1; then
  echo "kernels: no C compiler here, so this build computes on the Vector API" >&2
  exit 0
fi
if ! "$compiler" -dM -E -x c /dev/null | grep -q __x86_64__; then
  echo "kernels: not an x86-64 compiler, so this build computes on the Vector API" >&2
  exit 0
fi

build() {
  output=$folder/kernels-$1.so
  shift
  if [ -f "$output" ] && [ -z "$(find "$sources" -newer "$output" -type f -print -quit)" ]; then
    return
  fi
  "$compiler" -std=gnu11 -O3 -ffp-contract=off -fno-math-errno -Wall -Wextra -Werror "$@" \
    -fPIC -shared -nostartfiles -o "$output.new" "$sources/kernels.c"
  mv "$output.new" "$output"
}

mkdir -p "$folder"
build avx2 -mavx2 -mfma -mf16c &
build avx512 -mavx512f -mavx2 -mfma -mf16c
wait $!
