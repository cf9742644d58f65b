#!/bin/sh
# Runs the operations of this machine's GPU against the scalar ones. Lies in a bundle.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$(readlink -f -- "$0")")" && pwd)
lib=$here/flotilla/lib
exec "$here/runtime/bin/java" -XX:+UseSerialGC -Xmx4g --add-modules jdk.incubator.vector \
  --enable-native-access=ALL-UNNAMED \
  -cp "$here/check/classes:$lib/flotilla-kernels-0.1.0.jar:$lib/flotilla-kernels-cuda-0.1.0.jar:$(echo "$lib"/slf4j-api-*.jar):$(echo "$here"/check/*.jar | tr ' ' ':')" \
  org.junit.platform.console.ConsoleLauncher execute --scan-classpath "$here/check/classes" \
  --details=summary --disable-banner --disable-ansi-colors "$@"
