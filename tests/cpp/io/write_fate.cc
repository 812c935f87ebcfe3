#include "io/write_fate.h"

#include <algorithm>

#include "base/alignment.h"

namespace tensorbundle::io {
namespace {

using Kind = Effect::Kind;

constexpr uint64_t kSector = 512;
constexpr uint64_t kPage = 4096;

// The last boundary inside [offset, offset + size); none: its start.
uint64_t Cut(const Effect& write, uint64_t unit) {
  const uint64_t middle = write.offset + (write.bytes.size() + 1) / 2;
  const uint64_t cut = AlignUp(middle, unit);
  return cut < write.offset + write.bytes.size() ? cut : AlignDown(middle, unit);
}

bool HasCut(const Effect& write, uint64_t unit) { return Cut(write, unit) > write.offset; }

void Lengthen(std::string& content, uint64_t size) {
  if (content.size() < size) content.resize(size, '\0');
}

void Put(std::string& content, const Effect& write, uint64_t begin, uint64_t end) {
  Lengthen(content, end);
  content.replace(begin, end - begin, write.bytes, begin - write.offset, end - begin);
}

void ApplyWrite(std::string& content, const Effect& write, WriteFate fate) {
  using enum WriteFate;
  const uint64_t begin = write.offset;
  const uint64_t end = begin + write.bytes.size();
  const bool of_pages = fate == kHeadOfPages || fate == kTailOfPages;
  const uint64_t cut = Cut(write, of_pages ? kPage : kSector);
  if (fate != kShortHead && fate != kLost) Lengthen(content, end);
  switch (fate) {
    case kThere: return Put(content, write, begin, end);
    case kStale:
      std::fill(content.begin() + static_cast<ptrdiff_t>(begin),
                content.begin() + static_cast<ptrdiff_t>(end), '\xa5');
      return;
    case kHeadOfSectors:
    case kHeadOfPages:
    case kShortHead: return Put(content, write, begin, cut);
    case kTailOfSectors:
    case kTailOfPages: return Put(content, write, cut, end);
    default: return;
  }
}

}  // namespace

std::vector<WriteFate> FatesOf(const Effect& effect) {
  using enum WriteFate;
  if (effect.kind != Kind::kWrite) return {kLost, kThere};
  std::vector<WriteFate> fates = {kLost, kThere, kLengthOnly, kStale};
  if (HasCut(effect, kSector)) {
    fates.insert(fates.end(), {kHeadOfSectors, kTailOfSectors, kShortHead});
  }
  if (HasCut(effect, kPage)) fates.insert(fates.end(), {kHeadOfPages, kTailOfPages});
  return fates;
}

void Apply(std::string& content, const Effect& effect, WriteFate fate) {
  if (fate == WriteFate::kLost) return;
  if (effect.kind == Kind::kAllocate) Lengthen(content, effect.size);
  if (effect.kind == Kind::kTruncate) content.resize(effect.size, '\0');
  if (effect.kind == Kind::kWrite) ApplyWrite(content, effect, fate);
}

}  // namespace tensorbundle::io
