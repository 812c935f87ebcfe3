// Writes the index of a bundle: one pass over the entries, in large writes.
//
// Ownership: an IndexWriter borrows its file, which the caller syncs and closes.
//
// Threads: one thread.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"
#include "format/entry.h"
#include "format/table.h"
#include "io/storage.h"

namespace tensorbundle::engine {

class IndexWriter {
 public:
  explicit IndexWriter(io::WritableFile& file);

  // REQUIRES: called once, first
  Status AddHeader(const format::Header& header);

  // Errors: kBadKeyOrder, kDuplicateKey, kLimitExceeded, whatever the file returns
  Status Add(std::string_view name, const format::Entry& entry);

  // Writes what is left.  REQUIRES: called once, last
  Status Finish();

  uint64_t size() const { return table_.size(); }  // bytes of the file so far

 private:
  Status Append(Bytes bytes);
  Status Flush();

  io::WritableFile& file_;
  std::string buffer_;
  uint64_t written_ = 0;  // bytes
  std::string value_;     // of the entry being added; kept for its memory
  format::TableBuilder table_;
};

}  // namespace tensorbundle::engine
