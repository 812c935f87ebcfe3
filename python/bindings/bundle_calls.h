// The engine's calls on a bundle that may block: other Python threads run meanwhile.
//
// GIL: needed on entry; released while files are opened and read.  What goes wrong is
// raised, but for a Result.

#pragma once

#include <pybind11/pybind11.h>

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "bindings/mapping.h"
#include "bindings/read_arguments.h"
#include "engine/assembly.h"
#include "engine/bundle.h"
#include "engine/mapper.h"
#include "engine/reader.h"
#include "io/storage.h"

namespace tensorbundle::bindings {

class BundleCalls {
 public:
  // `storage` in place of the file system; usually null.
  BundleCalls(const std::string& prefix, const std::string& backend,
              std::shared_ptr<io::Storage> storage);

  const engine::Bundle& bundle() const { return *bundle_; }
  engine::ReadMode mode() const { return mode_; }

  std::vector<engine::ReadRequest> MakeRequests(const pybind11::list& names) const;

  // Finds the parts of those that are partitioned, and sets what memory they take.
  engine::Assembly Assemble(std::vector<engine::ReadRequest>& tensors) const;

  // Of one tensor, or of its parts.
  Result<std::vector<engine::ReadRequest>> RequestsToVerify(std::string name) const;

  void Check(const std::vector<engine::ReadRequest>& requests) const;

  engine::MappedTensors Map(const std::vector<engine::ReadRequest>& requests,
                            const MapArguments& how) const;

  engine::ReadReport Read(const std::vector<engine::ReadRequest>& requests,
                          const ReadArguments& arguments) const;

  // Reads the first `num_own` requests, and verifies the others, which are mapped.
  engine::ReadReport ReadBesideMaps(const std::vector<engine::ReadRequest>& requests,
                                    size_t num_own, const ReadArguments& arguments) const;

  engine::ReadReport Verify(const std::vector<engine::ReadRequest>& requests,
                            const ReadArguments& arguments,
                            std::vector<engine::Fault>& faults) const;

 private:
  engine::ReadReport ReadBy(engine::ReadMode mode,
                            const std::vector<engine::ReadRequest>& requests,
                            const ReadArguments& arguments) const;

  const engine::ReadMode mode_;
  std::unique_ptr<const engine::Bundle> bundle_;
};

}  // namespace tensorbundle::bindings
