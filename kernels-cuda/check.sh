#!/bin/sh
# Runs the operations of this machine's GPU against the scalar ones and small models on it against
# the CPU, then measures it, and prints all figures last. Lies in a bundle, beside shapes/ and
# prompts.jsonl.
# Usage: check.sh [SECTION...]: tests http context small mixtures large start kernels, all by default,
# and pair, for two GPUs.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$(readlink -f -- "$0")")" && pwd)
export JAVA_HOME="$here/runtime"
flotilla="$here/flotilla/bin/flotilla"
port=${PORT:-8123}
table=$(mktemp)
server=

finish() {
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
  printf '\n== figures\n'
  cat "$table"
  rm -f "$table"
}
trap finish EXIT
trap 'exit 1' INT TERM

# limited SECONDS COMMAND...: prints what it prints; a row of the table where it fails.
limited() {
  seconds=$1
  shift
  timeout -k 5 "$seconds" "$@" || echo "failed or longer than $seconds s: $*" >>"$table"
}

tests() {
  limited 300 "$here/runtime/bin/java" -XX:+UseSerialGC -Xmx4g --add-modules jdk.incubator.vector \
    --enable-native-access=ALL-UNNAMED \
    -cp "$here/check/classes:$here/flotilla/lib/*:$here/check/*" \
    org.junit.platform.console.ConsoleLauncher execute \
    --select-package io.flotilla.kernels.cuda --select-class io.flotilla.executor.GpuLayoutTest \
    --select-class io.flotilla.executor.GpuFailureTest \
    --details=summary --disable-banner --disable-ansi-colors
}

# Starts a server of a shape; says how long that took. Several loads have the same prompts, which the
# cache of a large card would hold. serve_shape NAME OPTIONS...
serve_shape() {
  shape=$1
  shift
  began=$(date +%s%N)
  "$flotilla" serve "$here/shapes/$shape" --tokenizer "$here/shapes/tokenizer" --load-format dummy \
    --no-enable-prefix-caching --device cuda --port "$port" "$@" >"$here/serve.log" 2>&1 &
  server=$!
  for _ in $(seq 300); do
    if curl -sf "http://127.0.0.1:$port/health" >/dev/null; then
      echo "$shape: ready after $((($(date +%s%N) - began) / 1000000)) ms" >>"$table"
      return
    fi
    kill -0 "$server" 2>/dev/null || break
    sleep 0.1
  done
  echo "$shape: no server; see $here/serve.log" >>"$table"
}

stop_server() {
  kill "$server" 2>/dev/null || true
  wait "$server" 2>/dev/null || true
  server=
}

# load SECONDS LABEL OPTIONS...: a row of the table.
load() {
  seconds=$1
  label=$2
  shift 2
  limited "$seconds" "$flotilla" bench serve --base-url "http://127.0.0.1:$port" --ignore-eos \
    --tokenizer "$here/shapes/tokenizer" --temperature 0 "$@" |
    awk -v label="$label" '/Output token throughput|Mean TTFT|Mean TPOT|Failed requests/ {
      row = row "  " $0 } END { gsub(/ +/, " ", row); print label ":" row }' >>"$table"
}

random() {
  seconds=$1
  in=$2
  out=$3
  count=$4
  at_once=$5
  load "$seconds" "$shape, $count x $in/$out, $at_once at a time" --dataset-name random \
    --random-input-len "$in" --random-output-len "$out" --num-prompts "$count" \
    --max-concurrency "$at_once"
}

lognormal() {
  load "$1" "$shape, lognormal, $2 at a time" --dataset-name custom \
    --dataset-path "$here/prompts.jsonl" --num-prompts 1000 --output-len 256 --max-concurrency "$2"
}

http() {
  serve_shape qwen3-8b --max-model-len 8448 --max-num-batched-tokens 8192 --max-num-seqs 600
  random 30 512 256 4 1
  random 30 8192 2 6 1
  random 60 512 128 256 64
  for at_once in 60 180 600; do lognormal 90 "$at_once"; done
  stop_server
}

context() {
  serve_shape qwen3-8b --max-model-len 33024 --max-num-batched-tokens 8192 --max-num-seqs 1
  random 60 32000 128 2 1
  stop_server
}

mixtures() {
  serve_shape qwen3-30b-a3b --max-model-len 2048 --max-num-batched-tokens 8192 --max-num-seqs 180
  random 30 512 256 4 1
  lognormal 120 180
  stop_server
}

large() {
  serve_shape qwen3-32b --max-model-len 2048 --max-num-batched-tokens 4096 --max-num-seqs 180
  random 60 512 128 2 1
  lognormal 240 180
  stop_server
}

small() {
  limited 120 "$flotilla" bench throughput --model "$here/shapes/smollm2-135m" --load-format dummy \
    --tokenizer "$here/shapes/smollm2-135m" --device cuda --max-num-seqs 1024 --num-prompts 4096 \
    --dataset-name random --random-input-len 32 --random-output-len 128 --max-model-len 256 \
    --min-p 0.05 | sed -n 's/^\(.*hroughput.*\)$/smollm2-135m, 4,096 x 32\/128: \1/p' >>"$table"
}

start() {
  serve_shape qwen3-8b --max-model-len 2048
  random 20 16 1 1 1
  stop_server
}

kernels() {
  limited 120 "$flotilla" bench kernels linear elementwise decode prefill experts >>"$table"
}

# throughput SECONDS LABEL SHAPE OPTIONS...: a row of the table, of a run without HTTP.
throughput() {
  seconds=$1
  label=$2
  shape=$3
  shift 3
  limited "$seconds" "$flotilla" bench throughput --model "$here/shapes/$shape" --device cuda \
    --load-format dummy --tokenizer "$here/shapes/tokenizer" --dataset-name random "$@" |
    sed -n "s|^\\(Throughput.*\\)\$|$shape, $label: \\1|p" >>"$table"
}

# Two GPUs, then one. in_turns SHAPE OPTIONS-OF-TWO COUNT IN OUT AT-ONCE
in_turns() {
  for layout in "-tp 2 $2" "-tp 1"; do
    # shellcheck disable=SC2086 # Several options.
    throughput 90 "$layout, $3 x $4/$5, $6 at a time" "$1" $layout --max-model-len 8448 \
      --max-num-batched-tokens 8192 --max-num-seqs "$6" --num-prompts "$3" \
      --random-input-len "$4" --random-output-len "$5"
  done
}

pair() {
  limited 60 "$here/runtime/bin/java" -Xmx4g --add-modules jdk.incubator.vector \
    --enable-native-access=ALL-UNNAMED \
    -cp "$here/check/classes:$here/flotilla/lib/*:$here/check/*" \
    io.flotilla.kernels.cuda.PeerTimes 0 1 >>"$table"
  in_turns qwen3-8b "" 1 512 256 1
  in_turns qwen3-8b "" 1 512 768 1
  in_turns qwen3-8b "" 256 512 256 64
  in_turns qwen3-8b "" 12 8000 1 1
  in_turns qwen3-8b "" 200 512 1 1
  in_turns qwen3-30b-a3b --enable-expert-parallel 1 512 256 1
  in_turns qwen3-30b-a3b --enable-expert-parallel 1 512 768 1
  in_turns qwen3-30b-a3b --enable-expert-parallel 360 185 256 180
}

nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader >>"$table" || true
"$flotilla" doctor --device cuda
limited 30 "$flotilla" bench kernels ceilings >>"$table"
[ $# -gt 0 ] || set -- tests http context small mixtures large start kernels
for section in "$@"; do
  case $section in
    tests | http | context | small | mixtures | large | start | kernels | pair) "$section" ;;
    *)
      echo "check.sh: no section $section" >&2
      exit 2
      ;;
  esac
done
