#include "format/v1_elements.h"

#include <algorithm>
#include <optional>
#include <string>

#include "format/coding.h"
#include "format/wire.h"

namespace tensorbundle::format {
namespace {

using enum DType;

enum class Coding : uint8_t { kFixed32, kFixed64, kVarint, kBytes };

// Where TensorProto has the numbers of a dtype.
struct Field {
  uint32_t number;  // tensor.proto
  Coding coding;
  uint32_t parts = 1;  // numbers of one element
};

std::optional<Field> FieldOf(DType dtype) {
  switch (dtype) {
    case kFloat32: return Field{5, Coding::kFixed32};
    case kFloat64: return Field{6, Coding::kFixed64};
    case kInt32:
    case kInt16:
    case kInt8:
    case kUint8:
    case kUint16:
    case kQint8:
    case kQuint8:
    case kQint16:
    case kQuint16:
    case kQint32: return Field{7, Coding::kVarint};
    case kString: return Field{8, Coding::kBytes};
    case kComplex64: return Field{9, Coding::kFixed32, 2};
    case kInt64: return Field{10, Coding::kVarint};
    case kBool: return Field{11, Coding::kVarint};
    case kComplex128: return Field{12, Coding::kFixed64, 2};
    case kFloat16:
    case kBfloat16: return Field{13, Coding::kVarint};
    case kUint32: return Field{16, Coding::kVarint};
    case kUint64: return Field{17, Coding::kVarint};
    default: return std::nullopt;
  }
}

Status NotNumbers() {
  return Status(Code::kBadEntry, "the elements of a slice are not a well-formed message");
}

bool IsLast(std::byte byte) { return (byte & std::byte{0x80}) == std::byte{0}; }

// How many numbers a packed run has.
Result<uint64_t> CountPacked(Bytes run, Coding coding) {
  if (coding == Coding::kVarint) {
    if (!run.empty() && !IsLast(run.back())) return NotNumbers();
    return static_cast<uint64_t>(std::count_if(run.begin(), run.end(), IsLast));
  }
  const size_t width = coding == Coding::kFixed32 ? 4 : 8;
  if (run.size() % width != 0) return NotNumbers();
  return run.size() / width;
}

// Calls `packed` with each run of numbers, `single` with each that stands alone.
template <typename Packed, typename Single>
Status ForEachRun(Bytes tensor, const Field& wanted, const Packed& packed,
                  const Single& single) {
  FieldReader fields(tensor);
  while (fields.Next()) {
    if (fields.number() != wanted.number) continue;
    Bytes run;
    if (fields.GetBytes(run)) {
      TB_RETURN_IF_ERROR(packed(run));
      continue;
    }
    uint32_t fixed32 = 0;
    uint64_t number = 0;
    bool fits = false;
    if (wanted.coding == Coding::kFixed32) {
      fits = fields.GetFixed32(fixed32);
      number = fixed32;
    } else if (wanted.coding == Coding::kFixed64) {
      fits = fields.GetFixed64(number);
    } else if (wanted.coding == Coding::kVarint) {
      fits = fields.GetVarint(number);
    }
    if (!fits) return NotNumbers();
    TB_RETURN_IF_ERROR(single(number));
  }
  return fields.ok() ? Status() : NotNumbers();
}

// What a varint of TensorProto stands for, as the bits of the dtype's element; absent where
// the dtype has no such number.  int_val and half_val are int32: protobuf drops the upper
// half of a varint.
std::optional<uint64_t> FromVarint(DType dtype, uint64_t varint) {
  const auto narrow = static_cast<int64_t>(static_cast<int32_t>(varint));
  const auto within = [&](int64_t least, int64_t most) -> std::optional<uint64_t> {
    if (narrow < least || narrow > most) return std::nullopt;
    return static_cast<uint64_t>(narrow);
  };
  switch (dtype) {
    case kInt8:
    case kQint8: return within(INT8_MIN, INT8_MAX);
    case kUint8:
    case kQuint8: return within(0, UINT8_MAX);
    case kInt16:
    case kQint16: return within(INT16_MIN, INT16_MAX);
    case kUint16:
    case kQuint16:
    case kFloat16:
    case kBfloat16: return within(0, UINT16_MAX);
    case kBool: return varint != 0 ? 1 : 0;
    default: return varint;  // of 32 bits the lower half, or of 64 bits
  }
}

// Numbers go to memory one behind the other; without memory they are only checked.
class Output {
 public:
  Output(DType dtype, const Field& field, MutableBytes out)
      : dtype_(dtype),
        coding_(field.coding),
        width_(ElementSize(dtype) / field.parts),
        out_(out) {}

  Status PutPacked(Bytes run) {
    if (coding_ != Coding::kVarint) {
      if (out_.empty()) return Status();
      std::copy(run.begin(), run.end(), out_.begin());
      out_ = out_.subspan(run.size());
      return Status();
    }
    Cursor cursor(run);
    while (!cursor.done()) {
      uint64_t varint = 0;
      if (!cursor.ReadVarint64(varint)) return NotNumbers();
      TB_RETURN_IF_ERROR(PutSingle(varint));
    }
    return Status();
  }

  Status PutSingle(uint64_t number) {
    if (coding_ == Coding::kVarint) {
      const auto bits = FromVarint(dtype_, number);
      if (!bits.has_value()) {
        return Status(Code::kBadEntry, std::to_string(static_cast<int32_t>(number)) +
                                           " is no element of " + std::string(NameOf(dtype_)));
      }
      number = *bits;
    }
    if (out_.empty()) return Status();
    for (size_t i = 0; i < width_; ++i) out_[i] = static_cast<std::byte>(number >> (8 * i));
    out_ = out_.subspan(width_);
    return Status();
  }

 private:
  const DType dtype_;
  const Coding coding_;
  const size_t width_;  // bytes of one number
  MutableBytes out_;    // what is still to be filled
};

}  // namespace

Result<V1Elements> V1Elements::Open(Bytes tensor, DType dtype) {
  const std::optional<Field> field = FieldOf(dtype);
  if (!field.has_value()) {
    return Status(Code::kUnsupportedDType,
                  "a V1 checkpoint has no numbers of " + std::string(NameOf(dtype)));
  }
  V1Elements elements(tensor, dtype);
  uint64_t numbers = 0;
  TB_RETURN_IF_ERROR(ForEachRun(
      tensor, *field,
      [&](Bytes run) -> Status {
        uint64_t count = 1;  // of a string
        if (field->coding != Coding::kBytes) {
          TB_ASSIGN_OR_RETURN(count, CountPacked(run, field->coding));
        }
        numbers += count;
        return Status();
      },
      [&](uint64_t) {
        ++numbers;
        return Status();
      }));
  if (numbers % field->parts != 0) return NotNumbers();
  elements.count_ = numbers / field->parts;
  return elements;
}

Status V1Elements::CopyTo(MutableBytes out) const {
  // NOLINTNEXTLINE(bugprone-unchecked-optional-access): Open() has asked
  const Field field = FieldOf(dtype_).value();
  Output output(dtype_, field, out);
  return ForEachRun(
      tensor_, field, [&](Bytes run) { return output.PutPacked(run); },
      [&](uint64_t number) { return output.PutSingle(number); });
}

std::vector<Bytes> V1Elements::Strings() const {
  std::vector<Bytes> strings;
  strings.reserve(count_);
  // NOLINTNEXTLINE(bugprone-unchecked-optional-access): Open() has asked
  const Field field = FieldOf(dtype_).value();
  // Open() has been through: nothing fails.
  static_cast<void>(ForEachRun(
      tensor_, field,
      [&](Bytes string) {
        strings.push_back(string);
        return Status();
      },
      [](uint64_t) { return Status(); }));
  return strings;
}

}  // namespace tensorbundle::format
