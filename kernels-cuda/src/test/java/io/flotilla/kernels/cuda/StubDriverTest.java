package io.flotilla.kernels.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.flotilla.kernels.AbortSignal;
import io.flotilla.kernels.Device;
import io.flotilla.kernels.Finding;
import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicInteger;
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
  void refusesGpusThatCannotReadEachOther() throws Exception {
    Path stub = build("unlinked");
    NativeLibrary library = NativeLibrary.open("a driver", List.of(stub.toString()), "");
    CudaSetup setup = new CudaSetup(new Driver(library), library, 2, true);
    List<Device> devices =
        List.of(
            new CudaDevice(setup, 0, new AtomicInteger()),
            new CudaDevice(setup, 1, new AtomicInteger()));
    assertThatThrownBy(() -> new CudaInterconnect().connect(devices, 1, new AbortSignal()))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage(
            "cuda:1 (Stub 1) cannot read the memory of cuda:0 (Stub 0): choose GPUs that are linked"
                + " with --device-ids");
  }

  @Test
  void seesRanksOutsideAGroupThatShareItsGpus() throws Exception {
    Path stub = build("shared");
    NativeLibrary library = NativeLibrary.open("a driver", List.of(stub.toString()), "");
    CudaSetup setup = new CudaSetup(new Driver(library), library, 2, true);
    AtomicInteger sharers = new AtomicInteger();
    CudaDevice device = new CudaDevice(setup, 0, sharers);
    List<CudaDevice> group = List.of(device, new CudaDevice(setup, 1, new AtomicInteger()));
    assertThat(new CudaGroup(group, 1, new AbortSignal()).hasOwnGpus()).isTrue();
    try (CudaDevice _ = new CudaDevice(setup, 0, sharers)) {
      assertThat(new CudaGroup(group, 1, new AbortSignal()).hasOwnGpus()).isFalse();
    }
    assertThat(device.isShared()).isFalse();
  }

  @Test
  void examinesDriverLibrariesDevicesAndLinks() throws Exception {
    String stub = build("examined").toString();
    List<Finding> findings = new CudaExamination(List.of(stub), List.of(stub)).findings();
    assertThat(findings)
        .contains(
            Finding.good("cuBLASLt", "13.1.0, " + stub),
            Finding.good("GPUs", "2"),
            Finding.good("GPU 0", "Stub 0, compute capability 9.0, 80.0 GiB, 132 multiprocessors"),
            Finding.good("GPU 0 reads", "the memory of GPU 1"),
            Finding.good("GPU 1 reads", "no other GPU's memory: it cannot share a model"));
    assertThat(findings)
        .filteredOn(finding -> finding.what().equals("NVIDIA driver"))
        .singleElement()
        .satisfies(finding -> assertThat(finding.found()).endsWith("CUDA 13.0, " + stub))
        .satisfies(finding -> assertThat(finding.remedy()).isNull());
  }

  @Test
  void examinesOnAfterWhatIsMissing() throws Exception {
    String stub = build("oldest", "-DVERSION=12040", "-DMAJOR=7").toString();
    List<Finding> findings = new CudaExamination(List.of(stub), List.of("/no/b.so")).findings();
    assertThat(findings)
        .filteredOn(finding -> finding.remedy() != null)
        .extracting(Finding::what)
        .contains("cuBLASLt", "NVIDIA driver", "GPU 0", "GPU 1");
    assertThat(findings)
        .contains(
            new Finding(
                "cuBLASLt",
                "cuBLASLt 13 was not found (tried /no/b.so)",
                "install it (package libcublas-13-0) or name the file with"
                    + " -Dflotilla.cuda.cublaslt"));
    assertThat(new CudaExamination(List.of("/no/a.so"), List.of(stub)).findings())
        .contains(
            new Finding(
                "NVIDIA driver",
                "NVIDIA's driver library was not found (tried /no/a.so)",
                "install driver 580 or newer, or name the file with -Dflotilla.cuda.driver"));
  }

  @Test
  void takesTheFastestAlgorithmThatWasNotRefused() throws Exception {
    Driver driver = driver("timing");
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment candidates = arena.allocate(3 * 8);
      List<Long> used = new ArrayList<>();
      List<Long> delayed = new ArrayList<>();
      AlgorithmTrial trial = new AlgorithmTrial(driver, delayed::add, candidates, 3, 8);
      int tried = 3 * AlgorithmTrial.ROUNDS + 2 * AlgorithmTrial.FINAL_ROUNDS;
      for (int i = 0; i < tried + 1; i++) {
        int status =
            trial.run(
                0,
                algorithm -> {
                  long index = (algorithm.address() - candidates.address()) / 8;
                  used.add(index);
                  return index == 2 ? 15 : 0;
                });
        assertThat(status).isZero();
      }
      // The stub says that each stretch of time is shorter than the one before: first the last that
      // was not refused is the fastest, and then the other, as it comes after that.
      assertThat(used.subList(0, 4 * AlgorithmTrial.ROUNDS)).endsWith(0L, 1L, 2L, 0L);
      assertThat(used.subList(4 * AlgorithmTrial.ROUNDS, used.size()))
          .startsWith(1L, 0L, 1L)
          .endsWith(1L, 0L, 0L);
      assertThat(delayed).hasSize(tried);
    }
  }

  @Test
  void givesNothingWhereMemoryIsOut() throws Exception {
    assertThat(driver("full").allocate(1L << 40)).isZero();
  }

  @Test
  void reachesAnotherDevice() throws Exception {
    Driver driver = driver("peers");
    assertThat(driver.canReach(0, 1)).isTrue();
    assertThat(driver.canReach(1, 0)).isFalse();
    // Already enabled by another rank on the same device.
    driver.reach(66);
    Driver apart = driver("apart", "-DREACH=217");
    assertThatThrownBy(() -> apart.reach(66))
        .isInstanceOf(CudaException.class)
        .hasMessage("cuCtxEnablePeerAccess failed: an error of the stub (217)");
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
