#include "engine/index_writer.h"

namespace tensorbundle::engine {
namespace {

constexpr size_t kBufferSize = 1u << 20;  // bytes: the index leaves in writes of that size

}  // namespace

IndexWriter::IndexWriter(io::WritableFile& file, checksum::Fingerprinter* fingerprinter)
    : file_(file),
      fingerprinter_(fingerprinter),
      table_([this](Bytes bytes) { return Append(bytes); }) {}

Status IndexWriter::AddHeader(const format::Header& header) {
  return table_.Add("", format::EncodeHeader(header));
}

Status IndexWriter::Add(std::string_view name, const format::Entry& entry) {
  value_.clear();
  format::AppendEntry(entry, value_);
  return table_.Add(name, value_);
}

Status IndexWriter::AddValue(std::string_view key, Bytes value) {
  return table_.Add(key, AsText(value));
}

Status IndexWriter::Finish() {
  TB_RETURN_IF_ERROR(table_.Finish());
  return Flush();
}

Status IndexWriter::Append(Bytes bytes) {
  buffer_ += AsText(bytes);
  return buffer_.size() >= kBufferSize ? Flush() : Status();
}

Status IndexWriter::Flush() {
  TB_RETURN_IF_ERROR(file_.WriteAt(written_, AsBytes(buffer_)));
  if (fingerprinter_ != nullptr) fingerprinter_->Update(AsBytes(buffer_));
  written_ += buffer_.size();
  buffer_.clear();
  return Status();
}

}  // namespace tensorbundle::engine
