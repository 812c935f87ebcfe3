// Goes through a table entry by entry, at the pace of whoever goes through several.
//
// Ownership: a TableCursor borrows its table.
//
// Threads: one thread per TableCursor.
//
// Trust: see format/table.h; a block is checked before its first entry is given.

#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/status.h"
#include "format/block.h"
#include "format/table.h"

namespace tensorbundle::format {

class TableCursor {
 public:
  // Stands before the first entry.
  explicit TableCursor(const TableReader& table) : table_(&table) {}

  // Moves to the next entry; false at the end, and at a fault, which status() tells.
  bool Next();

  // Errors: those of TableReader::Open()
  const Status& status() const { return status_; }

  // Valid until the cursor moves; the value as long as the table.  REQUIRES: Next() was true
  // NOLINTBEGIN(bugprone-unchecked-optional-access): by Next()
  std::string_view key() const { return entry_->key(); }
  Bytes value() const { return entry_->value(); }
  // NOLINTEND(bugprone-unchecked-optional-access)

 private:
  const TableReader* table_;
  size_t next_block_ = 0;
  std::optional<BlockIterator> entry_;  // of the block before next_block_
  Status status_;
};

}  // namespace tensorbundle::format
