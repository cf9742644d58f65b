// Runs the threads of a block one after another on one thread of the host, each on a stack of its
// own: a thread runs until it waits for others, of its warp or of its block.
#pragma once
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <functional>

struct Place {
  unsigned x, y, z;
};

namespace fibers {

constexpr int MOST = 1024;
constexpr int WARP = 32;
constexpr size_t STACK_BYTES = 64 << 10;

// Leaves one stack for another: what a call preserves is on the stack that is left.
asm(R"(
.text
.type change_stack, @function
change_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size change_stack, .-change_stack
)");
extern "C" void change_stack(void** from, void* to);

enum State { RUNNABLE, AT_WARP, AT_BLOCK, DONE };

// What lanes of a warp show each other, in turns: whoever is one exchange ahead has seen all others
// arrive at it, and so read the one before.
struct Exchange {
  uint64_t words[2][WARP][4];
  unsigned number;
};

struct Block {
  Place thread, block, blocks, threads;
  void* scheduler;
  void* stacks[MOST];
  State states[MOST];
  Exchange exchanges[MOST / WARP];
  unsigned numbers[MOST];  // exchanges that a thread has begun
  int at_warp[MOST / WARP];  // threads that wait, and that are done
  int done_in_warp[MOST / WARP];
  int at_block;
  int done;
  int count;
  int current;
  int votes;
  int verdict;
  char* memory;
  const std::function<void()>* body;
};

inline thread_local Block* running;

inline Block& here() { return *running; }

inline void run_other() {
  Block& b = here();
  int from = b.current;
  for (int step = 1; step <= b.count; step++) {
    int next = (from + step) % b.count;
    if (b.states[next] == RUNNABLE) {
      if (next != from) {
        b.current = next;
        b.thread.x = next;
        change_stack(&b.stacks[from], b.stacks[next]);
      }
      return;
    }
  }
  if (b.states[from] != DONE) {
    fprintf(stderr, "a block's threads all wait, and not for the same\n");
    abort();
  }
  change_stack(&b.stacks[from], b.scheduler);
}

// Lets threads from `first` on go on that wait as `waiting`.
inline void release(State waiting, int first, int end) {
  Block& b = here();
  for (int i = first; i < end; i++) {
    if (b.states[i] == waiting) {
      b.states[i] = RUNNABLE;
    }
  }
}

// Lets a warp go on once all of it wait.
inline void release_warp(int warp) {
  Block& b = here();
  int first = warp * WARP;
  int lanes = b.count - first < WARP ? b.count - first : WARP;
  if (b.at_warp[warp] > 0 && b.at_warp[warp] + b.done_in_warp[warp] == lanes) {
    b.at_warp[warp] = 0;
    release(AT_WARP, first, first + lanes);
  }
}

// Lets the block go on once all of it wait.
inline void release_block() {
  Block& b = here();
  if (b.at_block > 0 && b.at_block + b.done == b.count) {
    b.at_block = 0;
    release(AT_BLOCK, 0, b.count);
    b.verdict = b.votes;
    b.votes = 1;
  }
}

// Runs others until this thread may go on.
inline void wait_as(State state) {
  Block& b = here();
  b.states[b.current] = state;
  if (state == AT_WARP) {
    b.at_warp[b.current / WARP]++;
    release_warp(b.current / WARP);
  } else {
    b.at_block++;
    release_block();
  }
  if (b.states[b.current] != RUNNABLE) {
    run_other();
  }
}

inline void await_warp() { wait_as(AT_WARP); }

// Whether all threads of the block say yes.
inline bool await_block(bool yes) {
  here().votes &= yes;
  wait_as(AT_BLOCK);
  return here().verdict;
}

// What this lane shows, and what the others of its warp do.
inline uint64_t (*exchange(const uint64_t* mine, int words))[4] {
  Block& b = here();
  int thread = b.current;
  unsigned half = b.numbers[thread]++ & 1;
  uint64_t(*all)[4] = b.exchanges[thread / WARP].words[half];
  memcpy(all[thread % WARP], mine, words * 8);
  await_warp();
  return all;
}

inline void live() {
  (*here().body)();
  Block& b = here();
  b.states[b.current] = DONE;
  b.done++;
  b.done_in_warp[b.current / WARP]++;
  release_warp(b.current / WARP);
  release_block();
  run_other();
}

inline void begin(void** stack, char* memory) {
  void** top = reinterpret_cast<void**>(memory + STACK_BYTES) - 2;
  *top = reinterpret_cast<void*>(live);
  *stack = top - 6;
}

// Runs all blocks of a launch.
inline void launch(Place blocks, int threads, const std::function<void()>& body) {
  static thread_local Block b;
  if (b.memory == nullptr) {
    b.memory = static_cast<char*>(mmap(nullptr, MOST * STACK_BYTES, PROT_READ | PROT_WRITE,
                                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  }
  running = &b;
  b.body = &body;
  b.count = threads;
  b.blocks = blocks;
  b.threads = {(unsigned)threads, 1, 1};
  for (unsigned z = 0; z < blocks.z; z++) {
    for (unsigned y = 0; y < blocks.y; y++) {
      for (unsigned x = 0; x < blocks.x; x++) {
        b.block = {x, y, z};
        b.thread = {0, 0, 0};
        b.current = 0;
        b.votes = 1;
        b.done = 0;
        memset(b.done_in_warp, 0, sizeof(b.done_in_warp));
        for (int i = 0; i < threads; i++) {
          b.states[i] = RUNNABLE;
          b.numbers[i] = 0;
          begin(&b.stacks[i], b.memory + i * STACK_BYTES);
        }
        change_stack(&b.scheduler, b.stacks[0]);
      }
    }
  }
}

}  // namespace fibers
