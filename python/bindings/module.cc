#include "bindings/register.h"

// Holds no state of its own: a module object may be made once per interpreter.
PYBIND11_MODULE(_core, module) {
  module.doc() = "The C++ core of tensorbundle. Private: use the tensorbundle package.";
  tensorbundle::bindings::RegisterErrors(module);
  tensorbundle::bindings::RegisterFiles(module);
  tensorbundle::bindings::RegisterInfo(module);
  tensorbundle::bindings::RegisterChecksum(module);
  tensorbundle::bindings::RegisterSavedTensors(module);
  tensorbundle::bindings::RegisterSnapshot(module);
  // Before what takes it as an argument.
  tensorbundle::bindings::RegisterMemory(module);
  tensorbundle::bindings::RegisterProbe(module);
  tensorbundle::bindings::RegisterSave(module);
  tensorbundle::bindings::RegisterMerge(module);
  tensorbundle::bindings::RegisterWriter(module);
  tensorbundle::bindings::RegisterBundle(module);
  tensorbundle::bindings::RegisterRename(module);
  tensorbundle::bindings::RegisterV1(module);
}
