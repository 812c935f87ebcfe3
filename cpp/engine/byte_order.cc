#include "engine/byte_order.h"

#include <algorithm>
#include <vector>

#include "engine/thread_pool.h"

namespace tensorbundle::engine {
namespace {

// What one thread turns round at once: a multiple of every word.
constexpr size_t kPieceSize = 16u << 20;  // bytes

struct Piece {
  MutableBytes bytes;
  size_t word = 1;  // bytes
};

}  // namespace

Status ReverseDestinations(std::span<const ReadRequest> requests, size_t num_threads) {
  std::vector<Piece> pieces;
  RunOptions run;
  for (const ReadRequest& request : requests) {
    const size_t word = format::InfoOf(request.entry.dtype).swap_size;
    if (word == 1) continue;
    run.total_bytes += request.out.size();
    for (size_t at = 0; at < request.out.size(); at += kPieceSize) {
      const size_t size = std::min(kPieceSize, request.out.size() - at);
      pieces.push_back({request.out.subspan(at, size), word});
    }
  }
  run.num_threads = std::clamp<size_t>(num_threads, 1, std::max<size_t>(1, pieces.size()));
  return RunJobs(
      pieces.size(),
      [&](size_t index, JobContext&) {
        ReverseWords(pieces[index].bytes, pieces[index].word);
        return Status();
      },
      run);
}

}  // namespace tensorbundle::engine
