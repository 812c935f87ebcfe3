// The element types of the format: types.proto's DataType numbers.
//
// A fixed-size type has the same size on disk as in memory; the 4-bit and 2-bit
// types take one byte per element, value in the low bits.  Strings and variants
// have no fixed size.  Reference types (number + 100) and resources are never
// stored.

#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace tensorbundle::format {

enum class DType : uint8_t {
  kFloat32 = 1,
  kFloat64 = 2,
  kInt32 = 3,
  kUint8 = 4,
  kInt16 = 5,
  kInt8 = 6,
  kString = 7,
  kComplex64 = 8,
  kInt64 = 9,
  kBool = 10,
  kQint8 = 11,
  kQuint8 = 12,
  kQint32 = 13,
  kBfloat16 = 14,
  kQint16 = 15,
  kQuint16 = 16,
  kUint16 = 17,
  kComplex128 = 18,
  kFloat16 = 19,
  kVariant = 21,
  kUint32 = 22,
  kUint64 = 23,
  kFloat8E5m2 = 24,
  kFloat8E4m3fn = 25,
  kFloat8E4m3fnuz = 26,
  kFloat8E4m3b11fnuz = 27,
  kFloat8E5m2fnuz = 28,
  kInt4 = 29,
  kUint4 = 30,
  kInt2 = 31,
  kUint2 = 32,
  kFloat4E2m1fn = 33,
};

struct DTypeInfo {
  DType dtype;
  std::string_view name;     // NumPy's spelling: "float32", "bfloat16", "string"
  std::string_view tf_name;  // "DT_FLOAT"
  uint32_t element_size;     // bytes; 0 where elements have no fixed size
  uint32_t swap_size;        // bytes that change places between byte orders; 1: none do
  uint32_t value_bits;       // bits of an element that carry its value; 0 like element_size
};

// Every type above, by number.
std::span<const DTypeInfo> AllDTypes();

const DTypeInfo& InfoOf(DType dtype);

// Absent for a number that is not a storable type.
std::optional<DType> DTypeFromNumber(uint64_t number);

inline uint32_t ElementSize(DType dtype) { return InfoOf(dtype).element_size; }
inline std::string_view NameOf(DType dtype) { return InfoOf(dtype).name; }

}  // namespace tensorbundle::format
