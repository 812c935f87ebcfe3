// The tensors of one save: from Python's objects to the core's views.
//
// Most tensors of most saves are plain: their name is text, and the value a C-contiguous
// NumPy array of a dtype that the format has.  TakePlain() goes through these without
// making a Python object for any.  tensorbundle/tensors.py adapts all others.
//
// Ownership: holds every array, whose memory the views borrow, until it goes itself.
//
// GIL: needed, by the destructor too.

#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bindings/callback_source.h"
#include "engine/tensor_list.h"

namespace tensorbundle::bindings {

class SavedTensors {
 public:
  // `numbers` is a dict from dtype to DataType number.
  explicit SavedTensors(pybind11::dict numbers);

  // Adds plain tensors from `items`, an iterator of (name, value) pairs, each by the name
  // `outer` + name.  Returns the first pair that is not plain; None at the end.
  //
  // Raises what the iterator raises
  pybind11::object TakePlain(const pybind11::iterator& items, const pybind11::bytes& outer);

  // Adds a tensor as tensors.adapt() gives it: an array and what of it is still to be
  // negated (tensors.View), or for strings and variants (shape, [bytes, ...]) in C order.
  void Add(pybind11::handle name, uint64_t number, const pybind11::object& value,
           unsigned negated);

  // Adds a tensor whose bytes `read` produces (callback_source.h).
  void AddStream(pybind11::handle name, uint64_t number, const pybind11::tuple& shape,
                 uint64_t size, const pybind11::object& read);

  // Raises what a function given to AddStream() has raised, if any has.
  void RaiseFailure() const { failure_->Rethrow(); }

  // Adds a tensor in parts, each of them (offsets, number, value, negated) as above.  With
  // `partial` they may leave gaps.  One that is all of the tensor is added as such.
  //
  // Raises ValueError where engine/partition.h refuses the parts; nothing is added
  void AddPartitioned(pybind11::handle name, const pybind11::tuple& full_shape,
                      const pybind11::list& parts, bool partial);

  std::span<const engine::PartitionedTensor> partitioned() const { return partitioned_; }
  std::span<const engine::TensorView> views() const { return list_.views(); }
  std::span<engine::TensorView> views() { return list_.views(); }

  // Lets go of the arrays that were copied (engine/snapshot.h).
  void ReleaseCopied();

  // Lets go of everything: there are no tensors then.  REQUIRES: no save is under way
  void Release();

 private:
  void ReserveFor(const pybind11::iterator& items);
  bool TryAddPlain(std::string_view outer, PyObject* name, PyObject* value);
  bool KnowsDType(const pybind11::array& array);
  engine::TensorView& AddView(const std::string& name, uint64_t number,
                              const pybind11::object& value, unsigned negated);

  const pybind11::dict numbers_;
  const pybind11::object array_type_;  // numpy.ndarray
  // Of the last plain array: neighbours mostly have the same one.
  pybind11::object last_dtype_;
  format::DType last_number_ = format::DType::kFloat32;
  const std::shared_ptr<CallbackFailure> failure_ = std::make_shared<CallbackFailure>();
  engine::TensorList list_;
  std::vector<pybind11::object> owners_;                // one per tensor
  std::vector<engine::PartitionedTensor> partitioned_;  // whose parts are in list_
};

}  // namespace tensorbundle::bindings
