/* The part of libcuda that the tests call, with the layouts of cuda.h 13.0. */
#include <stdio.h>
#include <string.h>

#ifndef INIT
#define INIT 0
#endif
#ifndef VERSION
#define VERSION 13000
#endif
#ifndef MAJOR
#define MAJOR 9
#endif

typedef struct {
  int id;
  char pad[4];
  union {
    char bytes[64];
    int value;
  };
} Attribute;

typedef struct {
  unsigned grid[3];
  unsigned block[3];
  unsigned sharedBytes;
  void* stream;
  Attribute* attributes;
  unsigned count;
} LaunchConfig;

int cuInit(unsigned flags) { return INIT; }

int cuDriverGetVersion(int* version) {
  *version = VERSION;
  return 0;
}

int cuDeviceGetCount(int* count) {
  *count = 2;
  return 0;
}

int cuDeviceGetName(char* name, int length, int device) {
  snprintf(name, length, "Stub %d", device);
  return 0;
}

int cuDeviceGetAttribute(int* value, int attribute, int device) {
  *value = attribute == 75 ? MAJOR : attribute == 76 ? (MAJOR == 7 ? 5 : 0) : 132;
  return 0;
}

int cuDeviceTotalMem_v2(size_t* bytes, int device) {
  *bytes = 80ull << 30;
  return 0;
}

int cuDeviceCanAccessPeer(int* can, int device, int peer) {
  *can = device == 0;
  return 0;
}

size_t cublasLtGetVersion(void) { return 130100; }

int cuGetErrorString(int error, const char** text) {
  *text = "an error of the stub";
  return 0;
}

int cuMemAlloc_v2(unsigned long long* address, size_t bytes) { return 2; }

int cuMemcpyHtoDAsync_v2(unsigned long long to, const void* from, size_t bytes, void* stream) {
  return 0;
}

int cuMemcpyDtoHAsync_v2(void* to, unsigned long long from, size_t bytes, void* stream) {
  return 0;
}

int cuStreamSynchronize(void* stream) { return 0; }

int cuStreamIsCapturing(void* stream, int* status) {
  *status = 0;
  return 0;
}

int cuEventCreate(unsigned long long* event, unsigned flags) {
  static unsigned long long events;
  *event = ++events;
  return 0;
}

int cuEventRecord(unsigned long long event, void* stream) { return 0; }

int cuEventSynchronize(unsigned long long event) { return 0; }

int cuEventDestroy_v2(unsigned long long event) { return 0; }

int cuEventElapsedTime_v2(float* time, unsigned long long start, unsigned long long end) {
  *time = 100.0f - start;
  return 0;
}

int cuGraphLaunch(void* graph, void* stream) { return 0; }

int cuLibraryGetKernel(void** kernel, void* library, const char* name) {
  *kernel = (void*)55;
  return library == (void*)77 && strcmp(name, "a_kernel") == 0 ? 0 : 500;
}

int cuKernelSetAttribute(int attribute, int value, void* kernel, int device) {
  return attribute == 8 && value == 64 << 10 && kernel == (void*)55 && device == 0 ? 0 : 1;
}

int cuDeviceCanAccessPeer(int* can, int device, int peer) {
  *can = device == 0 && peer == 1;
  return 0;
}

#ifndef REACH
#define REACH 704
#endif
int cuCtxEnablePeerAccess(void* context, unsigned flags) {
  return context == (void*)66 && flags == 0 ? REACH : 1;
}

#ifndef WITHOUT_LAUNCH
int cuLaunchKernelEx(const LaunchConfig* config, void* kernel, void** parameters, void** extra) {
  int right = config->grid[0] == 2 && config->grid[1] == 3 && config->grid[2] == 4 &&
              config->block[0] == 128 && config->block[1] == 1 && config->block[2] == 1 &&
              config->sharedBytes == 64 << 10 && config->stream == (void*)99 &&
              config->count == 1 && config->attributes->id == 6 && config->attributes->value == 1 &&
              sizeof(Attribute) == 72 && sizeof(LaunchConfig) == 56 && kernel == (void*)55 &&
              *(unsigned long long*)parameters[0] == 0x1234567890ull &&
              *(int*)parameters[1] == 42 && *(float*)parameters[2] == 0.5f && extra == NULL;
  return right ? 0 : 1;
}
#endif
