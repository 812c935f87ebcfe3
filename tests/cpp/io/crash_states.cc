#include "io/crash_states.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <unordered_set>
#include <utility>

#include "base/bytes.h"
#include "io/memory_storage.h"
#include "io/write_fate.h"

namespace tensorbundle::io {
namespace {

using Kind = Effect::Kind;
using Names = std::map<std::string, uint64_t>;

constexpr uint64_t kChunk = 4096;                         // bytes: files are small
constexpr uint64_t kFirstFileBefore = uint64_t{1} << 32;  // numbers of files of before

bool IsOfNames(Kind kind) {
  return kind == Kind::kCreate || kind == Kind::kRename || kind == Kind::kLink ||
         kind == Kind::kRemove || kind == Kind::kMakeDirectory ||
         kind == Kind::kRemoveDirectory;
}

void Unname(Names& names, const std::string& path, uint64_t file) {
  const auto found = names.find(path);
  if (found != names.end() && found->second == file) names.erase(found);
}

void ApplyToNames(const Effect& effect, uint64_t file, Names& names,
                  std::set<std::string>& directories) {
  switch (effect.kind) {
    case Kind::kCreate: names[effect.path] = file; break;
    case Kind::kRename:
      Unname(names, effect.path, file);
      names[effect.destination] = file;
      break;
    case Kind::kLink: names[effect.destination] = file; break;
    case Kind::kRemove: Unname(names, effect.path, file); break;
    case Kind::kMakeDirectory: directories.insert(effect.path); break;
    case Kind::kRemoveDirectory: directories.erase(effect.path); break;
    default: break;
  }
}

uint64_t HashOf(const DiskImage& image) {
  uint64_t hash = 0;
  const auto add = [&](const std::string& text) {
    hash = hash * 0x9e3779b97f4a7c15u + std::hash<std::string>()(text);
  };
  for (const auto& [path, content] : image.files) {
    add(path);
    add(content);
  }
  for (const std::string& path : image.directories) add(path);
  return hash;
}

}  // namespace

// Some un-synced effects that share a fate, and what that may be.
struct CrashStates::Change {
  std::vector<size_t> effects;  // in the log
  // One for each choice: a fate for each effect.
  std::vector<std::vector<WriteFate>> fates;
};

DiskImage ImageOf(Storage& storage, const std::string& directory) {
  DiskImage image;
  image.directories.insert(directory);
  const auto names = storage.List(directory);
  EXPECT_TRUE(names.ok()) << names.status().ToString();
  for (const std::string& name : *names) {
    std::string& content = image.files[directory + "/" + name];
    const auto file = storage.OpenForRead(directory + "/" + name);
    EXPECT_TRUE(file.ok()) << file.status().ToString();
    content.resize((*file)->size());
    const MutableBytes bytes = std::as_writable_bytes(std::span(content));
    EXPECT_TRUE((*file)->ReadAt(0, bytes).ok());
  }
  return image;
}

std::unique_ptr<Storage> MakeStorageFrom(const DiskImage& image) {
  std::unique_ptr<Storage> storage = MakeMemoryStorage(kChunk);
  for (const std::string& path : image.directories) {
    EXPECT_TRUE(storage->MakeDirectory(path).ok());
  }
  for (const auto& [path, content] : image.files) {
    const auto file = storage->Create(path);
    EXPECT_TRUE(file.ok()) << file.status().ToString();
    EXPECT_TRUE((*file)->WriteAt(0, AsBytes(content)).ok());
    EXPECT_TRUE((*file)->Close().ok());
  }
  return storage;
}

CrashStates::CrashStates(DiskImage before, std::vector<Effect> log)
    : before_(std::move(before)), log_(std::move(log)), named_(log_.size()) {
  uint64_t number = kFirstFileBefore;
  for (const auto& [path, content] : before_.files) {
    contents_before_[number] = content;
    names_before_[path] = number++;
  }
  Names names = names_before_;
  std::set<std::string> directories;
  for (size_t i = 0; i < log_.size(); ++i) {
    Effect& effect = log_[i];
    if (!IsOfNames(effect.kind)) {
      const bool is_by_name = effect.kind != Kind::kSyncDirectory && effect.file == 0;
      if (is_by_name) effect.file = names[effect.path];
      continue;
    }
    named_[i] = effect.kind == Kind::kCreate ? effect.file : names[effect.path];
    ApplyToNames(effect, named_[i], names, directories);
  }
}

std::vector<size_t> CrashStates::Points() const {
  std::vector<size_t> points;
  for (size_t i = 0; i < log_.size(); ++i) {
    const Kind kind = log_[i].kind;
    if (kind == Kind::kSync || kind == Kind::kSyncDirectory) points.push_back(i);
  }
  points.push_back(log_.size());
  return points;
}

std::vector<CrashStates::Change> CrashStates::PendingAt(const CrashPoint& point) const {
  std::set<uint64_t> synced_files;
  std::set<std::string> synced_directories;
  const bool in_order = point.order == NameOrder::kJournal;
  std::vector<Change> changes;
  Change names;  // of the journal: a first part of them is there
  for (size_t i = point.end; i-- > 0;) {
    const Effect& effect = log_[i];
    if (effect.kind == Kind::kSync) {
      synced_files.insert(effect.file);
    } else if (effect.kind == Kind::kSyncDirectory) {
      synced_directories.insert(effect.path);
    } else if (!IsOfNames(effect.kind)) {
      if (synced_files.contains(effect.file)) continue;
      changes.push_back({{i}, {}});
      for (const WriteFate fate : FatesOf(effect)) changes.back().fates.push_back({fate});
    } else if (in_order) {
      if (synced_directories.empty()) names.effects.insert(names.effects.begin(), i);
    } else if (!synced_directories.contains(DirectoryOf(
                   effect.kind == Kind::kLink ? effect.destination : effect.path))) {
      changes.push_back({{i}, {{WriteFate::kLost}, {WriteFate::kThere}}});
    }
  }
  for (size_t there = 0; there <= names.effects.size() && !names.effects.empty(); ++there) {
    std::vector<WriteFate> fate(names.effects.size(), WriteFate::kLost);
    std::fill_n(fate.begin(), there, WriteFate::kThere);
    // All lost, then all there: what the extremes below are made of.
    const auto place = there == names.effects.size() ? 1 : names.fates.size();
    names.fates.insert(names.fates.begin() + static_cast<ptrdiff_t>(place), std::move(fate));
  }
  if (!names.effects.empty()) changes.push_back(std::move(names));
  return changes;
}

DiskImage CrashStates::Build(size_t end, const std::map<size_t, WriteFate>& decided) const {
  const auto fate_of = [&](size_t effect) {
    const auto found = decided.find(effect);
    return found == decided.end() ? WriteFate::kThere : found->second;
  };
  DiskImage image;
  image.directories = before_.directories;
  Names names = names_before_;
  for (size_t i = 0; i < end; ++i) {
    if (IsOfNames(log_[i].kind) && fate_of(i) != WriteFate::kLost) {
      ApplyToNames(log_[i], named_[i], names, image.directories);
    }
  }
  std::multimap<uint64_t, std::string*> contents;  // of files that still have a name
  for (const auto& [path, file] : names) {
    // Where the directory is lost, what was in it cannot be reached.
    if (!image.directories.contains(DirectoryOf(path))) continue;
    const auto before = contents_before_.find(file);
    contents.emplace(file, &image.files[path]);
    if (before != contents_before_.end()) image.files[path] = before->second;
  }
  for (size_t i = 0; i < end; ++i) {
    if (IsOfNames(log_[i].kind)) continue;
    const auto [first, last] = contents.equal_range(log_[i].file);
    for (auto found = first; found != last; ++found) {
      Apply(*found->second, log_[i], fate_of(i));
    }
  }
  return image;
}

DiskImage CrashStates::Final() const { return Build(log_.size(), {}); }

// Shows each combination of fates once.
class CrashStates::Builder {
 public:
  using Visitor = std::function<void(const DiskImage&)>;

  Builder(const CrashStates& states, const CrashPoint& point, const Visitor& visit)
      : states_(states),
        point_(point),
        visit_(visit),
        changes_(states.PendingAt(point)),
        chosen_(changes_.size(), 0) {}

  CrashCount Run() {
    size_t combinations = 1;
    for (const Change& change : changes_) {
      combinations = std::min(combinations * change.fates.size(), kMaxCombined + 1);
    }
    if (combinations <= kMaxCombined) {
      TryAll();
    } else {
      count_.sampled = 1;
      TryExtremes(0);
      TryExtremes(1);
      TryRandom();
    }
    return count_;
  }

 private:
  void TryAll() {
    for (;;) {
      Show();
      size_t digit = 0;
      while (digit < changes_.size() && ++chosen_[digit] == changes_[digit].fates.size()) {
        chosen_[digit++] = 0;
      }
      if (digit == changes_.size()) return;
    }
  }

  void TryExtremes(size_t others) {
    for (size_t i = 0; i < changes_.size(); ++i) {
      std::fill(chosen_.begin(), chosen_.end(), others);
      for (chosen_[i] = 0; chosen_[i] < changes_[i].fates.size(); ++chosen_[i]) Show();
    }
  }

  void TryRandom() {
    std::mt19937 random(point_.seed);
    for (size_t i = 0; i < kMaxCombined; ++i) {
      for (size_t change = 0; change < changes_.size(); ++change) {
        chosen_[change] = random() % changes_[change].fates.size();
      }
      Show();
    }
  }

  void Show() {
    std::map<size_t, WriteFate> decided;
    for (size_t change = 0; change < changes_.size(); ++change) {
      const auto& [effects, fates] = changes_[change];
      for (size_t i = 0; i < effects.size(); ++i) {
        decided[effects[i]] = fates[chosen_[change]][i];
      }
    }
    const DiskImage image = states_.Build(point_.end, decided);
    if (!shown_.insert(HashOf(image)).second) return;
    ++count_.states;
    visit_(image);
  }

  const CrashStates& states_;
  const CrashPoint point_;
  const Visitor& visit_;
  const std::vector<Change> changes_;
  std::vector<size_t> chosen_;  // by change: its fate
  std::unordered_set<uint64_t> shown_;
  CrashCount count_;
};

CrashCount CrashStates::ForEach(const CrashPoint& point,
                                const std::function<void(const DiskImage&)>& visit) const {
  return Builder(*this, point, visit).Run();
}

}  // namespace tensorbundle::io
