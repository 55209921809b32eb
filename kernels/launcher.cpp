// Runs launches, one after the other, over a small thread pool. The blocks of a launch are taken from a shared counter, and
// each block's work is its own, so results do not depend on the number of threads. Between two launches of one call
// threads wait for each other without sleeping, for a few microseconds. After a call a thread looks out for the next one
// for LINGER, what Python takes to bring it (waking a sleeping thread takes as long again), unless there are more threads
// than cores; then it sleeps. That is the longest that it may stand in the way of another library's threads.
#include <pthread.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "host.hpp"

#define TF_EXPORT extern "C" __attribute__((visibility("default")))

namespace {

using HostKernel = void (*)(const BlockRange*, void**);

// As kernels/cpu.py lays it out.
struct Launch {
  HostKernel kernel;
  uint32_t grid[3], block[3];
  void** arguments;

  uint32_t n_blocks() const { return grid[0] * grid[1] * grid[2]; }
  void run(uint32_t begin, uint32_t end) const {
    const BlockRange range{size(grid), size(block), static_cast<int>(begin), static_cast<int>(end)};
    kernel(&range, arguments);
  }
  static dim3 size(const uint32_t* n) {
    return {static_cast<int>(n[0]), static_cast<int>(n[1]), static_cast<int>(n[2])};
  }
};

// Blocks of one launch: the next to be taken, and how many are done.
struct alignas(64) Progress {
  std::atomic<uint32_t> next{0}, done{0};
};

class Pool {
 public:
  void run(const Launch* const* launches, uint32_t n_launches, unsigned n_threads) {
    bool shared = false;
    for (uint32_t i = 0; i < n_launches; ++i) shared |= launches[i]->n_blocks() > 1;
    if (n_threads <= 1 || !shared) {
      for (uint32_t i = 0; i < n_launches; ++i) launches[i]->run(0, launches[i]->n_blocks());
      return;
    }
    std::lock_guard<std::mutex> one_call(call_mutex_);
    {
      std::lock_guard<std::mutex> lock(mutex_);
      try {
        while (workers_.size() < n_threads - 1) workers_.emplace_back([this] { work(); });
      } catch (const std::system_error&) {
        // The system gives no more threads: those there are do the work, with the same result.
      }
      if (n_progress_ < n_launches) {
        progress_ = std::make_unique<Progress[]>(n_launches);
        n_progress_ = n_launches;
      }
      for (uint32_t i = 0; i < n_launches; ++i) {
        progress_[i].next.store(0, std::memory_order_relaxed);
        progress_[i].done.store(0, std::memory_order_relaxed);
      }
      launches_ = launches;
      n_launches_ = n_launches;
      n_threads_ = n_threads;
      wanted_ = static_cast<unsigned>(workers_.size()) < n_threads - 1 ? static_cast<unsigned>(workers_.size())
                                                                       : n_threads - 1;
      ++generation_;
    }
    wake_.notify_all();
    take_part();
    std::unique_lock<std::mutex> lock(mutex_);
    wanted_ = 0;  // a worker that has not woken yet has nothing left to do
    done_.wait(lock, [this] { return running_ == 0; });
  }

 private:
  // All launches in order; none begins before the one before it is done.
  void take_part() {
    for (uint32_t i = 0; i < n_launches_; ++i) {
      const Launch& launch = *launches_[i];
      Progress& progress = progress_[i];
      const uint32_t n_blocks = launch.n_blocks();
      // Eight turns per thread even out blocks of unequal work.
      const uint32_t stride = n_blocks / (n_threads_ * 8) + 1;
      for (;;) {
        const uint32_t begin = progress.next.fetch_add(stride, std::memory_order_relaxed);
        if (begin >= n_blocks) break;
        const uint32_t end = begin + stride < n_blocks ? begin + stride : n_blocks;
        launch.run(begin, end);
        progress.done.fetch_add(end - begin, std::memory_order_release);
      }
      for (int turn = 0; progress.done.load(std::memory_order_acquire) < n_blocks; ++turn)
        if (turn >= PATIENCE) std::this_thread::yield();
    }
  }

  // Until another call may have begun, but not for long.
  void linger(uint64_t seen, unsigned n_threads) const {
    static const unsigned n_cores = std::thread::hardware_concurrency();
    if (n_threads > n_cores) return;
    const auto end = std::chrono::steady_clock::now() + LINGER;
    while (generation_.load(std::memory_order_relaxed) == seen && std::chrono::steady_clock::now() < end) rest();
  }

  // Leaves the core's execution units to its other thread for a moment.
  static void rest() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("isb");
#endif
  }

  void work() {
    uint64_t seen = 0;
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      const unsigned n_threads = n_threads_;
      lock.unlock();
      linger(seen, n_threads);
      lock.lock();
      wake_.wait(lock, [&] { return generation_ != seen && wanted_ > 0; });
      seen = generation_;
      --wanted_;
      ++running_;
      lock.unlock();
      take_part();
      lock.lock();
      if (--running_ == 0) done_.notify_one();
    }
  }

  static constexpr std::chrono::microseconds LINGER{60};
  static constexpr int PATIENCE = 2000;  // looks at the other threads' progress before others may have the core

  std::mutex call_mutex_, mutex_;
  std::condition_variable wake_, done_;
  std::vector<std::thread> workers_;
  std::unique_ptr<Progress[]> progress_;
  const Launch* const* launches_ = nullptr;
  uint32_t n_progress_ = 0, n_launches_ = 0;
  unsigned n_threads_ = 1, wanted_ = 0, running_ = 0;
  std::atomic<uint64_t> generation_{0};
};

Pool* instance = nullptr;

Pool& pool() {
  // Never destroyed: threads must not be joined while the process unloads libraries. A forked child has none of its
  // parent's threads, and perhaps its locks: it begins anew.
  static const bool made = [] {
    instance = new Pool;
    return pthread_atfork(nullptr, nullptr, [] { instance = new Pool; }) == 0;
  }();
  static_cast<void>(made);
  return *instance;
}

}  // namespace

TF_EXPORT void tf_launch(const void* const* launches, unsigned n_launches, unsigned n_threads) {
  pool().run(reinterpret_cast<const Launch* const*>(launches), n_launches, n_threads);
}

// Hash of the sources that this library was built from.
TF_EXPORT const char* tf_sources() { return TF_SOURCES; }
