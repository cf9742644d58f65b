#!/bin/sh
# Builds the emulated driver: the kernels for this machine's processor. Without g++, or on another
# processor than the stacks of fibers.h are for, it builds nothing and says so.
# Usage: build.sh OUTPUT
set -eu

emulator=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
kernels=$emulator/../../main/cuda
output=$1
folder=$(dirname -- "$output")
if ! command -v g++ >/dev/null 2>&1 || [ "$(uname -m)" != x86_64 ]; then
  echo "kernels-cuda: no g++ for x86-64 here, so no emulated GPU for tests" >&2
  exit 0
fi
if [ -f "$output" ] && [ -z "$(find "$emulator" "$kernels" -newer "$output" -type f -print -quit)" ]; then
  exit 0
fi
mkdir -p "$folder"
# Every kernel by its name, also of those that a macro defines.
find "$kernels" -name '*.cuh' ! -name '*_hopper.cuh' -exec cat {} + >"$folder/all.cuh"
{
  tr '\n' ' ' <"$folder/all.cuh" |
    grep -oE 'extern "C" __global__ void +(__launch_bounds__\([^)]*\) +)?[a-z][a-z0-9_]*\('
  grep -oE '^[A-Z_]+\([a-z][a-z0-9_]*,' "$folder/all.cuh"
} | sed -E 's/.*[ (]([a-z0-9_]+)[(,]$/KERNEL(\1),/' >"$folder/kernel_names.inc"
g++ -std=c++17 -O2 -fno-strict-aliasing -w -fPIC -shared -pthread -mtls-dialect=gnu2 \
  -I "$kernels" -I "$folder" -o "$output.new" "$emulator/emulated_driver.cpp"
mv "$output.new" "$output"
