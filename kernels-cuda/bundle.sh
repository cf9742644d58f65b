#!/bin/sh
# Makes the smallest bundle that runs on a GPU host without Java, Maven or network: a jlinked
# runtime, the built archive's jars with the natives of linux-x86_64 alone, and the checks. Prints
# what everything takes; runtime.tar.xz and flotilla.tar.xz are what travels.
# Build first: ./mvnw package. Usage: kernels-cuda/bundle.sh FOLDER [SHAPES PROMPTS]
# SHAPES holds a folder with config.json for each model that check.sh measures (qwen3-8b, qwen3-32b,
# qwen3-30b-a3b, smollm2-135m; the last with its tokenizer) and one named tokenizer; PROMPTS is its dataset, in JSON lines.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
. "$root/launcher/find-jdk.sh"
out=$1
built=$root/cli/target/flotilla-0.1.0/flotilla-0.1.0
repository=${MAVEN_REPOSITORY:-$HOME/.m2/repository}
modules=java.base,java.logging,java.management,java.net.http,java.naming,java.sql,java.desktop
modules=$modules,jdk.incubator.vector,jdk.management,jdk.unsupported,jdk.zipfs

mkdir -p "$out"
if [ ! -d "$out/runtime" ]; then
  "$JAVA_HOME/bin/jlink" --add-modules "$modules" --strip-debug --no-header-files --no-man-pages \
    --compress zip-0 --output "$out/runtime"
  rm -rf "$out/runtime/legal" "$out"/runtime/lib/lib*awt*.so "$out"/runtime/lib/libfontmanager.so \
    "$out"/runtime/lib/libfreetype.so "$out"/runtime/lib/libmlib_image.so "$out"/runtime/lib/libjavajpeg.so \
    "$out"/runtime/lib/liblcms.so "$out"/runtime/lib/libjsound.so "$out"/runtime/lib/libsplashscreen.so
fi
rm -rf "$out/flotilla" "$out/check"
mkdir -p "$out/flotilla" "$out/check"
cp -r "$built/bin" "$built/launcher" "$built/lib" "$out/flotilla/"
# What the build has trained fits the place it was built for alone.
rm -f "$out"/flotilla/lib/flotilla.aot*
for jar in "$out"/flotilla/lib/tokenizers-*.jar; do
  zip -q -d "$jar" 'native/lib/linux-aarch64/*' 'native/lib/osx-*' 'native/lib/win-*' || true
done
for jar in "$out"/flotilla/lib/jna-*.jar; do
  zip -q -d "$jar" 'com/sun/jna/[!l]*-*/*' 'com/sun/jna/linux-[!x]*/*' || true
done
cp "$(find "$repository/org/junit/platform/junit-platform-console-standalone" -name '*.jar' |
  sort -V | tail -n 1)" "$out/check/"
cp "$(find "$repository/org/assertj/assertj-core" -name '*.jar' | sort -V | tail -n 1)" "$out/check/"
# Jars that are stored, not deflated, compress far better together.
find "$out/flotilla/lib" "$out/check" -name '*.jar' | while read -r jar; do
  unpacked=$(mktemp -d)
  (cd "$unpacked" && unzip -q "$jar" && rm "$jar" && zip -q -r -0 "$jar" .)
  rm -rf "$unpacked"
done
cp -r "$root/kernels-cuda/target/test-classes" "$out/check/classes"
cp -r "$root/executor/target/test-classes/io" "$out/check/classes/"
cp "$root"/kernels-cuda/check.sh "$out/"
if [ $# -gt 2 ]; then
  rm -rf "$out/shapes"
  cp -rL "$2" "$out/shapes"
  cp "$3" "$out/prompts.jsonl"
  measured="shapes prompts.jsonl"
fi
tar -C "$out" -cf - runtime | xz -T0 -6 >"$out/runtime.tar.xz"
# shellcheck disable=SC2086 # Two names.
tar -C "$out" -cf - flotilla check check.sh ${measured-} | xz -T0 -6 >"$out/flotilla.tar.xz"
du -sh "$out"/* >&2
