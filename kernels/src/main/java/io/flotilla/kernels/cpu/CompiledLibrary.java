package io.flotilla.kernels.cpu;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The kernels in C that this build has and this processor runs. They are loaded from memory (Linux
 * {@code memfd_create}), so that nothing is left in a folder for temporary files.
 *
 * @param instructions what they were compiled for
 */
@SuppressWarnings("restricted") // Loads the product's own kernels.
record CompiledLibrary(SymbolLookup symbols, String instructions) {
  private static final List<String> WIDEST_FIRST = List.of("avx512", "avx2");

  /** Opened once a process, because a library stays as long as its lookup. */
  private static final @Nullable CompiledLibrary FOUND = find();

  /** The widest kernels that run here, or null where there are none. */
  static @Nullable CompiledLibrary found() {
    return FOUND;
  }

  private static @Nullable CompiledLibrary find() {
    for (String instructions : WIDEST_FIRST) {
      try (InputStream in =
          CompiledLibrary.class.getResourceAsStream("kernels-" + instructions + ".so")) {
        if (in != null) {
          SymbolLookup symbols = open(in.readAllBytes(), instructions);
          if (runsHere(symbols)) {
            return new CompiledLibrary(symbols, instructions);
          }
        }
      } catch (IOException e) {
        throw new IllegalStateException("the kernels for " + instructions + " do not load", e);
      }
    }
    return null;
  }

  private static SymbolLookup open(byte[] library, String name) throws IOException {
    Linker linker = Linker.nativeLinker();
    MethodHandle create =
        linker.downcallHandle(
            linker.defaultLookup().findOrThrow("memfd_create"),
            FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_INT));
    try (Arena arena = Arena.ofConfined()) {
      int file = (int) create.invokeExact(arena.allocateFrom("flotilla-" + name), 0);
      if (file < 0) {
        throw new IOException("memfd_create failed");
      }
      String path = "/proc/self/fd/" + file;
      Files.write(Path.of(path), library);
      // By name: a path would be followed to a file that has none. The descriptor stays open, so
      // that the next library gets another name.
      return SymbolLookup.libraryLookup(path, Arena.global());
    } catch (IOException | RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new IllegalStateException("memfd_create", e);
    }
  }

  private static boolean runsHere(SymbolLookup symbols) {
    MethodHandle function =
        Linker.nativeLinker()
            .downcallHandle(
                symbols.findOrThrow("flotilla_runs_here"), FunctionDescriptor.of(JAVA_INT));
    try {
      return (int) function.invokeExact() != 0;
    } catch (Throwable e) {
      throw new IllegalStateException("flotilla_runs_here", e);
    }
  }
}
