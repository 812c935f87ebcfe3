#include "engine/fingerprints.h"

#include <algorithm>
#include <cstdint>

#include "engine/extents.h"
#include "engine/thread_pool.h"

namespace tensorbundle::engine {
namespace {

using checksum::Fingerprint;

constexpr uint64_t kStagedPiece = 256u << 10;  // bytes: as many as the second-level cache has

// Bytes [begin, end) of a tensor; begin is a multiple of kExtentSize.
struct Piece {
  uint32_t tensor = 0;
  uint64_t begin = 0;
  uint64_t end = 0;
};

// Pieces [begin, end) of all, together about an extent.
struct Run {
  size_t begin = 0;
  size_t end = 0;
};

std::vector<Piece> CutIntoPieces(std::span<const TensorView> tensors) {
  std::vector<Piece> pieces;
  for (uint32_t i = 0; i < tensors.size(); ++i) {
    uint64_t begin = 0;
    do {
      const uint64_t end = std::min(tensors[i].size, begin + kExtentSize);
      pieces.push_back({i, begin, end});
      begin = end;
    } while (begin < tensors[i].size);
  }
  return pieces;
}

std::vector<Run> GroupIntoRuns(std::span<const Piece> pieces) {
  std::vector<Run> runs;
  uint64_t bytes = kExtentSize;  // of the last run; the first has to be begun
  for (size_t i = 0; i < pieces.size(); ++i) {
    if (bytes >= kExtentSize) {
      runs.push_back({i, i});
      bytes = 0;
    }
    bytes += pieces[i].end - pieces[i].begin;
    runs.back().end = i + 1;
  }
  return runs;
}

// Errors: those of StagedSource::Read()
Result<Fingerprint> OfPiece(const TensorView& tensor, const Piece& piece,
                            const checksum::FingerprintKey& key,
                            std::vector<std::byte>& buffer) {
  checksum::Fingerprinter fingerprinter(key);
  const uint64_t size = piece.end - piece.begin;
  if (tensor.staged == nullptr) {
    fingerprinter.Update(tensor.contiguous.subspan(piece.begin, size));
    return fingerprinter.value();
  }
  buffer.resize(kStagedPiece);
  for (uint64_t offset = piece.begin; offset < piece.end; offset += kStagedPiece) {
    const MutableBytes bytes =
        MutableBytes(buffer).first(std::min(kStagedPiece, piece.end - offset));
    TB_RETURN_IF_ERROR(tensor.staged->Read(offset, bytes));
    fingerprinter.Update(bytes);
  }
  return fingerprinter.value();
}

// Asks whether to stop; what is done is told of the save, which is still to come.
class StopOnly final : public Observer {
 public:
  explicit StopOnly(Observer* observer) : observer_(observer) {}
  bool Poll(uint64_t, uint64_t total) override {
    return observer_ == nullptr || observer_->Poll(0, total);
  }

 private:
  Observer* const observer_;
};

}  // namespace

Result<std::vector<Fingerprint>> TakeFingerprints(std::span<const TensorView> tensors,
                                                  const checksum::FingerprintKey& key,
                                                  const FingerprintOptions& options) {
  const std::vector<Piece> pieces = CutIntoPieces(tensors);
  const std::vector<Run> runs = GroupIntoRuns(pieces);
  std::vector<Fingerprint> of_pieces(pieces.size());
  StopOnly observer(options.observer);
  RunOptions run;
  run.num_threads = std::min(options.num_threads, runs.size());
  run.observer = &observer;
  for (const TensorView& tensor : tensors) run.total_bytes += tensor.size;
  TB_RETURN_IF_ERROR(RunJobs(
      runs.size(),
      [&](size_t index, JobContext& context) {
        std::vector<std::byte> buffer;  // for what has to be gathered
        for (size_t i = runs[index].begin; i < runs[index].end; ++i) {
          const TensorView& tensor = tensors[pieces[i].tensor];
          TB_ASSIGN_OR_RETURN(of_pieces[i], OfPiece(tensor, pieces[i], key, buffer));
        }
        return context.CheckStopped();
      },
      run));
  std::vector<Fingerprint> fingerprints(tensors.size());
  for (size_t i = 0; i < pieces.size(); ++i) {
    Fingerprint& whole = fingerprints[pieces[i].tensor];
    const uint64_t size = pieces[i].end - pieces[i].begin;
    whole = pieces[i].begin == 0 ? of_pieces[i] : Combine(key, whole, of_pieces[i], size);
  }
  return fingerprints;
}

}  // namespace tensorbundle::engine
