# Sourced by the launchers. Sets JAVA_HOME to a JDK 25 or newer: the one JAVA_HOME names,
# else the first under /usr/lib/jvm, else the one on PATH. Exits with a message when there is none.
flotilla_is_jdk25() {
  [ -x "$1/bin/java" ] && [ -r "$1/release" ] || return 1
  flotilla_major=$(sed -n 's/^JAVA_VERSION="\([0-9]*\).*/\1/p' "$1/release")
  [ "${flotilla_major:-0}" -ge 25 ]
}

flotilla_find_jdk() {
  if [ -n "${JAVA_HOME-}" ] && flotilla_is_jdk25 "$JAVA_HOME"; then return 0; fi
  for flotilla_jdk in /usr/lib/jvm/*; do
    if flotilla_is_jdk25 "$flotilla_jdk"; then JAVA_HOME=$flotilla_jdk; return 0; fi
  done
  flotilla_java=$(command -v java || true)
  if [ -n "$flotilla_java" ]; then
    flotilla_jdk=$(dirname "$(dirname "$(readlink -f "$flotilla_java")")")
    if flotilla_is_jdk25 "$flotilla_jdk"; then JAVA_HOME=$flotilla_jdk; return 0; fi
  fi
  echo "flotilla: no JDK 25 found. Looked at JAVA_HOME (${JAVA_HOME:-unset}), /usr/lib/jvm and PATH." >&2
  echo "flotilla: install one (https://adoptium.net) or set JAVA_HOME to it." >&2
  return 1
}

flotilla_find_jdk || exit 1
export JAVA_HOME
