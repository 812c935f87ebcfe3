#include <memory>

#include "fuzz/byte_storage.h"
#include "fuzz/checks.h"
#include "fuzz/targets.h"

namespace tensorbundle::fuzz {

void FuzzIndex(Bytes input) {
  auto storage = std::make_shared<ByteStorage>();
  storage->Add("x.index", input);
  const auto bundle = engine::Bundle::Open(std::move(storage), "x");
  if (bundle.ok()) {
    CheckBundle(**bundle);
  } else {
    RequirePlaced(bundle.status());
  }
}

}  // namespace tensorbundle::fuzz
