// A driver and a cuBLASLt that run the kernels on the CPU: streams are threads, device memory is the
// process's own. As slow as it is, it does what a GPU of compute capability 8.0 does, on as many as
// EMULATED_GPUS says.
#include "machine.h"
// Order is that of kernels.cu, less what needs Hopper's instructions.
#include "elementwise.cuh"
#include "skinny.cuh"
#include "rotate.cuh"
#include "attention.cuh"
#include "decode_attention.cuh"
#include "prefill_attention.cuh"
#include "experts.cuh"
#include "expert_products.cuh"
#include "sampling_cut.cuh"
#include "sampling.cuh"
#include "peers.cuh"
#include "spread.cuh"

#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include <sys/mman.h>

thread_local unsigned char memory[256 << 10] __attribute__((aligned(1024)));
thread_local float4 row[16 << 10];

namespace {

using Task = std::function<void()>;

// Whatever is enqueued runs in order, on the stream's own thread.
struct Queue {
  std::mutex lock;
  std::condition_variable changed;
  std::deque<Task> tasks;
  bool busy = false;
  bool ended = false;
  bool capturing = false;
  std::vector<Task> captured;
  std::thread thread{[this] { run(); }};

  void add(Task task) {
    std::lock_guard<std::mutex> guard(lock);
    if (capturing) {
      captured.push_back(std::move(task));
    } else {
      tasks.push_back(std::move(task));
    }
    changed.notify_all();
  }

  void run() {
    std::unique_lock<std::mutex> guard(lock);
    while (true) {
      changed.wait(guard, [this] { return ended || !tasks.empty(); });
      if (tasks.empty()) {
        return;
      }
      Task task = std::move(tasks.front());
      tasks.pop_front();
      busy = true;
      guard.unlock();
      task();
      guard.lock();
      busy = false;
      changed.notify_all();
    }
  }

  void drain() {
    std::unique_lock<std::mutex> guard(lock);
    changed.wait(guard, [this] { return !busy && tasks.empty(); });
  }

  ~Queue() {
    {
      std::lock_guard<std::mutex> guard(lock);
      ended = true;
      changed.notify_all();
    }
    thread.join();
  }
};

struct Event {
  std::mutex lock;
  std::condition_variable changed;
  long recorded = 0;
  long passed = 0;
  long long time = 0;

  void await(long number) {
    std::unique_lock<std::mutex> guard(lock);
    changed.wait(guard, [=] { return passed >= number; });
  }
};

using Recording = std::vector<Task>;
using Kernel = std::function<Task(void**)>;

template <class... A, size_t... I>
Task taken(void (*kernel)(A...), void** values, std::index_sequence<I...>) {
  std::tuple<A...> arguments(*static_cast<A*>(values[I])...);
  return [=] { std::apply(kernel, arguments); };
}

template <class... A>
Kernel known(void (*kernel)(A...)) {
  return [=](void** values) { return taken(kernel, values, std::index_sequence_for<A...>()); };
}

#define KERNEL(NAME) {#NAME, known(NAME)}
std::map<std::string, Kernel> kernels = {
#include "kernel_names.inc"
};

struct Configuration {
  uint32_t blocks[3];
  uint32_t threads[3];
  uint32_t shared_bytes;
  Queue* stream;
};

int devices() {
  const char* wanted = getenv("EMULATED_GPUS");
  return wanted == nullptr ? 1 : atoi(wanted);
}

std::atomic<size_t> allocated{0};
constexpr size_t MEMORY = 4l << 30;
std::mutex sizes_lock;
std::map<uint64_t, size_t> sizes;
std::map<uint64_t, size_t> pinned;

// Whether copies of host memory take place when the stream comes to them, not before the call ends.
bool is_pinned(uint64_t address) {
  std::lock_guard<std::mutex> guard(sizes_lock);
  auto above = pinned.upper_bound(address);
  return above != pinned.begin() && address < std::prev(above)->first + std::prev(above)->second;
}

}  // namespace

extern "C" {
int cuInit(unsigned) { return 0; }
int cuDeviceGetCount(int* count) { return *count = devices(), 0; }
int cuDriverGetVersion(int* version) { return *version = 13000, 0; }
int cuDeviceGetName(char* name, int length, int device) {
  return snprintf(name, length, "emulated %d", device), 0;
}
int cuDeviceGetAttribute(int* value, int attribute, int) {
  constexpr int MULTIPROCESSORS = 16, MAJOR = 75;
  *value = attribute == MAJOR ? 8 : attribute == MULTIPROCESSORS ? 4 : 0;
  return 0;
}
int cuDeviceTotalMem_v2(size_t* bytes, int) { return *bytes = MEMORY, 0; }
int cuDevicePrimaryCtxRetain(long* context, int device) { return *context = device + 1, 0; }
int cuDevicePrimaryCtxRelease_v2(int) { return 0; }
int cuCtxSetCurrent(long) { return 0; }
int cuDeviceCanAccessPeer(int* can, int, int) { return *can = 1, 0; }
int cuCtxEnablePeerAccess(long, unsigned) { return 0; }
int cuMemGetInfo_v2(size_t* left, size_t* total) {
  *total = MEMORY;
  *left = MEMORY - std::min(MEMORY, allocated.load());
  return 0;
}

// Memory ends where a page does, and has no neighbours, so that what is outside is a fault.
constexpr size_t GUARD = 1 << 20;
size_t whole_pages(size_t bytes) { return (bytes + 4095) / 4096 * 4096; }

int cuMemAlloc_v2(uint64_t* address, size_t bytes) {
  size_t whole = (bytes + 255) / 256 * 256;
  size_t pages = whole_pages(whole);
  char* mapped = static_cast<char*>(mmap(nullptr, pages + 2 * GUARD, PROT_NONE,
                                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  mprotect(mapped + GUARD, pages, PROT_READ | PROT_WRITE);
  // Not numbers, so that what is read before it was written shows.
  void* memory = memset(mapped + GUARD + pages - whole, 0xff, whole);
  *address = reinterpret_cast<uint64_t>(memory);
  std::lock_guard<std::mutex> guard(sizes_lock);
  sizes[*address] = whole;
  allocated += whole;
  return 0;
}
int cuMemFree_v2(uint64_t address) {
  std::lock_guard<std::mutex> guard(sizes_lock);
  size_t whole = sizes[address];
  allocated -= whole;
  sizes.erase(address);
  size_t pages = whole_pages(whole);
  munmap(reinterpret_cast<char*>(address + whole - pages - GUARD), pages + 2 * GUARD);
  return 0;
}
int cuMemHostAlloc(void** memory, size_t bytes, unsigned) {
  size_t whole = (bytes + 255) / 256 * 256;
  *memory = aligned_alloc(256, whole);
  std::lock_guard<std::mutex> guard(sizes_lock);
  pinned[reinterpret_cast<uint64_t>(*memory)] = whole;
  return 0;
}
int cuMemFreeHost(void* memory) {
  std::lock_guard<std::mutex> guard(sizes_lock);
  pinned.erase(reinterpret_cast<uint64_t>(memory));
  return free(memory), 0;
}
int cuMemsetD8Async(uint64_t at, unsigned char value, size_t bytes, Queue* stream) {
  return stream->add([=] { memset(reinterpret_cast<void*>(at), value, bytes); }), 0;
}
int cuMemcpyAsync(uint64_t to, uint64_t from, size_t bytes, Queue* stream) {
  stream->add([=] { memcpy(reinterpret_cast<void*>(to), reinterpret_cast<void*>(from), bytes); });
  return 0;
}
int cuMemcpyHtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, Queue* stream) {
  if (is_pinned(from)) {
    return cuMemcpyAsync(to, from, bytes, stream);
  }
  const char* first = reinterpret_cast<const char*>(from);
  std::vector<char> copy(first, first + bytes);
  stream->add([=] { memcpy(reinterpret_cast<void*>(to), copy.data(), bytes); });
  return 0;
}
int cuMemcpyDtoHAsync_v2(uint64_t to, uint64_t from, size_t bytes, Queue* stream) {
  cuMemcpyAsync(to, from, bytes, stream);
  if (!is_pinned(to)) {
    stream->drain();
  }
  return 0;
}
int cuStreamCreate(Queue** stream, unsigned) { return *stream = new Queue, 0; }
int cuStreamDestroy_v2(Queue* stream) { return delete stream, 0; }
int cuStreamSynchronize(Queue* stream) { return stream->drain(), 0; }
int cuStreamIsCapturing(Queue* stream, int* status) { return *status = stream->capturing, 0; }
int cuStreamBeginCapture_v2(Queue* stream, int) { return stream->capturing = true, 0; }
int cuStreamEndCapture(Queue* stream, Recording** graph) {
  stream->capturing = false;
  *graph = new Recording(std::move(stream->captured));
  stream->captured.clear();
  return 0;
}
int cuGraphInstantiateWithFlags(Recording** executable, Recording* graph, uint64_t) {
  return *executable = new Recording(*graph), 0;
}
int cuGraphDestroy(Recording* graph) { return delete graph, 0; }
int cuGraphExecDestroy(Recording* graph) { return delete graph, 0; }
int cuGraphLaunch(Recording* graph, Queue* stream) {
  for (const Task& task : *graph) {
    stream->add(task);
  }
  return 0;
}
int cuEventCreate(Event** event, unsigned) { return *event = new Event, 0; }
int cuEventDestroy_v2(Event* event) { return delete event, 0; }
int cuEventRecord(Event* event, Queue* stream) {
  std::unique_lock<std::mutex> guard(event->lock);
  long number = ++event->recorded;
  guard.unlock();
  stream->add([=] {
    std::lock_guard<std::mutex> inside(event->lock);
    event->passed = number;
    event->time = clock64();
    event->changed.notify_all();
  });
  return 0;
}
int cuStreamWaitEvent(Queue* stream, Event* event, unsigned) {
  std::lock_guard<std::mutex> guard(event->lock);
  long number = event->recorded;
  stream->add([=] { event->await(number); });
  return 0;
}
int cuEventQuery(Event* event) {
  constexpr int NOT_READY = 600;
  std::lock_guard<std::mutex> guard(event->lock);
  return event->passed >= event->recorded ? 0 : NOT_READY;
}
int cuEventSynchronize(Event* event) { return event->await(event->recorded), 0; }
int cuEventElapsedTime_v2(float* milliseconds, Event* start, Event* end) {
  return *milliseconds = (end->time - start->time) / 1e6f, 0;
}
int cuLibraryLoadData(long* library, const void*, void*, void*, unsigned, void*, void*, unsigned) {
  return *library = 1, 0;
}
int cuLibraryUnload(long) { return 0; }
int cuLibraryGetKernel(Kernel** kernel, long, const char* name) {
  auto found = kernels.find(name);
  constexpr int NOT_FOUND = 500;
  if (found == kernels.end()) {
    return NOT_FOUND;
  }
  return *kernel = &found->second, 0;
}
int cuKernelSetAttribute(int, int bytes, Kernel*, int) { return bytes > (int)sizeof(memory); }
int cuLaunchKernelEx(const Configuration* how, Kernel* kernel, void** values, void**) {
  constexpr int INVALID = 1;
  for (int i = 0; i < 3; i++) {
    if (how->blocks[i] == 0 || (i > 0 && how->blocks[i] > 65535)) {
      return INVALID;
    }
  }
  Task task = (*kernel)(values);
  Place blocks = {how->blocks[0], how->blocks[1], how->blocks[2]};
  int threads = (int)how->threads[0];
  how->stream->add([=] { fibers::launch(blocks, threads, task); });
  return 0;
}
int cuGetErrorString(int status, const char** text) {
  static thread_local char line[64];
  snprintf(line, sizeof(line), "the emulated driver says %d", status);
  return *text = line, 0;
}

struct Matrix {
  int type;
  uint64_t rows, columns;
  int64_t stride;
};
size_t cublasLtGetVersion() { return 130000; }
int cublasLtCreate(long* handle) { return *handle = 1, 0; }
int cublasLtDestroy(long) { return 0; }
int cublasLtMatmulDescCreate(long* description, int, int) { return *description = 1, 0; }
int cublasLtMatmulDescSetAttribute(long, int, const void*, size_t) { return 0; }
int cublasLtMatmulPreferenceCreate(long* preference) { return *preference = 1, 0; }
int cublasLtMatmulPreferenceSetAttribute(long, int, const void*, size_t) { return 0; }
int cublasLtMatrixLayoutCreate(Matrix** made, int type, uint64_t rows, uint64_t columns,
                               int64_t stride) {
  return *made = new Matrix{type, rows, columns, stride}, 0;
}
int cublasLtMatmulAlgoGetHeuristic(long, long, Matrix*, Matrix*, Matrix*, Matrix*, long, int,
                                   void*, int* count) {
  return *count = 1, 0;
}
int cublasLtMatmul(long, long, const float*, const bf16* weights, const Matrix* of_weights,
                   const bf16* x, const Matrix* of_x, const float*, void*, Matrix*, void* out,
                   const Matrix* of_out, const void*, void*, size_t, Queue* stream) {
  Matrix w = *of_weights, in = *of_x, to = *of_out;
  stream->add([=] {
    std::vector<float> inputs(in.rows);
    for (uint64_t r = 0; r < in.columns; r++) {
      for (uint64_t k = 0; k < in.rows; k++) {
        inputs[k] = (float)x[r * in.stride + k];
      }
      for (uint64_t o = 0; o < w.columns; o++) {
        float sum = 0;
        for (uint64_t k = 0; k < in.rows; k++) {
          sum += inputs[k] * (float)weights[o * w.stride + k];
        }
        if (to.type == 0) {
          static_cast<float*>(out)[r * to.stride + o] = sum;
        } else {
          static_cast<bf16*>(out)[r * to.stride + o] = bf16(sum);
        }
      }
    }
  });
  return 0;
}
}
