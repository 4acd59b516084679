// What each thread keeps for itself.
#pragma once

#include <cxxabi.h>

extern "C" void* __dso_handle;  // of the program or the library that this is in, which stays loaded until the function was called

namespace cnnx {

// The calling thread's T, made when it is first asked for. Unlike a thread_local T it may be asked for to the very end: by
// destructors of objects that live as long as the thread, and by handlers of exit(), when T has gone; then there is another one,
// which a thread that ends deletes too. (At the end of the process it stays.)
template <class T>
T& per_thread() {
  static constinit thread_local T* mine = nullptr;
  if (mine == nullptr) {
    mine = new T;
    const auto end = [](void*) {
      delete mine;
      mine = nullptr;
    };
    abi::__cxa_thread_atexit(end, nullptr, &__dso_handle);  // what a compiler calls for a thread_local object
  }
  return *mine;
}

}  // namespace cnnx
