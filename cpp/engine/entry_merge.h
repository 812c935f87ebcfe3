// The entries of several bundles in the order of one index.
//
// A name may be in one bundle only, but for a partitioned tensor: its parts may be spread
// over any number of them.  The united entry lists the parts in the order of the bundles,
// as TensorFlow does.
//
// Ownership: borrows the bundles.
//
// Threads: one thread.
//
// Trust: everything in the entries is from disk; each is checked as it is decoded.

#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string_view>

#include "base/status.h"
#include "engine/bundle.h"
#include "format/entry.h"

namespace tensorbundle::engine {

// `bundle` is the index of the one that the entry is from; of a united entry, any of them:
// it has no shard.  The entry is the visitor's to change.
using EntryVisitor =
    std::function<Status(size_t bundle, std::string_view key, format::Entry& entry)>;

// Visits all entries, but the headers, in the order of their keys.
//
// Errors: kAlreadyExists  a tensor, or the same part of one, is in two bundles, or they
//                         disagree about its dtype or shape
//         kBadSlice       parts of a tensor overlap
//         those of Bundle::Decode() and of the index's blocks
Status ForEachEntry(std::span<const Bundle* const> bundles, const EntryVisitor& visit);

}  // namespace tensorbundle::engine
