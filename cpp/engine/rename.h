// Gives tensors other names, by writing the index anew; no data file is touched.
//
// The values of the index stay as they are, byte for byte; keys change, and so does their
// order.  The parts of a partitioned tensor have its name in their keys, and follow it.  The
// new index is published as a save's is (engine/commit.h, steps 6 and 7): a crash leaves the
// old one or the new one, and either goes with the data files.
//
// Or else the renamed bundle gets a place of its own, with the data files as hard links
// (engine/shard_adoption.h), and the source is left alone.  It is published as a save is, and
// replaces what is there.
//
// Threads: a Rename() is called on one thread; one to another place starts its own.
//
// Trust: the index is from disk; its blocks and keys are checked.  In place its values are not
// looked at, so that a damaged entry neither hinders nor is mended; to another place they are,
// and the data files must be there, and long enough for them.

#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "engine/shard_adoption.h"
#include "io/storage.h"

namespace tensorbundle::engine {

struct NewName {
  std::string from;
  std::string to;
};

struct RenameOptions {
  std::string destination;  // prefix; empty: in place
  // To another place:
  AdoptionOptions adoption;
};

struct RenameReport {
  uint64_t num_tensors = 0;  // in the bundle
  uint64_t num_renamed = 0;
  uint64_t index_bytes = 0;
  AdoptionReport adopted;  // in place nothing is
};

// All at once: names may be exchanged.
//
// Errors: kInvalidArgument  a new name is empty, or is a key that parts have; or one tensor
//                           is renamed twice
//         kNotFound         a tensor that is to be renamed is not there
//         kAlreadyExists    two tensors would have one name
//         kLocked           a save of this prefix, or of the destination, is under way
//         kCheckpointGone   the source was replaced while its data files were linked
//         kSystem (ENOENT: no index), kLimitExceeded, those of Bundle::Open() and of
//         format/table.h; to another place also those of DecodeEntry() and AdoptShards()
Result<RenameReport> Rename(const std::shared_ptr<io::Storage>& storage,
                            const std::string& prefix, std::span<const NewName> names,
                            const RenameOptions& options = {});

}  // namespace tensorbundle::engine
