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
  // Of a tensor that is spread: these runs of `bytes`.
  const BoxCopy* copy = nullptr;
  uint64_t first_run = 0;
  uint64_t end_run = 0;
};

void AddSpread(const Spread& spread, size_t word, std::vector<Piece>& pieces) {
  const BoxCopy& copy = spread.copy;
  const uint64_t step = std::max<uint64_t>(1, kPieceSize / copy.run_size());
  for (uint64_t run = 0; run < copy.num_runs(); run += step) {
    const uint64_t end = std::min(run + step, copy.num_runs());
    pieces.push_back({spread.target, word, &copy, run, end});
  }
}

void ReversePiece(const Piece& piece) {
  if (piece.copy == nullptr) return ReverseWords(piece.bytes, piece.word);
  const uint64_t size = piece.copy->run_size();
  for (uint64_t run = piece.first_run; run < piece.end_run; ++run) {
    ReverseWords(piece.bytes.subspan(piece.copy->TargetOffset(run), size), piece.word);
  }
}

}  // namespace

Status ReverseDestinations(std::span<const ReadRequest> requests, size_t num_threads) {
  std::vector<Piece> pieces;
  RunOptions run;
  for (const ReadRequest& request : requests) {
    const size_t word = format::InfoOf(request.entry.dtype).swap_size;
    if (word == 1) continue;
    run.total_bytes += request.out.size();
    if (request.spread != nullptr) {
      run.total_bytes += request.spread->copy.num_runs() * request.spread->copy.run_size();
      AddSpread(*request.spread, word, pieces);
    }
    for (size_t at = 0; at < request.out.size(); at += kPieceSize) {
      const size_t size = std::min(kPieceSize, request.out.size() - at);
      pieces.push_back({request.out.subspan(at, size), word, nullptr, 0, 0});
    }
  }
  run.num_threads = std::clamp<size_t>(num_threads, 1, std::max<size_t>(1, pieces.size()));
  return RunJobs(
      pieces.size(),
      [&](size_t index, JobContext&) {
        ReversePiece(pieces[index]);
        return Status();
      },
      run);
}

}  // namespace tensorbundle::engine
