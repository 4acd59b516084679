// Calls every public C++ function with undefined, empty, huge and mismatched arguments:
//
//     cnnx_fuzz_api --seed 1 --calls 20000        # or --seconds 60
//
// --only 1234 repeats one call in this process, --from 1200 all from there on. A call may return, or throw a cnnx::Error.
// Anything else is a finding: another exception, a crash, a report of a sanitizer, memory out of proportion, a hang, and an error
// that does not begin with the name of what was called or speaks of another language. Calls run in child processes.
#include "cpp_api.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <set>

#include "table.inc"

// An allocation of this size fails as it does in a program without memory, and must not end this one.
extern "C" __attribute__((visibility("default"))) const char* __asan_default_options() {  // for libasan.so to find
  return "allocator_may_return_null=1:max_allocation_size_mb=1024:detect_leaks=0:handle_abort=1";
}

namespace fuzz {

using cnnx::Dims;
using cnnx::DType;
using cnnx::Tensor;

int64_t Fuzz::integer() {
  if (!odd()) return static_cast<int64_t>(below(6)) - static_cast<int64_t>(below(4) == 0);
  using Limits = std::numeric_limits<int64_t>;
  return one_of<int64_t>({-1, -2, 7, 8, 9, 100, 1000, INT32_MAX, int64_t{INT32_MAX} + 1, INT32_MIN, int64_t{1} << 40,
                          Limits::max(), Limits::max() - 1, Limits::min(), Limits::min() + 1, Limits::max() / 2});
}

double Fuzz::real() {
  using Limits = std::numeric_limits<double>;
  if (!odd()) return one_of({0.0, 0.1, 0.5, 1.0, 2.0, 0.9, 1e-5, -0.5, 3.0});
  return one_of({-1.0, 1e300, -1e300, 1e-320, Limits::infinity(), -Limits::infinity(), Limits::quiet_NaN(), 1e10, -0.0});
}

Dims Fuzz::some_shape() {
  if (odd_ > 0 && odd()) {
    Dims dims;
    for (uint64_t count = below(9); count > 0; --count) dims.push_back(static_cast<int64_t>(below(3)));
    return dims;
  }
  return one_of<Dims>({{},
                       {1},
                       {3},
                       {5},
                       {2, 3},
                       {4, 4},
                       {0, 3},
                       {2, 3, 4},
                       {3, 5, 5},
                       {1, 1, 7},
                       {2, 4, 6, 6},
                       {9, 2, 5, 5},
                       {8, 3, 8, 8},
                       {1, 1, 3, 3},
                       {0, 2, 4, 4},
                       {2, 2, 2, 2, 2}});
}

Tensor Fuzz::plain_tensor(const Dims& shape, DType dtype) {
  const Tensor t = Tensor::empty(shape, {dtype});
  const int64_t count = t.numel();
  cnnx::dispatch(dtype, [&]<class T>(T) {
    T* data = t.data<T>();
    for (int64_t i = 0; i < count; ++i) {
      if constexpr (std::is_floating_point_v<T>)
        data[i] = static_cast<T>(odd() ? std::max(-1e30, std::min(1e30, real())) : static_cast<double>(below(200)) / 100 - 1);
      else if constexpr (std::is_same_v<T, bool>) data[i] = below(2) == 0;
      else data[i] = static_cast<T>(below(40) == 0 ? integer() : static_cast<int64_t>(below(3)));
    }
  });
  return t;
}

Tensor Fuzz::tensor() {
  if (odd()) return {};
  if (!tensors_.empty() && below(12) == 0) return tensors_[below(tensors_.size())];
  Dims shape = shape_;
  if (below(3) == 0) {
    const int64_t channels = shape.size() > 1 ? shape[1] : shape.numel();
    shape = one_of<Dims>({{channels}, {channels, channels, 3, 3}, {channels, channels, 3}, {4, channels}, {}, {1}, some_shape()});
    if (shape.size() == 1 && shape[0] > 1000) shape = {};
  }
  const DType dtype =
      below(2) == 0
          ? DType::float32
          : one_of({DType::float32, DType::float64, DType::int64, DType::int64, DType::int32, DType::uint8, DType::boolean});
  Tensor t = plain_tensor(shape, dtype);
  try {
    switch (below(12)) {
      case 0:
        if (t.ndim() > 1) t = cnnx::transpose(t, 0, -1);
        break;
      case 1:
        if (t.ndim() > 0 && t.size(0) > 0) t = cnnx::expand(cnnx::narrow(t, 0, 0, 1), shape);
        break;
      case 2:
        if (t.ndim() > 0 && t.size(-1) > 1) t = cnnx::slice(t, -1, 1, 1000, 2);
        break;
      case 3:  // in lanes, if it can be
        if (is_floating_point(dtype) && t.ndim() == 4) t = cnnx::max_pool2d(t, {.kernel = {1, 1}, .stride = {1, 1}});
        break;
      case 4: {  // somebody else's, who allows no writing
        const auto owner = std::make_shared<Tensor>(cnnx::make_contiguous(t));
        t = Tensor::from_memory(owner->raw_data(), t.shape(), cnnx::contiguous_strides(t.shape()), dtype, [owner] {}, true);
        break;
      }
      default: break;
    }
    if (is_floating_point(dtype) && below(4) == 0) {
      t.set_requires_grad(true);
      if (below(3) == 0) t = cnnx::mul(t, cnnx::Number(2));
    }
  } catch (const cnnx::Error&) {  // it stays as it was
  }
  tensors_.push_back(t);
  return t;
}

void Fuzz::read_tensor(const Tensor& t) {
  if (!t.defined() || t.device().is_cuda()) return;
  if (t.numel() > 10'000'000) return;
  const Tensor whole = cnnx::make_contiguous(t).plain();
  const auto* bytes = static_cast<const unsigned char*>(whole.raw_data());
  for (int64_t i = 0, count = whole.numel() * static_cast<int64_t>(cnnx::itemsize(whole.dtype())); i < count; ++i)
    sum_ += bytes[i];
  if (t.requires_grad() && below(2) == 0) cnnx::backward(cnnx::sum(t));
}

// --- what the library makes ---------------------------------------------------------------------------------------------------
cnnx::ImageStepPtr Maker<cnnx::ImageStepPtr>::make(Fuzz& f) {
  if (f.odd()) return nullptr;
  try {
    switch (f.below(6)) {
      case 0: return cnnx::flip_step(f.below(2) == 0, f.real());
      case 1: return cnnx::crop_step(f.integer(), f.integer(), f.integer(), f.integer());
      case 2: return cnnx::pad_step(f.make<cnnx::Borders>(), f.make<cnnx::Fill>(), f.make<cnnx::Padding>());
      case 3: return cnnx::resize_step(f.integer(), f.integer(), f.integer(), f.make<cnnx::Filter>(), true, f.below(2) == 0);
      case 4: return cnnx::affine_step(f.make<cnnx::AffineRanges>(), f.make<cnnx::Filter>(), {}, f.below(2) == 0);
      default: return cnnx::normalize_step(f.make<std::vector<double>>(), f.make<std::vector<double>>());
    }
  } catch (const cnnx::Error&) {
    return cnnx::flip_step(true, 0.5);
  }
}
const cnnx::ImageStep& Maker<cnnx::ImageStep>::make(Fuzz& f) {
  cnnx::ImageStepPtr step = f.make<cnnx::ImageStepPtr>();
  if (step == nullptr) step = cnnx::flip_step(false, 1);
  return **f.keep(std::make_unique<cnnx::ImageStepPtr>(std::move(step)));
}

namespace {
struct Packed : cnnx::PackedValue {
  Tensor value;
  explicit Packed(Tensor t) : value(std::move(t)) {}
  Tensor unpack() override { return value; }
};
}  // namespace
std::shared_ptr<cnnx::PackedValue> Maker<std::shared_ptr<cnnx::PackedValue>>::make(Fuzz& f) {
  if (f.odd()) return nullptr;
  return std::make_shared<Packed>(f.tensor());
}

// Up to some point of what a user would do in order.
void Maker<cnnx::Plan>::prepare(cnnx::Plan& plan, Fuzz& f) {
  const uint64_t until = f.below(5);
  try {
    const std::vector<Tensor> arguments = f.make<std::vector<Tensor>>();
    if (until > 0) plan.begin(arguments);
    Tensor result = until > 1 && !arguments.empty() ? cnnx::relu(arguments[0]) : f.tensor();
    if (until > 2) plan.end({result});
    if (until > 3) plan.replay(arguments);
  } catch (const cnnx::Error&) {  // what comes then is a misuse, too
  }
}
void Maker<cnnx::Foresight>::prepare(cnnx::Foresight& foresight, Fuzz& f) {
  for (uint64_t steps = f.below(4); steps > 0; --steps) f.below(2) == 0 ? void(foresight.begin()) : foresight.end();
}

namespace {
// A field of a protocol buffer: bytes, or a number.
std::string field(int number, const std::string& bytes) {
  return std::string{static_cast<char>(number << 3 | 2), static_cast<char>(bytes.size())} + bytes;
}
std::string field(int number, char value) { return {static_cast<char>(number << 3), value}; }
}  // namespace
// y = Relu(x) of any number of rows of three.
cnnx::OnnxNet Maker<cnnx::OnnxNet>::make(Fuzz&) {
  const auto value = [](const char* name) {
    const std::string rows = field(1, field(2, "N")), columns = field(1, field(1, '\3'));
    return field(1, name) + field(2, field(1, field(1, '\1') + field(2, rows + columns)));
  };
  const std::string graph =
      field(1, field(1, "x") + field(2, "y") + field(4, "Relu")) + field(2, "g") + field(11, value("x")) + field(12, value("y"));
  const std::string model = field(1, '\10') + field(7, graph) + field(8, field(2, '\15'));
  return cnnx::parse_onnx(model.data(), model.size(), "model");
}
cnnx::Session Maker<cnnx::Session>::make(Fuzz& f) {
  if (f.below(2) == 0) return cnnx::Session(f.make<cnnx::OnnxNet>());
  return cnnx::Session([](const std::vector<Tensor>& inputs) { return std::vector<Tensor>{cnnx::mul(inputs[0], inputs[1])}; },
                       {{{2, 3}, DType::float32}, {{3}, DType::float32}});
}

// --- calls --------------------------------------------------------------------------------------------------------------------
namespace {

// Where a child is: in memory that the parent sees.
struct Progress {
  volatile int64_t call;
  char name[128];
  volatile int64_t errors, returned;
};
Progress* progress = nullptr;
bool alone = false;

// What a call may have changed for those behind it.
void reset() {
  cnnx::set_grad_enabled(true);
  cnnx::set_default_dtype(DType::float32);
  cnnx::set_flush_denormal(false);
  cnnx::set_pack_hook({});
  for (void (*stop)() :
       {+[] { cnnx::set_autocast_enabled(false); }, +[] { (void)cnnx::stop_recording(); }, +[] { (void)cnnx::stop_profile(); }}) {
    try {
      stop();
    } catch (const cnnx::Error&) {  // it was not under way
    }
  }
  cnnx::manual_seed(0);
}

std::string fault(const Fuzz& f, const std::string& text) {
  const size_t colon = text.find(": ");
  if (colon == std::string::npos) return "an error without the name of what was called";
  for (const char* word : {"None", "True", "False", "torch", "Python"})
    if (text.find(word) != std::string::npos) return std::string("an error that speaks of ") + word;
  std::string called = f.name().substr(f.name().rfind(':') + 1);
  if (called == "operator->") called = "Tensor";
  // What the members of Tensor say (tensor.h); an op says which of its inputs it is.
  if (text.find(": the tensor is undefined (no tensor)") != std::string::npos && text.substr(0, colon) != called)
    return "an undefined tensor that was not met by " + called;
  return {};
}

// Empty if all is well.
std::string run_one(uint64_t seed, int64_t number) {
  Fuzz f(seed * 1'000'003 + static_cast<uint64_t>(number));
  std::string found;
  try {
    calls[f.below(static_cast<uint64_t>(call_count))](f);
    progress->returned = progress->returned + 1;
  } catch (const cnnx::Error& error) {
    progress->errors = progress->errors + 1;
    if (alone) std::printf("%s: %s\n", f.name().c_str(), error.what());
    if (f.is_under_way()) found = fault(f, error.what());
    if (!found.empty()) found += std::string(": ") + error.what();
  } catch (const FromCallback&) {
  } catch (const std::exception& error) {
    found = std::string("an exception that is no cnnx::Error: ") + error.what();
  }
  if (!found.empty()) found = f.name() + ": " + found;
  reset();
  return found;
}

}  // namespace

void Fuzz::start(const char* name) {
  name_ = name;
  std::strncpy(progress->name, name, sizeof progress->name - 1);
}
void Fuzz::go() { under_way_ = true; }

namespace {

constexpr int kSecondsEach = 10, kFoundOut = 3;

// From `first` on until `last` or a finding, of which it tells by its end.
[[noreturn]] void child(uint64_t seed, int64_t first, int64_t last) {
  for (int64_t i = first; i < last; ++i) {
    progress->call = i;
    alarm(kSecondsEach);
    const std::string found = run_one(seed, i);
    if (found.empty()) continue;
    std::fprintf(stderr, "call %lld: %s\n", static_cast<long long>(i), found.c_str());
    std::fflush(stderr);
    _exit(kFoundOut);
  }
  progress->call = last;
  _exit(0);
}

std::string reason(int status) {
  if (WIFSIGNALED(status)) return WTERMSIG(status) == SIGALRM ? "a hang" : "signal " + std::to_string(WTERMSIG(status));
  return "a report of a sanitizer (exit " + std::to_string(WEXITSTATUS(status)) + ")";
}

int fuzz_all(uint64_t seed, int64_t from, int64_t count, double seconds) {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  const auto passed = [&] { return std::chrono::duration<double>(Clock::now() - start).count(); };
  constexpr int64_t kEach = 500;
  int findings = 0;
  std::map<std::string, int> by_name;
  int64_t at = from;
  count += from;
  while (seconds > 0 ? passed() < seconds : at < count) {
    const int64_t last = seconds > 0 ? at + kEach : std::min(count, at + kEach);
    std::fflush(nullptr);
    const pid_t process = fork();
    if (process < 0) return std::perror("fork"), 2;
    if (process == 0) child(seed, at, last);
    int status = 0;
    waitpid(process, &status, 0);
    if (status == 0) {
      at = last;
      continue;
    }
    ++findings;
    ++by_name[progress->name];
    if (!WIFEXITED(status) || WEXITSTATUS(status) != kFoundOut)
      std::fprintf(stderr, "call %lld: %s: %s\n", static_cast<long long>(progress->call), progress->name, reason(status).c_str());
    at = progress->call + 1;
  }
  for (const auto& [name, times] : by_name) std::printf("  %-40s %d\n", name.c_str(), times);
  std::printf("%lld calls of %d functions in %.0f s, seed %llu: %lld returned, %lld refused, %d findings\n",
              static_cast<long long>(at - from), call_count, passed(), static_cast<unsigned long long>(seed),
              static_cast<long long>(progress->returned), static_cast<long long>(progress->errors), findings);
  return findings > 0;
}

}  // namespace
}  // namespace fuzz

int main(int argc, char** argv) {
  uint64_t seed = 1;
  int64_t count = 20000, only = -1, from = 0;
  double seconds = 0;
  for (int i = 1; i < argc; i += 2) {
    const std::string option = argv[i], value = i + 1 < argc ? argv[i + 1] : "";
    if (value.empty()) return std::fprintf(stderr, "%s: needs a number\n", option.c_str()), 2;
    if (option == "--seed") seed = std::strtoull(value.c_str(), nullptr, 10);
    else if (option == "--calls") count = std::strtoll(value.c_str(), nullptr, 10);
    else if (option == "--seconds") seconds = std::strtod(value.c_str(), nullptr);
    else if (option == "--only") only = std::strtoll(value.c_str(), nullptr, 10);
    else if (option == "--from") from = std::strtoll(value.c_str(), nullptr, 10);
    else return std::fprintf(stderr, "%s: no such option\n", option.c_str()), 2;
  }
  void* shared = mmap(nullptr, sizeof(fuzz::Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) return std::perror("mmap"), 2;
  fuzz::progress = new (shared) fuzz::Progress{};
  if (only < 0) return fuzz::fuzz_all(seed, from, count, seconds);
  fuzz::alone = true;
  const std::string found = fuzz::run_one(seed, only);
  std::printf("%s: %s\n", fuzz::progress->name, found.empty() ? "no finding" : found.c_str());
  return !found.empty();
}
