// What each thread keeps for itself.
#pragma once

namespace cnnx {

// The calling thread's T, made when it is first asked for. Unlike a thread_local T it may be asked for to the very end: by
// destructors of objects that live as long as the thread, and by handlers of exit(), when T has gone; then there is another one,
// which is left to the end of the process.
template <class T>
T& per_thread() {
  static constinit thread_local T* mine = nullptr;
  struct End {
    ~End() {
      delete mine;
      mine = nullptr;
    }
  };
  if (mine == nullptr) {
    mine = new T;
    static thread_local End end;
    static_cast<void>(end);
  }
  return *mine;
}

}  // namespace cnnx
