#include <cassert>
#include <utility>

#include "base/text.h"
#include "checksum/crc32c.h"
#include "format/compression.h"
#include "format/separator.h"
#include "format/table.h"

namespace tensorbundle::format {
namespace {

void PutHandle(std::string& out, const BlockHandle& handle) {
  PutVarint64(out, handle.offset);
  PutVarint64(out, handle.size);
}

Status TooLarge(std::string_view what, uint64_t size, uint64_t limit) {
  return Status(Code::kLimitExceeded, std::string(what) + " of " + std::to_string(size) +
                                          " bytes; the limit is " + std::to_string(limit));
}

}  // namespace

TableBuilder::TableBuilder(Sink sink)
    : sink_(std::move(sink)), data_block_(kRestartInterval), index_block_(1) {}

Status TableBuilder::CheckKey(std::string_view key, std::string_view value) const {
  if (key.size() > kMaxKeySize) return TooLarge("a key", key.size(), kMaxKeySize);
  if (value.size() > kMaxValueSize) return TooLarge("a value", value.size(), kMaxValueSize);
  if (!any_key_ || key > last_key_) return Status();
  if (key == last_key_) {
    return Status(Code::kDuplicateKey, "the key " + Quoted(key) + " is added twice");
  }
  return Status(Code::kBadKeyOrder,
                "the key " + Quoted(key) + " is added after " + Quoted(last_key_));
}

Status TableBuilder::Add(std::string_view key, std::string_view value) {
  TB_RETURN_IF_ERROR(sink_status_);
  TB_RETURN_IF_ERROR(CheckKey(key, value));
  // TensorFlow's rule: an entry that would make a block overlong starts its own.
  if (!data_block_.empty() && key.size() + value.size() >= 2 * kBlockSize) {
    TB_RETURN_IF_ERROR(FlushDataBlock());
  }
  if (pending_handle_.has_value()) AddPendingIndexEntry(ShortestSeparator(last_key_, key));
  data_block_.Add(key, value);
  last_key_ = key;
  any_key_ = true;
  if (data_block_.SizeEstimate() >= kBlockSize) return FlushDataBlock();
  return Status();
}

Status TableBuilder::Finish() {
  TB_RETURN_IF_ERROR(sink_status_);
  TB_RETURN_IF_ERROR(FlushDataBlock());
  BlockBuilder metaindex_block(kRestartInterval);
  TB_ASSIGN_OR_RETURN(const BlockHandle metaindex, WriteBlock(metaindex_block));
  if (pending_handle_.has_value()) AddPendingIndexEntry(ShortSuccessor(last_key_));
  TB_ASSIGN_OR_RETURN(const BlockHandle index, WriteBlock(index_block_));
  return WriteFooter(metaindex, index);
}

Status TableBuilder::FlushDataBlock() {
  if (data_block_.empty()) return Status();
  assert(!pending_handle_.has_value());
  TB_ASSIGN_OR_RETURN(pending_handle_, WriteBlock(data_block_));
  return Status();
}

// Writes `block` and its trailer, and makes it ready for the next entries.
Result<BlockHandle> TableBuilder::WriteBlock(BlockBuilder& block) {
  const Bytes contents = AsBytes(block.Finish());
  const BlockHandle handle{offset_, contents.size()};
  std::string trailer(1, static_cast<char>(Compression::kNone));
  const auto crc = checksum::Extend(checksum::Compute(contents), AsBytes(trailer));
  PutFixed32(trailer, checksum::Mask(crc).value());
  TB_RETURN_IF_ERROR(Write(contents));
  TB_RETURN_IF_ERROR(Write(AsBytes(trailer)));
  block.Reset();
  return handle;
}

Status TableBuilder::WriteFooter(const BlockHandle& metaindex, const BlockHandle& index) {
  std::string footer;
  PutHandle(footer, metaindex);
  PutHandle(footer, index);
  footer.resize(kFooterSize - sizeof(kTableMagic), '\0');
  PutFixed64(footer, kTableMagic);
  return Write(AsBytes(footer));
}

Status TableBuilder::Write(Bytes bytes) {
  sink_status_ = sink_(bytes);
  if (sink_status_.ok()) offset_ += bytes.size();
  return sink_status_;
}

void TableBuilder::AddPendingIndexEntry(std::string_view separator) {
  std::string value;
  // NOLINTNEXTLINE(bugprone-unchecked-optional-access): both callers have asked
  PutHandle(value, *pending_handle_);
  index_block_.Add(separator, value);
  pending_handle_.reset();
}

}  // namespace tensorbundle::format
