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
#include "checksum/fingerprint.h"
#include "format/entry.h"
#include "format/table.h"
#include "io/storage.h"

namespace tensorbundle::engine {

class IndexWriter {
 public:
  // All bytes of the file also go to `fingerprinter`, unless it is null.
  explicit IndexWriter(io::WritableFile& file,
                       checksum::Fingerprinter* fingerprinter = nullptr);

  // REQUIRES: called once, first
  Status AddHeader(const format::Header& header);

  // Errors: kBadKeyOrder, kDuplicateKey, kLimitExceeded, whatever the file returns
  Status Add(std::string_view name, const format::Entry& entry);

  // Like Add(), of an entry that is encoded, or of the header.
  Status AddValue(std::string_view key, Bytes value);

  // Writes what is left.  REQUIRES: called once, last
  Status Finish();

  uint64_t size() const { return table_.size(); }  // bytes of the file so far

 private:
  Status Append(Bytes bytes);
  Status Flush();

  io::WritableFile& file_;
  checksum::Fingerprinter* const fingerprinter_;  // may be null
  std::string buffer_;
  uint64_t written_ = 0;  // bytes
  std::string value_;     // of the entry being added; kept for its memory
  format::TableBuilder table_;
};

}  // namespace tensorbundle::engine
