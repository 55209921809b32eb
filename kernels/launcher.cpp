// Runs a kernel's blocks over a small thread pool. Blocks are taken from a shared counter, and each block's work is
// its own, so results do not depend on the number of threads. Workers sleep between launches: they do not spin against
// another library's threads.
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "host.hpp"

#define TF_EXPORT extern "C" __attribute__((visibility("default")))

namespace {

using HostKernel = void (*)(const BlockRange*, void**);

class Pool {
 public:
  ~Pool() {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    for (auto& worker : workers_) worker.join();
  }

  void launch(HostKernel kernel, dim3 grid, dim3 block, void** arguments, unsigned n_threads) {
    const uint32_t n_blocks = grid.x * grid.y * grid.z;
    if (n_threads <= 1 || n_blocks <= 1) {
      const BlockRange range{grid, block, 0, n_blocks};
      kernel(&range, arguments);
      return;
    }
    std::lock_guard<std::mutex> one_launch(launch_mutex_);
    {
      std::lock_guard<std::mutex> lock(mutex_);
      try {
        while (workers_.size() < n_threads - 1) workers_.emplace_back([this] { work(); });
      } catch (const std::system_error&) {
        // The system gives no more threads: those there are do the work, with the same result.
      }
      kernel_ = kernel;
      arguments_ = arguments;
      grid_ = grid;
      block_ = block;
      n_blocks_ = n_blocks;
      // Eight turns per thread even out blocks of unequal work.
      stride_ = n_blocks / (n_threads * 8) + 1;
      next_.store(0, std::memory_order_relaxed);
      wanted_ = static_cast<unsigned>(workers_.size()) < n_threads - 1 ? static_cast<unsigned>(workers_.size())
                                                                       : n_threads - 1;
      ++generation_;
    }
    wake_.notify_all();
    take_blocks();
    std::unique_lock<std::mutex> lock(mutex_);
    wanted_ = 0;  // a worker that has not woken yet has nothing left to do
    done_.wait(lock, [this] { return running_ == 0; });
  }

 private:
  void take_blocks() {
    for (;;) {
      const uint32_t begin = next_.fetch_add(stride_, std::memory_order_relaxed);
      if (begin >= n_blocks_) return;
      const uint32_t end = begin + stride_ < n_blocks_ ? begin + stride_ : n_blocks_;
      const BlockRange range{grid_, block_, begin, end};
      kernel_(&range, arguments_);
    }
  }

  void work() {
    uint64_t seen = 0;
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      wake_.wait(lock, [&] { return stopping_ || (generation_ != seen && wanted_ > 0); });
      if (stopping_) return;
      seen = generation_;
      --wanted_;
      ++running_;
      lock.unlock();
      take_blocks();
      lock.lock();
      if (--running_ == 0) done_.notify_one();
    }
  }

  std::mutex launch_mutex_, mutex_;
  std::condition_variable wake_, done_;
  std::vector<std::thread> workers_;
  std::atomic<uint32_t> next_{0};
  HostKernel kernel_ = nullptr;
  void** arguments_ = nullptr;
  dim3 grid_{}, block_{};
  uint32_t n_blocks_ = 0, stride_ = 1;
  unsigned wanted_ = 0, running_ = 0;
  uint64_t generation_ = 0;
  bool stopping_ = false;
};

Pool& pool() {
  static Pool* instance = new Pool;  // never destroyed: threads must not be joined while the process unloads libraries
  return *instance;
}

}  // namespace

TF_EXPORT void tf_launch(HostKernel kernel, const uint32_t* grid, const uint32_t* block, void** arguments,
                         unsigned n_threads) {
  pool().launch(kernel, {grid[0], grid[1], grid[2]}, {block[0], block[1], block[2]}, arguments, n_threads);
}
