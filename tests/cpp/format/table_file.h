// Index files as nobody should write them: every block, handle and separator as the
// test wants it, with checksums that are right, so that they pass the outer gate.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "checksum/crc32c.h"
#include "format/coding.h"
#include "format/table.h"

namespace tensorbundle::format {

using KeysAndValues = std::vector<std::pair<std::string, std::string>>;

// An entry with any lengths, `bytes` after them.
inline std::string RawEntry(uint32_t shared, uint32_t non_shared, uint32_t value_size,
                            std::string_view bytes) {
  std::string out;
  PutVarint32(out, shared);
  PutVarint32(out, non_shared);
  PutVarint32(out, value_size);
  return out.append(bytes);
}

inline std::string RawBlock(std::string_view entries, const std::vector<uint32_t>& restarts,
                            uint32_t num_restarts) {
  std::string out(entries);
  for (const uint32_t restart : restarts) PutFixed32(out, restart);
  PutFixed32(out, num_restarts);
  return out;
}

// A block of these entries in this order, whatever it is, without prefix compression.
inline std::string PlainBlock(const KeysAndValues& entries) {
  std::string out;
  for (const auto& [key, value] : entries) {
    out += RawEntry(0, static_cast<uint32_t>(key.size()), static_cast<uint32_t>(value.size()),
                    key + value);
  }
  return RawBlock(out, {0}, 1);
}

inline std::string HandleBytes(const BlockHandle& handle) {
  std::string out;
  PutVarint64(out, handle.offset);
  PutVarint64(out, handle.size);
  return out;
}

class TableFile {
 public:
  // Appends the block and its trailer.
  BlockHandle Append(std::string_view contents, uint8_t type = 0) {
    const BlockHandle handle{bytes_.size(), contents.size()};
    bytes_ += contents;
    bytes_ += static_cast<char>(type);
    const auto with_type = AsBytes(bytes_).subspan(handle.offset);
    PutFixed32(bytes_, checksum::Mask(checksum::Compute(with_type)).value());
    return handle;
  }

  // Appends a data block and its index entry.
  void AddDataBlock(std::string_view contents, std::string separator, uint8_t type = 0) {
    index_.emplace_back(std::move(separator), HandleBytes(Append(contents, type)));
  }

  // An index entry alone.
  void AddIndexEntry(std::string separator, std::string value) {
    index_.emplace_back(std::move(separator), std::move(value));
  }

  // The file, with the index block and metaindex block it should have.
  std::string Finish(uint8_t index_type = 0) {
    return FinishWithIndex(PlainBlock(index_), index_type);
  }

  std::string FinishWithIndex(std::string_view index_block, uint8_t index_type = 0) {
    const BlockHandle metaindex = Append(RawBlock("", {0}, 1));
    const BlockHandle index = Append(index_block, index_type);
    return FinishWithFooter(HandleBytes(metaindex) + HandleBytes(index));
  }

  // `handles` as the footer's first bytes.
  std::string FinishWithFooter(std::string handles) {
    handles.resize(kFooterSize - sizeof(kTableMagic), '\0');
    PutFixed64(handles, kTableMagic);
    return bytes_ + handles;
  }

  std::string& bytes() { return bytes_; }

 private:
  std::string bytes_;
  KeysAndValues index_;
};

// What TableBuilder makes of these entries.
inline std::string BuildTable(const KeysAndValues& entries) {
  std::string file;
  TableBuilder builder([&file](Bytes bytes) {
    file += AsText(bytes);
    return Status();
  });
  for (const auto& [key, value] : entries) {
    if (!builder.Add(key, value).ok()) return "refused";
  }
  return builder.Finish().ok() ? file : "refused";
}

// Opens the file and reads all of it.
inline Status ReadAll(std::string_view file, KeysAndValues* entries = nullptr) {
  auto reader = TableReader::Open(AsBytes(file));
  if (!reader.ok()) return reader.status();
  return (*reader)->ForEach([entries](std::string_view key, Bytes value) {
    if (entries != nullptr)
      entries->emplace_back(std::string(key), std::string(AsText(value)));
    return Status();
  });
}

inline Code CodeOfTable(std::string_view file) { return ReadAll(file).code(); }

}  // namespace tensorbundle::format
