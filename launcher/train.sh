#!/bin/sh
# Makes lib/flotilla.aot: what the JVM has loaded, linked and seen of methods when it has served one
# request, so that later starts begin with it. Run by the build on the unpacked archive, its argument.
set -eu

train_home=$1
train_log=$train_home/lib/training.log
rm -f "$train_home/lib/flotilla.aot" "$train_home/lib/flotilla.aot.home"

JDK_JAVA_OPTIONS="-XX:AOTCacheOutput=\"$train_home/lib/flotilla.aot\"" \
  "$train_home/bin/flotilla" serve --device cpu --port 0 >"$train_log" 2>&1 &
train_server=$!
trap 'kill -9 "$train_server" 2>/dev/null || true' EXIT

train_url=
train_seconds=0
while [ -z "$train_url" ]; do
  sleep 1
  train_seconds=$((train_seconds + 1))
  train_url=$(sed -n 's|^Serving .* at \(http://.*\)/v1 .*|\1|p' "$train_log")
  if [ "$train_seconds" -gt 300 ] || ! kill -0 "$train_server" 2>/dev/null; then
    cat "$train_log" >&2
    exit 1
  fi
done
"$train_home/bin/flotilla" complete --url "$train_url" --max-tokens 32 "Once upon a time"
kill -TERM "$train_server"
wait "$train_server"
trap - EXIT
rm "$train_log"
# At another place the JVM would find packages sealed by jars that are not there any more.
readlink -f "$train_home" | tr -d '\n' >"$train_home/lib/flotilla.aot.home"
