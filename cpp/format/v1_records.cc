#include "format/v1_records.h"

#include <string>
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

constexpr std::string_view kTensor = "the record of a tensor";

// One of the list's tensors as it stands in the file.
struct RawTensor {
  uint64_t dtype = 0;
  RawShape shape;
  std::vector<Bytes> slices;
};

Status NotAList(std::string_view what) {
  return Status(Code::kBadHeader, std::string(what) + " is not a well-formed message");
}

// Asks for nothing but the name: whatever else is wrong is a fault of the tensor of that name.
Result<std::string_view> ReadName(Bytes message) {
  Bytes name;
  FieldReader fields(message);
  while (fields.Next()) {
    Bytes found;
    if (fields.number() == kName && fields.GetBytes(found)) name = found;
  }
  if (!name.empty()) return AsText(name);
  return fields.ok() ? Status(Code::kBadEntry, "a tensor has no name") : NotAMessage(kTensor);
}

Status ReadTensor(Bytes message, RawTensor& tensor) {
  FieldReader fields(message);
  while (fields.Next()) {
    Bytes nested;
    switch (fields.number()) {
      case kName:
        if (!fields.GetBytes(nested)) return NotAMessage(kTensor);
        break;
      case kShape:
        if (!fields.GetBytes(nested)) return NotAMessage(kTensor);
        TB_RETURN_IF_ERROR(ReadShape(nested, tensor.shape));
        break;
      case kType:
        if (!fields.GetVarint(tensor.dtype)) return NotAMessage(kTensor);
        break;
      case kSlices:
        if (tensor.slices.size() == kMaxSlices) return TooMany("slices", kMaxSlices);
        if (!fields.GetBytes(nested)) return NotAMessage(kTensor);
        tensor.slices.push_back(nested);
        break;
      default: break;
    }
  }
  return fields.ok() ? Status() : NotAMessage(kTensor);
}

Status ReadList(Bytes message, Version& version, const V1Visitor& visit) {
  FieldReader fields(message);
  while (fields.Next()) {
    if (fields.number() != kTensors && fields.number() != kVersions) continue;
    Bytes nested;
    if (!fields.GetBytes(nested)) return NotAList("the list of tensors");
    if (fields.number() == kVersions) {
      TB_RETURN_IF_ERROR(ReadVersion(nested, version));
    } else {
      TB_ASSIGN_OR_RETURN(const std::string_view name, ReadName(nested));
      TB_RETURN_IF_ERROR(visit(name, nested));
    }
  }
  return fields.ok() ? Status() : NotAList("the list of tensors");
}

}  // namespace

Status ForEachV1Tensor(Bytes value, const V1Visitor& visit) {
  Version version;
  FieldReader fields(value);
  while (fields.Next()) {
    if (fields.number() != kMeta) continue;
    Bytes list;
    if (!fields.GetBytes(list)) {
      return Status(Code::kUnsupportedFormat,
                    "this is the index of a bundle, not a V1 checkpoint");
    }
    TB_RETURN_IF_ERROR(ReadList(list, version, visit));
  }
  if (!fields.ok()) return NotAList("the value of the empty key");
  return CheckVersion(version);
}

Result<V1Tensor> DecodeV1Tensor(Bytes message) {
  RawTensor raw;
  TB_RETURN_IF_ERROR(ReadTensor(message, raw));
  V1Tensor tensor;
  TB_ASSIGN_OR_RETURN(tensor.dtype, CheckDType(raw.dtype));
  TB_ASSIGN_OR_RETURN(tensor.shape, CheckShape(raw.shape));
  TB_RETURN_IF_ERROR(NumElements(tensor.shape, ElementSize(tensor.dtype)).status());
  if (raw.slices.empty()) return Status(Code::kBadSlice, "the tensor has no slice");
  TB_ASSIGN_OR_RETURN(tensor.slices, DecodeSlices(raw.slices, tensor.shape));
  return tensor;
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
