package io.flotilla.kernels.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/**
 * A C library. Functions are bound on their first call; those called once a kernel are bound by
 * their callers to exact handles. Not thread-safe.
 */
final class NativeLibrary {
  private final String path;
  private final SymbolLookup symbols;
  private final Map<String, MethodHandle> bound = new ConcurrentHashMap<>();

  /**
   * Opens the first of the candidates that can be opened; it stays open for good.
   *
   * @param name for messages
   * @throws IllegalStateException naming every candidate with its error, when none can be opened
   */
  @SuppressWarnings("restricted")
  static NativeLibrary open(String name, List<String> candidates, String remedy) {
    StringBuilder tried = new StringBuilder();
    for (String candidate : candidates) {
      try {
        return new NativeLibrary(candidate, SymbolLookup.libraryLookup(candidate, Arena.global()));
      } catch (IllegalArgumentException e) {
        tried.append(tried.isEmpty() ? "" : ", ").append(candidate);
      }
    }
    throw new IllegalStateException(name + " was not found (tried " + tried + "); " + remedy);
  }

  private NativeLibrary(String path, SymbolLookup symbols) {
    this.path = path;
    this.symbols = symbols;
  }

  /** What it was opened as. */
  String path() {
    return path;
  }

  /**
   * A handle for {@code invokeExact}, of a function that returns an int.
   *
   * @throws IllegalStateException when the library does not have it
   */
  @SuppressWarnings("restricted")
  MethodHandle function(String name, MemoryLayout... arguments) {
    MemorySegment address =
        symbols
            .find(name)
            .orElseThrow(
                () ->
                    new IllegalStateException(
                        path + " has no function " + name + ": it is of an older version"));
    return Linker.nativeLinker()
        .downcallHandle(address, FunctionDescriptor.of(ValueLayout.JAVA_INT, arguments));
  }

  /**
   * Calls a function that returns an int, with Integer, Long and MemorySegment for int, 64-bit
   * integer (or device address) and pointer. It may not be called with other types the next time.
   */
  int call(String name, Object... arguments) {
    MethodHandle handle = bound.computeIfAbsent(name, _ -> function(name, layouts(arguments)));
    try {
      return (int) handle.invokeWithArguments(arguments);
    } catch (Throwable e) {
      throw unexpected(name, e);
    }
  }

  /** What a downcall throws only when it was bound wrongly. */
  static IllegalStateException unexpected(String name, Throwable cause) {
    return new IllegalStateException("cannot call " + name, cause);
  }

  private static MemoryLayout[] layouts(Object[] arguments) {
    MemoryLayout[] layouts = new MemoryLayout[arguments.length];
    for (int i = 0; i < arguments.length; i++) {
      layouts[i] =
          switch (arguments[i]) {
            case Integer _ -> ValueLayout.JAVA_INT;
            case Long _ -> ValueLayout.JAVA_LONG;
            case MemorySegment _ -> ValueLayout.ADDRESS;
            default -> throw new IllegalArgumentException("no C type for " + arguments[i]);
          };
    }
    return layouts;
  }
}
