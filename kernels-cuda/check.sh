#!/bin/sh
# Runs the operations of this machine's GPU against the scalar ones, and small models on it against
# the CPU. Lies in a bundle.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$(readlink -f -- "$0")")" && pwd)
exec "$here/runtime/bin/java" -XX:+UseSerialGC -Xmx4g --add-modules jdk.incubator.vector \
  --enable-native-access=ALL-UNNAMED \
  -cp "$here/check/classes:$here/flotilla/lib/*:$here/check/*" \
  org.junit.platform.console.ConsoleLauncher execute --select-package io.flotilla.kernels.cuda \
  --select-class io.flotilla.executor.GpuLayoutTest \
  --details=summary --disable-banner --disable-ansi-colors "$@"
