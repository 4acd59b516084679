// Fuses the calls of a function that runs as ever, by what it did the time before.
//
//   Foresight foresight;
//   for (...) {
//     Foresight::Scope scope(foresight);
//     step(...);
//   }
//
// The first time the calls are watched. From then on a call whose result went into the next one and nowhere else is held back:
// if the next one comes, both are computed at once; if another one comes, or somebody asks for the values, it is computed as if
// nothing had been. What was watched is a forecast, and nothing depends on its coming true.
#pragma once

#include <memory>

#include "cnnx/api.h"

namespace cnnx CNNX_API {

class Foresight {
 public:
  Foresight();
  ~Foresight();
  Foresight(const Foresight&) = delete;
  Foresight& operator=(const Foresight&) = delete;

  // From the one to the other the calls of this thread are watched, or fused. begin() says whether it does: not within another
  // one, nor while another thread is between the two, nor where calls are captured or recorded.
  bool begin();
  void end();

  size_t fused() const;  // pairs of calls, in the last time

  struct Scope {
    explicit Scope(Foresight& f) : foresight(f.begin() ? &f : nullptr) {}
    ~Scope() noexcept(false) {
      if (foresight != nullptr) foresight->end();
    }
    Foresight* foresight;
  };

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace cnnx CNNX_API
