// Finds keys in a table, fast where they come in ascending order.
//
// A lookup remembers where it found the last key.  The next one is looked for among the
// entries behind it before the table is searched anew; so to find all keys, in order, takes
// little more than to go through the table.
//
// Ownership: a TableLookup borrows its table, and so do the values it returns.
//
// Threads: one thread per TableLookup.
//
// Trust: see format/table.h; a block is checked before it is looked into.

#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "format/block.h"
#include "format/table.h"

namespace tensorbundle::format {

class TableLookup {
 public:
  explicit TableLookup(const TableReader& table) : table_(table) {}

  // Like TableReader::Find().
  Result<std::optional<Bytes>> Find(std::string_view key);

 private:
  bool StepTo(std::string_view key);
  Result<std::optional<Bytes>> Seek(std::string_view key);
  std::optional<Bytes> ValueIf(std::string_view key) const;

  const TableReader& table_;
  size_t block_ = 0;                    // that of entry_
  std::optional<BlockIterator> entry_;  // at an entry, where there is one
};

}  // namespace tensorbundle::format
