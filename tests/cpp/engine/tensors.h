// Tensors and bundles for the engine's tests.

#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "engine/bundle.h"
#include "engine/reader.h"
#include "engine/tensor_list.h"
#include "engine/writer.h"
#include "io/memory_storage.h"

namespace tensorbundle::engine {

// Tensors of random bytes that own their memory.
class TestTensors {
 public:
  explicit TestTensors(unsigned seed = 1) : random_(seed) {}

  void Add(const std::string& name, size_t size) {
    auto data = std::make_unique<std::string>(size, '\0');
    for (char& c : *data) c = static_cast<char>(random_());
    Add(name, std::move(data));
  }

  void AddText(const std::string& name, const std::string& text) {
    Add(name, std::make_unique<std::string>(text));
  }

  std::span<const TensorView> views() const { return tensors_.views(); }
  const std::string& bytes(size_t i) const { return *data_[i]; }
  size_t size() const { return data_.size(); }

 private:
  void Add(const std::string& name, std::unique_ptr<std::string> data) {
    const uint64_t shape[] = {data->size()};
    TensorView& view = tensors_.Add("", name, shape);
    view.dtype = format::DType::kUint8;
    view.size = data->size();
    view.contiguous = AsBytes(*data);
    data_.push_back(std::move(data));
  }

  std::mt19937 random_;
  std::vector<std::unique_ptr<std::string>> data_;
  TensorList tensors_;
};

inline std::string ReadFile(io::Storage& storage, const std::string& path) {
  const auto file = storage.OpenForRead(path);
  if (!file.ok()) return "";
  std::string out((*file)->size(), '\0');
  EXPECT_TRUE((*file)->ReadAt(0, {reinterpret_cast<std::byte*>(out.data()), out.size()}).ok());
  return out;
}

inline std::vector<std::string> ListSorted(io::Storage& storage,
                                           const std::string& directory) {
  std::vector<std::string> names = *storage.List(directory);
  std::sort(names.begin(), names.end());
  return names;
}

// The status of reading every tensor back and comparing it, byte for byte.
inline Status ExpectHolds(const std::shared_ptr<io::Storage>& storage,
                          const std::string& prefix, const TestTensors& tensors) {
  TB_ASSIGN_OR_RETURN(const auto bundle, Bundle::Open(storage, prefix));
  std::vector<ReadRequest> requests;
  std::vector<std::string> outs;
  for (const TensorView& view : tensors.views()) {
    TB_ASSIGN_OR_RETURN(format::Entry entry, bundle->Find(view.name));
    outs.emplace_back(entry.size, '?');
    requests.push_back({std::string(view.name), std::move(entry), {}});
  }
  for (size_t i = 0; i < outs.size(); ++i) {
    requests[i].out = {reinterpret_cast<std::byte*>(outs[i].data()), outs[i].size()};
  }
  TB_RETURN_IF_ERROR(ReadTensors(*bundle, requests, {}).status());
  for (size_t i = 0; i < outs.size(); ++i) {
    if (outs[i] != tensors.bytes(i)) return Status(Code::kInvalidArgument, "other bytes");
  }
  return Status();
}

}  // namespace tensorbundle::engine
