// Letting other Python threads run, for the length of a scope.
//
// As pybind11's gil_scoped_release, but safe where the interpreter ends meanwhile.  A
// daemon thread that then asks for the lock again is ended by CPython before 3.14, in the
// middle of our frames (pthread_exit), which C++ answers with std::terminate.  Here it
// waits for the end of the process, as CPython does it from 3.14 on.  Not so the thread that
// ends the interpreter: destructors of Python objects may save then, and wait for saves.

#pragma once

#include <Python.h>
#include <unistd.h>

namespace tensorbundle::bindings {

inline bool IsFinalizing() {
#if PY_VERSION_HEX >= 0x030d0000
  return Py_IsFinalizing() != 0;
#else
  return _Py_IsFinalizing() != 0;
#endif
}

class GilRelease {
 public:
  GilRelease() : is_last_(IsFinalizing()), state_(PyEval_SaveThread()) {}
  GilRelease(const GilRelease&) = delete;
  GilRelease& operator=(const GilRelease&) = delete;
  // May be left by pthread_exit(), where the end begins while it waits for the lock.
  ~GilRelease() noexcept(false) {
    while (!is_last_ && IsFinalizing()) ::pause();
    PyEval_RestoreThread(state_);
  }

 private:
  const bool is_last_;  // only one thread has the lock once the end has begun
  PyThreadState* const state_;
};

}  // namespace tensorbundle::bindings
