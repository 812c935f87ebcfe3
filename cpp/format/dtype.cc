#include "format/dtype.h"

#include <array>
#include <cassert>
#include <cstddef>

namespace tensorbundle::format {
namespace {

using enum DType;

// types.proto; the sizes are those of TensorFlow's in-memory types.
constexpr std::array<DTypeInfo, 32> kTypes = {{
    {kFloat32, "float32", "DT_FLOAT", 4, 4, 32},
    {kFloat64, "float64", "DT_DOUBLE", 8, 8, 64},
    {kInt32, "int32", "DT_INT32", 4, 4, 32},
    {kUint8, "uint8", "DT_UINT8", 1, 1, 8},
    {kInt16, "int16", "DT_INT16", 2, 2, 16},
    {kInt8, "int8", "DT_INT8", 1, 1, 8},
    {kString, "string", "DT_STRING", 0, 1, 0},
    {kComplex64, "complex64", "DT_COMPLEX64", 8, 4, 64},
    {kInt64, "int64", "DT_INT64", 8, 8, 64},
    {kBool, "bool", "DT_BOOL", 1, 1, 8},
    {kQint8, "qint8", "DT_QINT8", 1, 1, 8},
    {kQuint8, "quint8", "DT_QUINT8", 1, 1, 8},
    {kQint32, "qint32", "DT_QINT32", 4, 4, 32},
    {kBfloat16, "bfloat16", "DT_BFLOAT16", 2, 2, 16},
    {kQint16, "qint16", "DT_QINT16", 2, 2, 16},
    {kQuint16, "quint16", "DT_QUINT16", 2, 2, 16},
    {kUint16, "uint16", "DT_UINT16", 2, 2, 16},
    {kComplex128, "complex128", "DT_COMPLEX128", 16, 8, 128},
    {kFloat16, "float16", "DT_HALF", 2, 2, 16},
    {kVariant, "variant", "DT_VARIANT", 0, 1, 0},
    {kUint32, "uint32", "DT_UINT32", 4, 4, 32},
    {kUint64, "uint64", "DT_UINT64", 8, 8, 64},
    {kFloat8E5m2, "float8_e5m2", "DT_FLOAT8_E5M2", 1, 1, 8},
    {kFloat8E4m3fn, "float8_e4m3fn", "DT_FLOAT8_E4M3FN", 1, 1, 8},
    {kFloat8E4m3fnuz, "float8_e4m3fnuz", "DT_FLOAT8_E4M3FNUZ", 1, 1, 8},
    {kFloat8E4m3b11fnuz, "float8_e4m3b11fnuz", "DT_FLOAT8_E4M3B11FNUZ", 1, 1, 8},
    {kFloat8E5m2fnuz, "float8_e5m2fnuz", "DT_FLOAT8_E5M2FNUZ", 1, 1, 8},
    {kInt4, "int4", "DT_INT4", 1, 1, 4},
    {kUint4, "uint4", "DT_UINT4", 1, 1, 4},
    {kInt2, "int2", "DT_INT2", 1, 1, 2},
    {kUint2, "uint2", "DT_UINT2", 1, 1, 2},
    {kFloat4E2m1fn, "float4_e2m1fn", "DT_FLOAT4_E2M1FN", 1, 1, 4},
}};

constexpr uint64_t kResource = 20;  // DT_RESOURCE, the one gap in the numbers

// The row of `number`, or kTypes.size() where it has none.
constexpr size_t RowOf(uint64_t number) {
  if (number == 0 || number == kResource) return kTypes.size();
  const uint64_t row = number < kResource ? number - 1 : number - 2;
  return row < kTypes.size() ? static_cast<size_t>(row) : kTypes.size();
}

constexpr bool RowsMatchNumbers() {
  for (size_t row = 0; row < kTypes.size(); ++row) {
    if (RowOf(static_cast<uint64_t>(kTypes[row].dtype)) != row) return false;
  }
  return true;
}
static_assert(RowsMatchNumbers());

}  // namespace

std::span<const DTypeInfo> AllDTypes() { return kTypes; }

const DTypeInfo& InfoOf(DType dtype) {
  const size_t row = RowOf(static_cast<uint64_t>(dtype));
  assert(row < kTypes.size());
  return kTypes[row];
}

std::optional<DType> DTypeFromNumber(uint64_t number) {
  const size_t row = RowOf(number);
  if (row == kTypes.size()) return std::nullopt;
  return kTypes[row].dtype;
}

}  // namespace tensorbundle::format
