package io.flotilla.kernels.cuda;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;

/**
 * CUDA's driver API (libcuda), as far as it is needed. Handles of contexts, streams, kernels and
 * graphs, and device addresses, are longs. No call is marked critical, because most can block.
 */
final class Driver {
  static final int COMPUTE_CAPABILITY_MAJOR = 75;
  static final int COMPUTE_CAPABILITY_MINOR = 76;
  static final int MULTIPROCESSORS = 16;
  private static final int OUT_OF_MEMORY = 2;
  private static final int NO_DEVICE = 100;
  private static final int CAPTURE_THREAD_LOCAL = 1;
  private static final int NON_BLOCKING = 1;
  private static final int NOT_READY = 600;
  private static final int PEER_ACCESS_ALREADY_ENABLED = 704;
  private static final int PORTABLE = 1;
  private static final int DISABLE_TIMING = 2;
  private static final int MAX_DYNAMIC_SHARED_BYTES = 8;

  private final NativeLibrary library;
  private final MethodHandle launch;
  private final MethodHandle copyToDevice;
  private final MethodHandle copyToHost;
  private final MethodHandle synchronize;
  private final MethodHandle launchGraph;

  Driver(NativeLibrary library) {
    this.library = library;
    this.launch = library.function("cuLaunchKernelEx", ADDRESS, JAVA_LONG, ADDRESS, ADDRESS);
    this.copyToDevice =
        library.function("cuMemcpyHtoDAsync_v2", JAVA_LONG, ADDRESS, JAVA_LONG, JAVA_LONG);
    this.copyToHost =
        library.function("cuMemcpyDtoHAsync_v2", ADDRESS, JAVA_LONG, JAVA_LONG, JAVA_LONG);
    this.synchronize = library.function("cuStreamSynchronize", JAVA_LONG);
    this.launchGraph = library.function("cuGraphLaunch", JAVA_LONG, JAVA_LONG);
  }

  String path() {
    return library.path();
  }

  /** Starts the driver and counts its devices; 0 also where the driver says there is none. */
  int start() {
    int status = library.call("cuInit", 0);
    if (status == NO_DEVICE) {
      return 0;
    }
    check("cuInit", status);
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment count = arena.allocate(JAVA_INT);
      check("cuDeviceGetCount", library.call("cuDeviceGetCount", count));
      return count.get(JAVA_INT, 0);
    }
  }

  /** The newest CUDA this driver runs, as 1000 * major + 10 * minor. */
  int version() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment version = arena.allocate(JAVA_INT);
      check("cuDriverGetVersion", library.call("cuDriverGetVersion", version));
      return version.get(JAVA_INT, 0);
    }
  }

  String deviceName(int device) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment name = arena.allocate(JAVA_BYTE, 256);
      check("cuDeviceGetName", library.call("cuDeviceGetName", name, 256, device));
      return name.getString(0);
    }
  }

  int attribute(int device, int attribute) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment value = arena.allocate(JAVA_INT);
      int status = library.call("cuDeviceGetAttribute", value, attribute, device);
      check("cuDeviceGetAttribute", status);
      return value.get(JAVA_INT, 0);
    }
  }

  /** Bytes of a device's memory. */
  long totalMemory(int device) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment bytes = arena.allocate(JAVA_LONG);
      check("cuDeviceTotalMem", library.call("cuDeviceTotalMem_v2", bytes, device));
      return bytes.get(JAVA_LONG, 0);
    }
  }

  /** The device's primary context, which cuBLASLt uses too. */
  long retainContext(int device) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment context = arena.allocate(JAVA_LONG);
      check("cuDevicePrimaryCtxRetain", library.call("cuDevicePrimaryCtxRetain", context, device));
      return context.get(JAVA_LONG, 0);
    }
  }

  /** Makes a context current on this thread. */
  void enterContext(long context) {
    check("cuCtxSetCurrent", library.call("cuCtxSetCurrent", context));
  }

  void releaseContext(int device) {
    library.call("cuDevicePrimaryCtxRelease_v2", device);
  }

  /** Free and total bytes of the current context's device. */
  long[] memory() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment values = arena.allocate(JAVA_LONG, 2);
      check("cuMemGetInfo", library.call("cuMemGetInfo_v2", values, values.asSlice(8)));
      return new long[] {values.get(JAVA_LONG, 0), values.get(JAVA_LONG, 8)};
    }
  }

  /** Device memory, or 0 when there is not that much. */
  long allocate(long bytes) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment address = arena.allocate(JAVA_LONG);
      int status = library.call("cuMemAlloc_v2", address, bytes);
      if (status == OUT_OF_MEMORY) {
        return 0;
      }
      check("cuMemAlloc", status);
      return address.get(JAVA_LONG, 0);
    }
  }

  void free(long address) {
    check("cuMemFree", library.call("cuMemFree_v2", address));
  }

  void clear(long address, long bytes, long stream) {
    check("cuMemsetD8Async", library.call("cuMemsetD8Async", address, 0, bytes, stream));
  }

  long createStream() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment stream = arena.allocate(JAVA_LONG);
      check("cuStreamCreate", library.call("cuStreamCreate", stream, NON_BLOCKING));
      return stream.get(JAVA_LONG, 0);
    }
  }

  void destroyStream(long stream) {
    library.call("cuStreamDestroy_v2", stream);
  }

  void copyToDevice(long to, MemorySegment from, long bytes, long stream) {
    try {
      check("cuMemcpyHtoDAsync", (int) copyToDevice.invokeExact(to, from, bytes, stream));
    } catch (Throwable e) {
      throw rethrown("cuMemcpyHtoDAsync", e);
    }
  }

  void copyToHost(MemorySegment to, long from, long bytes, long stream) {
    try {
      check("cuMemcpyDtoHAsync", (int) copyToHost.invokeExact(to, from, bytes, stream));
    } catch (Throwable e) {
      throw rethrown("cuMemcpyDtoHAsync", e);
    }
  }

  /** Copies device memory, also from one device to another that can reach it. */
  void copyBetweenDevices(long to, long from, long bytes, long stream) {
    check("cuMemcpyAsync", library.call("cuMemcpyAsync", to, from, bytes, stream));
  }

  /** Whether a device can read another's memory. */
  boolean canReach(int device, int peer) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment can = arena.allocate(JAVA_INT);
      int status = library.call("cuDeviceCanAccessPeer", can, device, peer);
      check("cuDeviceCanAccessPeer", status);
      return can.get(JAVA_INT, 0) != 0;
    }
  }

  /** Lets the current context's kernels read the memory of another device's context. */
  void reach(long peerContext) {
    int status = library.call("cuCtxEnablePeerAccess", peerContext, 0);
    if (status != PEER_ACCESS_ALREADY_ENABLED) {
      check("cuCtxEnablePeerAccess", status);
    }
  }

  void synchronize(long stream) {
    try {
      check("cuStreamSynchronize", (int) synchronize.invokeExact(stream));
    } catch (Throwable e) {
      throw rethrown("cuStreamSynchronize", e);
    }
  }

  /** Page-locked host memory, readable by every context. */
  @SuppressWarnings("restricted")
  MemorySegment allocateHost(long bytes) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment pointer = arena.allocate(ADDRESS);
      check("cuMemHostAlloc", library.call("cuMemHostAlloc", pointer, bytes, PORTABLE));
      return pointer.get(ADDRESS, 0).reinterpret(bytes);
    }
  }

  void freeHost(MemorySegment memory) {
    library.call("cuMemFreeHost", memory);
  }

  long createEvent() {
    return createEvent(DISABLE_TIMING);
  }

  /** An event that {@link #milliseconds} takes. */
  long createTimedEvent() {
    return createEvent(0);
  }

  private long createEvent(int flags) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment event = arena.allocate(JAVA_LONG);
      check("cuEventCreate", library.call("cuEventCreate", event, flags));
      return event.get(JAVA_LONG, 0);
    }
  }

  /** Time between two events that have passed. */
  float milliseconds(long start, long end) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment time = arena.allocate(JAVA_FLOAT);
      check("cuEventElapsedTime", library.call("cuEventElapsedTime_v2", time, start, end));
      return time.get(JAVA_FLOAT, 0);
    }
  }

  void destroyEvent(long event) {
    library.call("cuEventDestroy_v2", event);
  }

  void recordEvent(long event, long stream) {
    check("cuEventRecord", library.call("cuEventRecord", event, stream));
  }

  /** What is enqueued from here on waits for the event as it was recorded last, on any device. */
  void waitForEvent(long stream, long event) {
    check("cuStreamWaitEvent", library.call("cuStreamWaitEvent", stream, event, 0));
  }

  /** Whether the work before the event is done. */
  boolean isEventPassed(long event) {
    int status = library.call("cuEventQuery", event);
    if (status == NOT_READY) {
      return false;
    }
    check("cuEventQuery", status);
    return true;
  }

  void awaitEvent(long event) {
    check("cuEventSynchronize", library.call("cuEventSynchronize", event));
  }

  /** Loads a fatbin; the driver keeps its own copy. */
  long loadKernels(MemorySegment fatbin) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment loaded = arena.allocate(JAVA_LONG);
      MemorySegment none = MemorySegment.NULL;
      int status = library.call("cuLibraryLoadData", loaded, fatbin, none, none, 0, none, none, 0);
      check("cuLibraryLoadData", status);
      return loaded.get(JAVA_LONG, 0);
    }
  }

  void unloadKernels(long kernels) {
    library.call("cuLibraryUnload", kernels);
  }

  /** A kernel of a loaded fatbin. */
  long kernel(long kernels, String name) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment kernel = arena.allocate(JAVA_LONG);
      MemorySegment cName = arena.allocateFrom(name);
      check(
          "cuLibraryGetKernel of " + name,
          library.call("cuLibraryGetKernel", kernel, kernels, cName));
      return kernel.get(JAVA_LONG, 0);
    }
  }

  /** Lets a kernel use that much dynamic shared memory. */
  void allowSharedBytes(long kernel, int bytes, int device) {
    int status =
        library.call("cuKernelSetAttribute", MAX_DYNAMIC_SHARED_BYTES, bytes, kernel, device);
    check("cuKernelSetAttribute to " + bytes + " bytes", status);
  }

  /** {@code configuration} is a CUlaunchConfig, {@code parameters} an array of pointers. */
  void launch(MemorySegment configuration, long kernel, MemorySegment parameters) {
    try {
      int status = (int) launch.invokeExact(configuration, kernel, parameters, MemorySegment.NULL);
      check("cuLaunchKernelEx", status);
    } catch (Throwable e) {
      throw rethrown("cuLaunchKernelEx", e);
    }
  }

  /** Whether the stream's work is recorded, not run. */
  boolean isCapturing(long stream) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment status = arena.allocate(JAVA_INT);
      check("cuStreamIsCapturing", library.call("cuStreamIsCapturing", stream, status));
      return status.get(JAVA_INT, 0) != 0;
    }
  }

  /** From here on the stream's work is recorded, not run. */
  void beginCapture(long stream) {
    check(
        "cuStreamBeginCapture",
        library.call("cuStreamBeginCapture_v2", stream, CAPTURE_THREAD_LOCAL));
  }

  /** Ends a recording and makes it ready to be launched. */
  long endCapture(long stream) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment graph = arena.allocate(JAVA_LONG);
      check("cuStreamEndCapture", library.call("cuStreamEndCapture", stream, graph));
      MemorySegment executable = arena.allocate(JAVA_LONG);
      long recorded = graph.get(JAVA_LONG, 0);
      check(
          "cuGraphInstantiate",
          library.call("cuGraphInstantiateWithFlags", executable, recorded, 0L));
      check("cuGraphDestroy", library.call("cuGraphDestroy", recorded));
      return executable.get(JAVA_LONG, 0);
    }
  }

  void launchGraph(long graph, long stream) {
    try {
      check("cuGraphLaunch", (int) launchGraph.invokeExact(graph, stream));
    } catch (Throwable e) {
      throw rethrown("cuGraphLaunch", e);
    }
  }

  void destroyGraph(long graph) {
    library.call("cuGraphExecDestroy", graph);
  }

  private void check(String call, int status) {
    if (status != 0) {
      throw new CudaException(call + " failed: " + error(status));
    }
  }

  @SuppressWarnings("restricted")
  private String error(int status) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment text = arena.allocate(ADDRESS);
      if (library.call("cuGetErrorString", status, text) != 0) {
        return "error " + status;
      }
      MemorySegment string = text.get(ADDRESS, 0).reinterpret(1024);
      return string.getString(0) + " (" + status + ")";
    }
  }

  private static RuntimeException rethrown(String call, Throwable thrown) {
    return thrown instanceof CudaException known ? known : NativeLibrary.unexpected(call, thrown);
  }
}
