#include "engine/spare_files.h"

#include <unistd.h>

#include <iterator>
#include <utility>

#include "engine/save_id.h"
#include "format/naming.h"

namespace tensorbundle::engine {
namespace {

// A file may be so much larger than what is written into it, besides an eighth: else cutting
// it would cost what is to be saved.
constexpr uint64_t kSlack = uint64_t{1} << 20;  // bytes

bool Fits(uint64_t size, uint64_t wanted) {
  return size > wanted ? size - wanted <= wanted / 8 + kSlack : size >= wanted / 2;
}

uint64_t KeyOf(uint64_t key) { return key; }
template <typename Value>
uint64_t KeyOf(const std::pair<const uint64_t, Value>& item) {
  return item.first;
}

uint64_t Distance(uint64_t a, uint64_t b) { return a > b ? a - b : b - a; }

// Of an ordered container, the item whose size is nearest to `size`, whether it fits or not.
template <typename Container>
auto Nearest(Container& items, uint64_t size) {
  const auto above = items.lower_bound(size);
  if (above == items.begin()) return above;
  const auto below = std::prev(above);
  if (above == items.end()) return below;
  return Distance(KeyOf(*above), size) <= Distance(KeyOf(*below), size) ? above : below;
}

}  // namespace

SpareFiles::SpareFiles(std::shared_ptr<io::Storage> storage)
    : storage_(std::move(storage)), process_(::getpid()) {}

SpareFiles::~SpareFiles() { Clear(); }

// Before the mutex is touched: a child may have been forked while a thread of its parent's
// held it.
bool SpareFiles::IsOurs() const { return ::getpid() == process_; }

void SpareFiles::Expect(io::Storage& storage, const std::string& directory,
                        const std::vector<uint64_t>& sizes) {
  if (!IsOurs()) return;
  Spares useless;
  {
    const std::lock_guard lock(mutex_);
    Spares before = std::exchange(spares_, {});
    wanted_ = std::multiset<uint64_t>(sizes.begin(), sizes.end());
    wanted_.erase(0);
    if (std::exchange(directory_, directory) != directory) useless.swap(before);
    while (!before.empty()) {
      auto spare = before.extract(before.begin());
      const auto use = Nearest(wanted_, spare.key());
      const bool fits = use != wanted_.end() && Fits(spare.key(), *use);
      if (fits) wanted_.erase(use);
      (fits ? spares_ : useless).insert(std::move(spare));
    }
  }
  for (const auto& [size, spare] : useless) static_cast<void>(storage.Remove(spare.path));
}

bool SpareFiles::Keep(io::Storage& storage, const std::string& path, bool is_settled) {
  if (!IsOurs() || !format::PrefixOfShardName(io::BaseNameOf(path)).has_value()) return false;
  const std::lock_guard lock(mutex_);
  if (wanted_.empty() || io::DirectoryOf(path) != directory_) return false;
  uint64_t size = 0;
  Spare spare = {format::TemporaryPath(path, NewSaveId()), {}, is_settled};
  {
    const auto file = storage.OpenForRead(path);
    if (!file.ok()) return false;
    size = (*file)->size();
    spare.identity = (*file)->identity();
  }
  const auto use = Nearest(wanted_, size);
  if (!Fits(size, *use) || !storage.Rename(path, spare.path).ok()) return false;
  wanted_.erase(use);
  spares_.emplace(size, std::move(spare));
  return true;
}

// One sync for all of them.
bool SpareFiles::Settle(io::Storage& storage) {
  if (!storage.SyncDirectory(directory_).ok()) return false;
  for (auto& [size, spare] : spares_) spare.is_settled = true;
  return true;
}

std::unique_ptr<io::WritableFile> SpareFiles::Take(io::Storage& storage,
                                                   const std::string& path, uint64_t size) {
  if (!IsOurs()) return nullptr;
  const std::lock_guard lock(mutex_);
  if (io::DirectoryOf(path) != directory_) return nullptr;
  for (;;) {
    const auto found = Nearest(spares_, size);
    if (found == spares_.end() || !Fits(found->first, size)) return nullptr;
    const bool is_settled = found->second.is_settled || Settle(storage);
    const auto spare = spares_.extract(found);
    wanted_.insert(spare.key());
    // Where it cannot be renamed, others have swept it, mostly.
    if (!is_settled || !storage.Rename(spare.mapped().path, path).ok()) {
      static_cast<void>(storage.Remove(spare.mapped().path));
      continue;
    }
    auto file = storage.ReopenDirect(path, spare.mapped().identity);
    if (file.ok()) return std::move(file).value();
    static_cast<void>(storage.Remove(path));
  }
}

bool SpareFiles::Has(const std::string& path) const {
  if (!IsOurs()) return false;
  const std::lock_guard lock(mutex_);
  for (const auto& [size, spare] : spares_) {
    if (spare.path == path) return true;
  }
  return false;
}

void SpareFiles::Clear() {
  if (!IsOurs()) return;
  Spares spares;
  {
    const std::lock_guard lock(mutex_);
    spares.swap(spares_);
    wanted_.clear();
    directory_.clear();
  }
  for (const auto& [size, spare] : spares) static_cast<void>(storage_->Remove(spare.path));
}

}  // namespace tensorbundle::engine
