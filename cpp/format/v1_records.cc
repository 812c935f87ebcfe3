#include "format/v1_records.h"

#include <utility>

#include "base/text.h"
#include "format/entry_fields.h"
#include "format/shape_decode.h"
#include "format/version.h"
#include "format/wire.h"

namespace tensorbundle::format {
namespace {

// saved_tensor_slice.proto
enum SavedTensorSlicesField : uint32_t { kMeta = 1, kData = 2 };
enum SavedTensorSliceMetaField : uint32_t { kTensors = 1, kVersions = 2 };
enum SavedSliceMetaField : uint32_t { kName = 1, kShape = 2, kType = 3, kSlices = 4 };
enum SavedSliceField : uint32_t { kSliceName = 1, kSliceData = 3 };

// One of the list's tensors as it stands in the file.
struct RawTensor {
  Bytes name;
  uint64_t dtype = 0;
  RawShape shape;
  std::vector<Bytes> slices;
};

Status NotAList(std::string_view what) {
  return Status(Code::kBadHeader, std::string(what) + " is not a well-formed message");
}

Status ReadTensor(Bytes message, RawTensor& tensor) {
  const std::string_view what = "the record of a tensor";
  FieldReader fields(message);
  while (fields.Next()) {
    Bytes nested;
    switch (fields.number()) {
      case kName:
        if (!fields.GetBytes(tensor.name)) return NotAMessage(what);
        break;
      case kShape:
        if (!fields.GetBytes(nested)) return NotAMessage(what);
        TB_RETURN_IF_ERROR(ReadShape(nested, tensor.shape));
        break;
      case kType:
        if (!fields.GetVarint(tensor.dtype)) return NotAMessage(what);
        break;
      case kSlices:
        if (tensor.slices.size() == kMaxSlices) return TooMany("slices", kMaxSlices);
        if (!fields.GetBytes(nested)) return NotAMessage(what);
        tensor.slices.push_back(nested);
        break;
      default: break;
    }
  }
  return fields.ok() ? Status() : NotAMessage(what);
}

Result<V1Tensor> CheckTensor(const RawTensor& raw) {
  V1Tensor tensor;
  tensor.name = AsText(raw.name);
  if (tensor.name.empty()) return Status(Code::kBadEntry, "a tensor has no name");
  TB_ASSIGN_OR_RETURN(tensor.dtype, CheckDType(raw.dtype));
  TB_ASSIGN_OR_RETURN(tensor.shape, CheckShape(raw.shape));
  TB_RETURN_IF_ERROR(NumElements(tensor.shape, ElementSize(tensor.dtype)).status());
  if (raw.slices.empty()) return Status(Code::kBadSlice, "the tensor has no slice");
  TB_ASSIGN_OR_RETURN(tensor.slices, DecodeSlices(raw.slices, tensor.shape));
  return tensor;
}

Status AddTensor(Bytes message, std::vector<V1Tensor>& tensors) {
  RawTensor raw;
  Status status = ReadTensor(message, raw);
  if (status.ok()) {
    auto tensor = CheckTensor(raw);
    if (tensor.ok()) {
      tensors.push_back(std::move(tensor).value());
      return status;
    }
    status = std::move(tensor).status();
  }
  return std::move(status).WithKey(std::string(AsText(raw.name)));
}

Status ReadList(Bytes message, std::vector<V1Tensor>& tensors, Version& version) {
  FieldReader fields(message);
  while (fields.Next()) {
    if (fields.number() != kTensors && fields.number() != kVersions) continue;
    Bytes nested;
    if (!fields.GetBytes(nested)) return NotAList("the list of tensors");
    TB_RETURN_IF_ERROR(fields.number() == kTensors ? AddTensor(nested, tensors)
                                                   : ReadVersion(nested, version));
  }
  return fields.ok() ? Status() : NotAList("the list of tensors");
}

}  // namespace

Result<std::vector<V1Tensor>> DecodeV1Tensors(Bytes value) {
  std::vector<V1Tensor> tensors;
  Version version;
  FieldReader fields(value);
  while (fields.Next()) {
    if (fields.number() != kMeta) continue;
    Bytes list;
    if (!fields.GetBytes(list)) {
      return Status(Code::kUnsupportedFormat,
                    "this is the index of a bundle, not a V1 checkpoint");
    }
    TB_RETURN_IF_ERROR(ReadList(list, tensors, version));
  }
  if (!fields.ok()) return NotAList("the value of the empty key");
  TB_RETURN_IF_ERROR(CheckVersion(version));
  return tensors;
}

Result<Bytes> DecodeV1Record(Bytes value, std::string_view name) {
  Bytes data;
  Bytes own_name;
  FieldReader outer(value);
  Bytes record;
  while (outer.Next()) {
    if (outer.number() == kData && !outer.GetBytes(record)) return NotAMessage("a slice");
  }
  FieldReader fields(record);
  while (fields.Next()) {
    const bool fits = fields.number() == kSliceName   ? fields.GetBytes(own_name)
                      : fields.number() == kSliceData ? fields.GetBytes(data)
                                                      : true;
    if (!fits) return NotAMessage("a slice");
  }
  if (!outer.ok() || !fields.ok()) return NotAMessage("a slice");
  if (AsText(own_name) != name) {
    return Status(Code::kBadEntry,
                  "a slice of it is a record of the tensor " + Quoted(AsText(own_name)));
  }
  return data;
}

}  // namespace tensorbundle::format
