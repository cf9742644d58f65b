package io.flotilla.kernels.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.flotilla.kernels.Finding;
import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The bindings against a driver written in C for the test, where there is no GPU. */
class StubDriverTest {
  @TempDir private Path folder;

  @BeforeAll
  static void requireCompiler() {
    boolean found =
        Optional.ofNullable(System.getenv("PATH")).stream()
            .flatMap(path -> List.of(path.split(":")).stream())
            .anyMatch(entry -> Files.isExecutable(Path.of(entry, "gcc")));
    assumeTrue(found, "needs gcc to build a driver");
  }

  @Test
  void namesEveryPlaceWhereALibraryWasLookedFor() {
    assertThatThrownBy(
            () ->
                NativeLibrary.open(
                    "NVIDIA's driver library", List.of("/no/a.so", "/no/b.so"), "install it"))
        .isInstanceOf(IllegalStateException.class)
        .hasMessage("NVIDIA's driver library was not found (tried /no/a.so, /no/b.so); install it");
  }

  @Test
  void opensTheFirstLibraryThatIsThere() throws Exception {
    Path stub = build("first");
    NativeLibrary library =
        NativeLibrary.open("a driver", List.of("/no/a.so", stub.toString()), "install it");
    assertThat(library.path()).isEqualTo(stub.toString());
  }

  @Test
  void readsVersionNamesAndAttributes() throws Exception {
    Driver driver = driver("plain");
    assertThat(driver.start()).isEqualTo(2);
    assertThat(driver.version()).isEqualTo(13000);
    assertThat(driver.deviceName(1)).isEqualTo("Stub 1");
    assertThat(driver.attribute(0, Driver.COMPUTE_CAPABILITY_MAJOR)).isEqualTo(9);
  }

  @Test
  void countsNoDevicesWhereTheDriverSaysThereIsNone() throws Exception {
    assertThat(driver("none", "-DINIT=100").start()).isZero();
  }

  @Test
  void saysWhatTheDriverSaysOfAnError() throws Exception {
    Driver driver = driver("broken", "-DINIT=999");
    assertThatThrownBy(driver::start)
        .isInstanceOf(CudaException.class)
        .hasMessage("cuInit failed: an error of the stub (999)");
  }

  @Test
  void refusesAnOldDriverWithTheVersionItNeeds() throws Exception {
    Driver driver = driver("old", "-DVERSION=12040");
    assertThatThrownBy(() -> CudaSetup.requireVersion(driver))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("CUDA 12.4 at most, Flotilla needs 13.0: install driver 580");
  }

  @Test
  void namesAFunctionThatAnOldLibraryLacks() throws Exception {
    Path stub = build("lacking", "-DWITHOUT_LAUNCH");
    NativeLibrary library = NativeLibrary.open("a driver", List.of(stub.toString()), "");
    assertThatThrownBy(() -> new Driver(library))
        .hasMessageContaining("has no function cuLaunchKernelEx: it is of an older version");
  }

  @Test
  void refusesACardOfAnOldGeneration() throws Exception {
    Path stub = build("turing", "-DMAJOR=7");
    NativeLibrary library = NativeLibrary.open("a driver", List.of(stub.toString()), "");
    CudaSetup setup = new CudaSetup(new Driver(library), library, 1, true);
    assertThat(setup.obstacle(0))
        .hasValue(
            "GPU 0 (Stub 0) has compute capability 7.5, Flotilla needs 8.0 (Ampere) or newer");
    assertThat(new CudaSetup(driver("hopper"), library, 1, true).obstacle(0)).isEmpty();
  }

  @Test
  void givesNothingWhereMemoryIsOut() throws Exception {
    assertThat(driver("full").allocate(1L << 40)).isZero();
  }

  /** The stub compares with the layouts of cuda.h and fails where a field lies elsewhere. */
  @Test
  void launchesWithTheFieldsOfTheHeader() throws Exception {
    Driver driver = driver("launching");
    try (Arena arena = Arena.ofConfined()) {
      Launcher launcher = new Launcher(driver, 0, 77, true, arena);
      launcher
          .pointer(0x1234567890L)
          .number(42)
          .number(0.5f)
          .launch("a_kernel", new Launcher.Grid(2, 3, 4, 128, 64 << 10), 99);
      assertThat(launcher.launches()).isEqualTo(1);
    }
  }

  @Test
  void findsLibrariesDevicesAndLinks() throws Exception {
    Path stub = build("whole");
    String file = stub.toRealPath().toString();
    assertThat(findings(stub, "/no/cublas.so", stub.toString()))
        .contains(
            new Finding("cuBLASLt", file + ", version 13.1.0", true),
            new Finding("driver", file + ", runs CUDA 13.0", true),
            new Finding("devices", "2", true),
            new Finding(
                "device 1", "Stub 1, 80.0 GiB, compute capability 9.0, 132 multiprocessors", true),
            new Finding("link 0 - 1", "peer to peer, with atomics (NVLink)", true));
    assertThat(findings(build("slots", "-DLINK=1"), stub.toString()))
        .contains(new Finding("link 0 - 1", "peer to peer, without atomics (PCIe)", true));
    assertThat(findings(build("apart", "-DLINK=0"), stub.toString()))
        .contains(
            new Finding(
                "link 0 - 1", "none: what passes between them goes through the host", true));
  }

  @Test
  void looksOnWhereSomethingIsMissing() throws Exception {
    assertThat(findings(Path.of("/no/driver.so"), "/no/cublas.so"))
        .filteredOn(finding -> !finding.what().equals("kernels"))
        .containsExactly(
            new Finding(
                "cuBLASLt",
                "cuBLASLt 13 was not found (tried /no/cublas.so); install it (package"
                    + " libcublas-13-0) or name the file with -Dflotilla.cuda.cublaslt",
                false),
            new Finding(
                "driver",
                "NVIDIA's driver library was not found (tried /no/driver.so); install driver 580"
                    + " or newer, or name the file with -Dflotilla.cuda.driver",
                false));
    assertThat(findings(build("unseen", "-DINIT=100"), "/no/cublas.so"))
        .contains(
            new Finding(
                "devices",
                "the driver sees no GPU: check nvidia-smi and CUDA_VISIBLE_DEVICES",
                false));
    assertThat(findings(build("ancient", "-DMAJOR=7"), "/no/cublas.so"))
        .filteredOn(finding -> finding.what().equals("device 0"))
        .singleElement()
        .satisfies(finding -> assertThat(finding.found()).contains("needs 8.0 (Ampere) or newer"))
        .satisfies(finding -> assertThat(finding.serves()).isFalse());
  }

  private static List<Finding> findings(Path driver, String... cublasLt) {
    return new CudaFindings(List.of(driver.toString()), List.of(cublasLt)).all();
  }

  private Driver driver(String name, String... defines) throws Exception {
    Path stub = build(name, defines);
    return new Driver(NativeLibrary.open("a driver", List.of(stub.toString()), ""));
  }

  private Path build(String name, String... defines) throws IOException, InterruptedException {
    Path source = folder.resolve("driver.c");
    try (InputStream stream = StubDriverTest.class.getResourceAsStream("stub-driver.c")) {
      assertThat(stream).isNotNull();
      Files.write(source, stream.readAllBytes());
    }
    Path library = folder.resolve("lib" + name + ".so");
    List<String> command = new ArrayList<>(List.of("gcc", "-shared", "-fPIC", "-o"));
    command.add(library.toString());
    command.add(source.toString());
    command.addAll(List.of(defines));
    Process gcc = new ProcessBuilder(command).inheritIO().start();
    assertThat(gcc.waitFor()).isZero();
    return library;
  }
}
