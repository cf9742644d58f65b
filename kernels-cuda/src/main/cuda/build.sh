#!/bin/sh
# Builds the kernels into one fatbin: machine code for Hopper (sm_90a) and PTX for Ampere and newer.
# Without nvcc it builds nothing and says so; --device cuda then says how to get it.
# Usage: build.sh OUTPUT
set -eu

sources=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
output=$1
for nvcc in "${NVCC-}" "${CUDA_HOME-}/bin/nvcc" /usr/local/cuda/bin/nvcc nvcc; do
  if [ -n "$nvcc" ] && command -v "$nvcc" >/dev/null 2>&1; then
    found=$nvcc
    break
  fi
done
if [ -z "${found-}" ]; then
  echo "kernels-cuda: no nvcc here, so this build has no CUDA kernels" >&2
  exit 0
fi
if [ -f "$output" ] && [ -z "$(find "$sources" -newer "$output" -type f -print -quit)" ]; then
  exit 0
fi
mkdir -p "$(dirname -- "$output")"
"$found" -std=c++17 -O3 --fatbin -Werror all-warnings \
  -gencode arch=compute_90a,code=sm_90a -gencode arch=compute_80,code=compute_80 \
  -o "$output.new" "$sources/kernels.cu"
mv "$output.new" "$output"
