// What a disk may hold after a power cut: every state that file systems allow.
//
// The idea is ALICE's (Pillai et al., OSDI'14): from the log of what was asked for
// (io/recording_storage.h), up to any point, build each state that may be found when the
// machine comes back, and let a checker judge it.  The model, and why it is legal:
//
//   Bytes.  What a file was told before its last Sync() is there.  Each later write is
//     there, or not, or only its length is (delayed allocation and unwritten extents: ext4
//     and XFS show zeros), or in part: cut at a sector of 512 bytes or a page of 4 KiB,
//     either side of the cut, with the length of the whole or of the part; or as what the
//     blocks held before (ext4 with data=writeback).  A later reservation or truncation
//     took place or not.  Nothing orders un-synced changes of bytes.
//   Names.  What a directory was told before its last SyncDirectory() is there.  Of the
//     later creations, renames and removals
//       kJournal  a first part is there, over all directories in the order of the calls, and
//                 a sync of any directory covers them all: ext4 and XFS, whose journals are
//                 in order
//       kAny      any of them are there, directory by directory: all that POSIX says, and
//                 what file systems without such an order may do
//     A rename is never there in half: that, every journal promises.  Sync() of a file says
//     nothing of its name.
//
// Pretended weaker than real ones: fdatasync(2) on ext4 and XFS often makes names durable
// as well, and what is older than some seconds is mostly there.
//
// Bounds: with few un-synced changes all combinations are tried; with more (kMaxCombined),
// each change alone against all others lost and against all others there, and then as many
// combinations drawn at random from a fixed seed.  States that look the same are shown
// once.
//
// Not covered: a disk that loses what it has acknowledged, or damages what it has kept.

#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "io/recording_storage.h"
#include "io/storage.h"
#include "io/write_fate.h"

namespace tensorbundle::io {

constexpr size_t kMaxCombined = 1024;  // combinations tried at one point

// All files by path, and all directories.
struct DiskImage {
  std::map<std::string, std::string> files;
  std::set<std::string> directories;
  bool operator==(const DiskImage&) const = default;
};

// The directory and the files in it.
DiskImage ImageOf(Storage& storage, const std::string& directory);

std::unique_ptr<Storage> MakeStorageFrom(const DiskImage& image);

enum class NameOrder : uint8_t { kJournal, kAny };

struct CrashPoint {
  size_t end = 0;  // the power went when so many changes had been asked for
  NameOrder order = NameOrder::kAny;
  uint32_t seed = 1;
};

struct CrashCount {
  size_t states = 0;   // different ones, each shown once
  size_t sampled = 0;  // of the points, those with too many combinations to try all
};

class CrashStates {
 public:
  // `before` is durable; `log` is what was asked for from then on.
  CrashStates(DiskImage before, std::vector<Effect> log);

  // Where there is something new to find: before every sync, and at the end.  A crash
  // elsewhere leaves a state that one of these leaves as well.
  std::vector<size_t> Points() const;

  CrashCount ForEach(const CrashPoint& point,
                     const std::function<void(const DiskImage&)>& visit) const;

  // What is there if the power stays.
  DiskImage Final() const;

 private:
  struct Change;
  class Builder;

  std::vector<Change> PendingAt(const CrashPoint& point) const;
  DiskImage Build(size_t end, const std::map<size_t, WriteFate>& decided) const;

  const DiskImage before_;
  std::vector<Effect> log_;  // every change of bytes with its file's number
  std::map<std::string, uint64_t> names_before_;  // to the files' numbers
  std::map<uint64_t, std::string> contents_before_;
  std::vector<uint64_t> named_;  // by effect: the file whose name it changes
};

}  // namespace tensorbundle::io
