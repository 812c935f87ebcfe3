// One function per binding file; module.cc calls them.

#pragma once

#include <pybind11/pybind11.h>

namespace tensorbundle::bindings {

void RegisterErrors(pybind11::module_& module);
void RegisterFiles(pybind11::module_& module);
void RegisterInfo(pybind11::module_& module);
void RegisterChecksum(pybind11::module_& module);
void RegisterMemory(pybind11::module_& module);
void RegisterProbe(pybind11::module_& module);
void RegisterSavedTensors(pybind11::module_& module);
void RegisterSnapshot(pybind11::module_& module);
void RegisterSave(pybind11::module_& module);
void RegisterMerge(pybind11::module_& module);
void RegisterWriter(pybind11::module_& module);
void RegisterBundle(pybind11::module_& module);
void RegisterRename(pybind11::module_& module);
void RegisterV1(pybind11::module_& module);

}  // namespace tensorbundle::bindings
