#include <algorithm>
#include <utility>

#include "base/arithmetic.h"
#include "base/text.h"
#include "checksum/crc32c.h"
#include "format/compression.h"
#include "format/table.h"
#include "format/table_cursor.h"
#include "format/table_lookup.h"

namespace tensorbundle::format {
namespace {

bool ReadHandle(Cursor& cursor, BlockHandle& handle) {
  return cursor.ReadVarint64(handle.offset) && cursor.ReadVarint64(handle.size);
}

// Of a handle that is known to lie inside the file.
uint64_t EndOf(const BlockHandle& handle) {
  return handle.offset + handle.size + kBlockTrailerSize;
}

bool Overlap(const BlockHandle& a, const BlockHandle& b) {
  return a.offset < EndOf(b) && b.offset < EndOf(a);
}

std::string Describe(const BlockHandle& handle) {
  return std::to_string(handle.size) + " bytes at offset " + std::to_string(handle.offset);
}

Status NotAscending(std::string_view key, bool repeats) {
  if (repeats)
    return Status(Code::kDuplicateKey, "the key " + Quoted(key) + " is there twice");
  return Status(Code::kBadKeyOrder,
                "the key " + Quoted(key) + " is less than one that stands before it");
}

class MemorySource final : public TableSource {
 public:
  explicit MemorySource(Bytes bytes) : bytes_(bytes) {}

  uint64_t size() const override { return bytes_.size(); }
  Status ReadAt(uint64_t offset, MutableBytes out) const override {
    TB_ASSIGN_OR_RETURN(const Bytes part, Subspan(bytes_, offset, out.size()));
    std::copy(part.begin(), part.end(), out.begin());
    return Status();
  }

 private:
  const Bytes bytes_;
};

Status OverLimit(uint64_t size, uint64_t limit) {
  return Status(Code::kLimitExceeded, "a block of " + std::to_string(size) +
                                          " bytes; the limit is " + std::to_string(limit));
}

}  // namespace

// A file's size is below 2^63, so the product could only wrap for a source that is not
// a file.
TableReader::TableReader(std::unique_ptr<const TableSource> source, uint64_t max_block_size)
    : source_(std::move(source)),
      size_(source_->size()),
      max_block_size_(max_block_size),
      memory_left_(CheckedMultiply(size_, kMaxGrowth).value_or(UINT64_MAX / 2) +
                   kGrowthAllowance) {}

Result<std::unique_ptr<TableReader>> TableReader::Open(Bytes file) {
  return Open(std::make_unique<MemorySource>(file));
}

Result<std::unique_ptr<TableReader>> TableReader::Open(
    std::unique_ptr<const TableSource> source, uint64_t max_block_size) {
  std::unique_ptr<TableReader> reader(new TableReader(std::move(source), max_block_size));
  if (reader->size_ < kFooterSize) {
    return Status(Code::kTruncatedIndex, "the file has " + std::to_string(reader->size_) +
                                             " bytes, its footer alone should have " +
                                             std::to_string(kFooterSize));
  }
  const uint64_t footer_offset = reader->size_ - kFooterSize;
  const auto footer = reader->ReadFooter();
  if (!footer.ok()) return footer.status().WithOffset(footer_offset);
  TB_RETURN_IF_ERROR(reader->ReadIndexBlock(footer->index).WithOffset(footer->index.offset));
  TB_RETURN_IF_ERROR(
      reader->CheckMetaindexBlock(footer->metaindex).WithOffset(footer->metaindex.offset));
  return reader;
}

Result<TableReader::Footer> TableReader::ReadFooter() const {
  std::array<std::byte, kFooterSize> bytes;
  TB_RETURN_IF_ERROR(source_->ReadAt(size_ - kFooterSize, bytes));
  const Bytes footer(bytes);
  const uint64_t magic = LoadFixed64(footer.last(sizeof(kTableMagic)));
  if (magic != kTableMagic) {
    return Status(Code::kBadMagic, "the last 8 bytes are not the magic of an index file");
  }
  Cursor cursor(footer.first(kFooterSize - sizeof(kTableMagic)));
  Footer handles;
  if (!ReadHandle(cursor, handles.metaindex) || !ReadHandle(cursor, handles.index)) {
    return Status(Code::kBadHandle, "the footer's handles are not varints");
  }
  TB_RETURN_IF_ERROR(CheckPlace(handles.metaindex, "the metaindex block"));
  TB_RETURN_IF_ERROR(CheckPlace(handles.index, "the index block"));
  return handles;
}

// It is for filters, which we have no use for; but damage is damage.
Status TableReader::CheckMetaindexBlock(const BlockHandle& metaindex) const {
  TB_ASSIGN_OR_RETURN(const Block contents, LoadBlock(metaindex));
  TB_ASSIGN_OR_RETURN(const BlockReader block, BlockReader::Open(contents));
  BlockIterator entry(block);
  while (entry.Next()) {
  }
  return entry.status();
}

// Each handle is compared with the file's size before anything is read through it.
Status TableReader::CheckPlace(const BlockHandle& handle, const std::string& what) const {
  const uint64_t limit = size_ - kFooterSize;
  if (handle.offset > limit || handle.size > limit - handle.offset ||
      kBlockTrailerSize > limit - handle.offset - handle.size) {
    return Status(Code::kBadHandle, what + ", " + Describe(handle) +
                                        " and a trailer, is not inside the " +
                                        std::to_string(limit) + " bytes before the footer");
  }
  return Status();
}

Status TableReader::ReadIndexBlock(const BlockHandle& index) {
  TB_ASSIGN_OR_RETURN(const Block contents, LoadBlock(index));
  TB_ASSIGN_OR_RETURN(const BlockReader block, BlockReader::Open(contents));
  BlockIterator entry(block);
  while (entry.Next()) {
    TB_RETURN_IF_ERROR(AddDataBlock(entry.key(), entry.value(), index));
  }
  return entry.status();
}

Status TableReader::AddDataBlock(std::string_view separator, Bytes value,
                                 const BlockHandle& index) {
  const std::string what = "data block " + std::to_string(blocks_.size());
  Cursor cursor(value);
  BlockHandle handle;
  if (!ReadHandle(cursor, handle)) {
    return Status(Code::kBadHandle, "the handle of " + what + " is not two varints");
  }
  TB_RETURN_IF_ERROR(CheckPlace(handle, what));
  if (handle.size == 0) return Status(Code::kBadBlock, what + " has no bytes");
  if (Overlap(handle, index)) {
    return Status(Code::kBadBlock, what + ", " + Describe(handle) +
                                       ", overlaps the index block, " + Describe(index));
  }
  if (!blocks_.empty()) {
    const DataBlock& previous = blocks_.back();
    if (handle.offset < EndOf(previous.handle)) {
      return Status(Code::kBadHandle, what + ", " + Describe(handle) +
                                          ", does not lie behind the one before it, " +
                                          Describe(previous.handle));
    }
    if (separator <= previous.separator) {
      return NotAscending(separator, separator == previous.separator);
    }
  }
  TB_RETURN_IF_ERROR(ChargeMemory(separator.size() + sizeof(DataBlock)));
  DataBlock& block = blocks_.emplace_back();
  block.separator = separator;
  block.handle = handle;
  return Status();
}

// Prefix compression and Snappy let a small file claim much memory.
Status TableReader::ChargeMemory(uint64_t size) const {
  uint64_t left = memory_left_.load(std::memory_order_relaxed);
  do {
    if (size > left) {
      return Status(Code::kLimitExceeded,
                    "the decoded index would take more than " + std::to_string(kMaxGrowth) +
                        " times the file's " + std::to_string(size_) + " bytes and " +
                        std::to_string(kGrowthAllowance));
    }
  } while (!memory_left_.compare_exchange_weak(left, left - size, std::memory_order_relaxed));
  return Status();
}

// The checked and decoded bytes of a block.
//
// REQUIRES: CheckPlace(handle) was OK
Result<TableReader::Block> TableReader::LoadBlock(const BlockHandle& handle) const {
  if (handle.size > max_block_size_) return OverLimit(handle.size, max_block_size_);
  Block stored(handle.size + kBlockTrailerSize);
  TB_RETURN_IF_ERROR(source_->ReadAt(handle.offset, stored));
  const Bytes with_type = Bytes(stored).first(handle.size + 1);
  const checksum::MaskedCrc32c expected(LoadFixed32(Bytes(stored).last(sizeof(uint32_t))));
  const checksum::MaskedCrc32c computed = checksum::Mask(checksum::Compute(with_type));
  if (expected != computed) {
    return Status(Code::kBadBlockChecksum, "the block's checksum is " + Hex(computed.value()) +
                                               ", stored is " + Hex(expected.value()));
  }
  const auto type = std::to_integer<uint8_t>(with_type.back());
  stored.resize(handle.size);
  if (type == static_cast<uint8_t>(Compression::kNone)) return stored;
  if (type == static_cast<uint8_t>(Compression::kSnappy)) return Decompress(stored);
  return Status(Code::kBadCompression,
                "compression type " + std::to_string(type) + " is not known");
}

Result<TableReader::Block> TableReader::Decompress(Bytes stored) const {
  TB_ASSIGN_OR_RETURN(const uint64_t size, SnappyDecodedSize(stored));
  if (size > max_block_size_) return OverLimit(size, max_block_size_);
  // A larger claim than that is false, and the decoder says so before it allocates.
  TB_RETURN_IF_ERROR(ChargeMemory(std::min(size, stored.size() * kMaxSnappyExpansion)));
  return DecodeSnappy(stored);
}

// The block, checked by whoever comes first.
Result<BlockReader> TableReader::CheckedContents(size_t index) const {
  const DataBlock& data_block = blocks_[index];
  const CheckedBlock* checked = data_block.checked.load(std::memory_order_acquire);
  if (checked == nullptr) checked = CheckBlock(index);
  if (!checked->fault.ok()) return checked->fault;
  return BlockReader::Open(checked->contents);
}

const TableReader::CheckedBlock* TableReader::CheckBlock(size_t index) const {
  const std::lock_guard lock(check_mutexes_[index % check_mutexes_.size()]);
  const DataBlock& block = blocks_[index];
  const CheckedBlock* checked = block.checked.load(std::memory_order_relaxed);
  if (checked != nullptr) return checked;  // somebody was faster
  auto fresh = std::make_unique<CheckedBlock>();
  auto contents = LoadBlock(block.handle);
  fresh->fault = contents.ok() ? CheckKeys(index, *contents) : contents.status();
  if (fresh->fault.ok()) {
    fresh->contents = std::move(contents).value();
  } else {
    fresh->fault = std::move(fresh->fault).WithOffset(block.handle.offset);
  }
  block.owned = std::move(fresh);
  block.checked.store(block.owned.get(), std::memory_order_release);
  return block.owned.get();
}

// Every entry decodes, and the keys ascend from the separator before the block to
// its own.
Status TableReader::CheckKeys(size_t index, Bytes contents) const {
  TB_ASSIGN_OR_RETURN(const BlockReader block, BlockReader::Open(contents));
  BlockIterator entry(block);
  uint64_t keys_size = 0;
  bool first = true;
  while (entry.Next()) {
    if (entry.step() != BlockIterator::Step::kAscends) {
      return NotAscending(entry.key(), entry.step() == BlockIterator::Step::kRepeats);
    }
    if (first && index > 0 && entry.key() <= blocks_[index - 1].separator) {
      return NotAscending(entry.key(), entry.key() == blocks_[index - 1].separator);
    }
    first = false;
    keys_size += entry.key().size();  // of at most kMaxBlockSize entries and kMaxKeySize each
    if (keys_size / kMaxKeyGrowth > contents.size()) {
      return Status(Code::kLimitExceeded, "a block of " + std::to_string(contents.size()) +
                                              " bytes has keys of more than " +
                                              std::to_string(kMaxKeyGrowth) + " times that");
    }
  }
  TB_RETURN_IF_ERROR(entry.status());
  const std::string& separator = blocks_[index].separator;
  if (!first && entry.key() > separator) {
    return Status(Code::kBadKeyOrder, "the block's last key " + Quoted(entry.key()) +
                                          " is greater than its separator " +
                                          Quoted(separator));
  }
  return Status();
}

Result<std::optional<Bytes>> TableReader::Find(std::string_view key) const {
  return TableLookup(*this).Find(key);
}

Status TableReader::ForEach(const Visitor& visit) const {
  TableCursor cursor(*this);
  while (cursor.Next()) TB_RETURN_IF_ERROR(visit(cursor.key(), cursor.value()));
  return cursor.status();
}

}  // namespace tensorbundle::format
