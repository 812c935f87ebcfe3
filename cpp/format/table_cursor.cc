#include "format/table_cursor.h"

#include <utility>

namespace tensorbundle::format {

bool TableCursor::Next() {
  for (;;) {
    if (entry_.has_value()) {
      if (entry_->Next()) return true;
      status_ = entry_->status();
      entry_.reset();
    }
    if (!status_.ok() || next_block_ == table_->num_blocks()) return false;
    auto contents = table_->CheckedContents(next_block_++);
    if (!contents.ok()) {
      status_ = std::move(contents).status();
      return false;
    }
    entry_.emplace(*contents);
  }
}

}  // namespace tensorbundle::format
