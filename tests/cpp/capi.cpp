// The C API: what its functions answer, also to null and to wrong arguments. That it is C: tests/test_c_api.py.
#include "cnnx/c.h"

#include <cstdio>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "allocations.h"
#include "cnnx/models.h"
#include "cnnx/random.h"
#include "harness.h"
#include "onnx_writer.h"

namespace cnnx::test {
namespace {

std::string dense() {
  return NetWriter()
      .input("x", {-1, 3})
      .weight("w", {2, 3}, std::vector<float>{1, 2, 3, 4, 5, 6})
      .weight("b", {2}, std::vector<float>{0.5F, -0.5F})
      .node("Gemm", {"x", "w", "b"}, {"y"}, {attribute("transB", int64_t{1})})
      .output("y", {-1, 2})
      .str();
}

cnnx_net* loaded(const std::string& bytes) {
  cnnx_net* net = nullptr;
  CHECK_MESSAGE(cnnx_parse_onnx(bytes.data(), bytes.size(), "test", &net) == CNNX_OK, cnnx_last_error());
  return net;
}

bool last_says(const char* part) { return std::strstr(cnnx_last_error(), part) != nullptr; }

}  // namespace

TEST_CASE("a net and a session through the C API") {
  cnnx_net* net = loaded(dense());
  size_t count = 0;
  CHECK(cnnx_net_input_count(net, &count) == CNNX_OK);
  CHECK(count == 1);
  CHECK(cnnx_net_output_count(net, &count) == CNNX_OK);
  CHECK(count == 1);
  cnnx_value value = CNNX_VALUE;
  CHECK(cnnx_net_input(net, 0, &value) == CNNX_OK);
  CHECK(std::string(value.name) == "x");
  CHECK(value.dtype == CNNX_FLOAT32);
  REQUIRE(value.rank == 2);
  CHECK(value.shape[0] == -1);
  CHECK(value.shape[1] == 3);
  CHECK(value.bytes == 0);

  cnnx_session_options options = CNNX_SESSION_OPTIONS;
  options.batch = 2;
  options.threads = 1;
  cnnx_session* session = nullptr;
  REQUIRE(cnnx_session_create(net, &options, &session) == CNNX_OK);
  cnnx_net_free(net);  // the session needs it no more
  CHECK(cnnx_session_output(session, 0, &value) == CNNX_OK);
  CHECK(std::string(value.name) == "y");
  CHECK(value.shape[0] == 2);
  CHECK(value.bytes == 16);
  const float x[6] = {1, 0, 0, 0, 1, 1};
  float y[4] = {};
  CHECK(cnnx_session_run(session, x, 6, y, 4) == CNNX_OK);
  const float expected[4] = {1.5F, 3.5F, 5.5F, 10.5F};
  for (int i = 0; i < 4; ++i) CHECK(y[i] == expected[i]);
  float z[4] = {};
  const cnnx_input input = {x, sizeof(x), CNNX_FLOAT32, 0};
  const cnnx_output output = {z, sizeof(z), CNNX_FLOAT32, 0};
  CHECK(cnnx_session_run_many(session, &input, 1, &output, 1) == CNNX_OK);
  CHECK(std::memcmp(y, z, sizeof(y)) == 0);
  if (kCountsAllocations) {
    const int64_t before = allocations();
    for (int i = 0; i < 10; ++i) {
      cnnx_session_run(session, x, 6, y, 4);
      cnnx_session_run_many(session, &input, 1, &output, 1);
    }
    const int64_t after = allocations();
    CHECK(before == after);
  }
  cnnx_session_free(session);
}

TEST_CASE("shapes, typed values and structs of an older caller") {
  const std::string bytes = NetWriter()
                                .input("a", {-1, -1}, kInt64)
                                .input("b", {2}, kInt64)
                                .node("Add", {"a", "b"}, {"c"})
                                .output("c", {}, kInt64)
                                .str();
  cnnx_net* net = loaded(bytes);
  cnnx_value value = CNNX_VALUE;
  CHECK(cnnx_net_output(net, 0, &value) == CNNX_OK);
  CHECK(value.rank == -1);
  cnnx_session* session = nullptr;
  CHECK(cnnx_session_create(net, nullptr, &session) == CNNX_BAD_ARGUMENT);  // an extent is free
  CHECK(session == nullptr);
  const int64_t a_shape[] = {3, 2}, b_shape[] = {2};
  const int64_t* shapes[] = {a_shape, b_shape};
  const int32_t ranks[] = {2, 1};
  cnnx_session_options options = CNNX_SESSION_OPTIONS;
  options.shapes = shapes;
  options.ranks = ranks;
  options.shape_count = 2;
  REQUIRE(cnnx_session_create(net, &options, &session) == CNNX_OK);
  const int64_t a[] = {1, 2, 3, 4, 5, 6}, b[] = {10, 20};
  int64_t c[6] = {};
  cnnx_input inputs[] = {{a, sizeof(a), CNNX_INT64, 0}, {b, sizeof(b), CNNX_INT64, 0}};
  cnnx_output output = {c, sizeof(c), CNNX_INT64, 0};
  CHECK(cnnx_session_run_many(session, inputs, 2, &output, 1) == CNNX_OK);
  CHECK(c[5] == 26);
  CHECK(cnnx_session_run_many(session, inputs, 1, &output, 1) == CNNX_BAD_ARGUMENT);
  inputs[1].dtype = CNNX_FLOAT32;
  CHECK(cnnx_session_run_many(session, inputs, 2, &output, 1) == CNNX_BAD_DTYPE);
  inputs[1] = {b, sizeof(b) - 1, CNNX_INT64, 0};
  CHECK(cnnx_session_run_many(session, inputs, 2, &output, 1) == CNNX_BAD_SHAPE);
  inputs[1] = {nullptr, sizeof(b), CNNX_INT64, 0};
  CHECK(cnnx_session_run_many(session, inputs, 2, &output, 1) == CNNX_BAD_ARGUMENT);
  inputs[1] = {b, sizeof(b), CNNX_INT64, 1};
  CHECK(cnnx_session_run_many(session, inputs, 2, &output, 1) == CNNX_BAD_ARGUMENT);
  float f[12] = {};
  CHECK(cnnx_session_run(session, f, 6, f, 6) == CNNX_BAD_ARGUMENT);  // two inputs

  // A caller that knows the first two members of a value alone.
  struct {
    size_t struct_size;
    const char* name;
    int64_t untouched;
  } old = {2 * sizeof(size_t), nullptr, 77};
  CHECK(cnnx_session_input(session, 1, reinterpret_cast<cnnx_value*>(&old)) == CNNX_OK);
  CHECK(std::string(old.name) == "b");
  CHECK(old.untouched == 77);
  // One that knows more than the library: what is new to it stays as it is.
  struct {
    cnnx_value known;
    int64_t more;
  } newer = {CNNX_VALUE, 77};
  newer.known.struct_size = sizeof(newer);
  CHECK(cnnx_session_input(session, 1, &newer.known) == CNNX_OK);
  CHECK(newer.known.bytes == 16);
  CHECK(newer.more == 77);
  cnnx_session_free(session);

  options.ranks = nullptr;
  CHECK(cnnx_session_create(net, &options, &session) == CNNX_BAD_ARGUMENT);
  const int32_t wrong[] = {9, -1};
  options.ranks = wrong;
  CHECK(cnnx_session_create(net, &options, &session) == CNNX_BAD_ARGUMENT);
  options.ranks = ranks;
  options.shape_count = 1;
  CHECK(cnnx_session_create(net, &options, &session) == CNNX_BAD_ARGUMENT);
  options.shape_count = 2;
  shapes[1] = nullptr;
  CHECK(cnnx_session_create(net, &options, &session) == CNNX_BAD_ARGUMENT);
  options = CNNX_SESSION_OPTIONS;
  options.struct_size = 0;
  CHECK(cnnx_session_create(net, &options, &session) == CNNX_BAD_ARGUMENT);
  options = CNNX_SESSION_OPTIONS;
  options.keep_batch_norm = 2;
  CHECK(cnnx_session_create(net, &options, &session) == CNNX_BAD_ARGUMENT);
  options = CNNX_SESSION_OPTIONS;
  options.device = "tpu";
  CHECK(cnnx_session_create(net, &options, &session) != CNNX_OK);
  cnnx_net_free(net);
}

TEST_CASE("null and wrong arguments of the C API answer with a status and a line") {
  const std::string bytes = dense();
  cnnx_net* net = loaded(bytes);
  cnnx_session* session = reinterpret_cast<cnnx_session*>(&net);  // what stands there is not looked at
  size_t count = 0;
  cnnx_value value = CNNX_VALUE;
  float x[3] = {}, y[2] = {};
  cnnx_net* other = net;
  const cnnx_status answers[] = {
      cnnx_load_onnx(nullptr, &other),
      cnnx_load_onnx("net.onnx", nullptr),
      cnnx_parse_onnx(nullptr, 5, "test", &other),
      cnnx_parse_onnx(nullptr, 0, nullptr, &other),
      cnnx_parse_onnx(bytes.data(), bytes.size(), "test", nullptr),
      cnnx_parse_onnx("nonsense", 8, "test", &other),
      cnnx_net_input_count(nullptr, &count),
      cnnx_net_input_count(net, nullptr),
      cnnx_net_output_count(nullptr, &count),
      cnnx_net_input(nullptr, 0, &value),
      cnnx_net_input(net, 0, nullptr),
      cnnx_net_output(nullptr, 0, &value),
      cnnx_session_create(nullptr, nullptr, &session),
      cnnx_session_input_count(nullptr, &count),
      cnnx_session_output_count(nullptr, &count),
      cnnx_session_input(nullptr, 0, &value),
      cnnx_session_output(nullptr, 0, &value),
      cnnx_session_run(nullptr, x, 3, y, 2),
      cnnx_session_run_many(nullptr, nullptr, 0, nullptr, 0),
  };
  for (const cnnx_status& answer : answers) CHECK_MESSAGE(answer == CNNX_BAD_ARGUMENT, "call " << &answer - answers);
  CHECK(other == nullptr);
  CHECK(session == nullptr);
  REQUIRE(cnnx_session_create(net, nullptr, &session) == CNNX_OK);
  CHECK(cnnx_net_input(net, 1, &value) == CNNX_BAD_INDEX);
  CHECK(cnnx_session_output(session, SIZE_MAX, &value) == CNNX_BAD_INDEX);
  value.struct_size = 0;
  CHECK(cnnx_net_input(net, 0, &value) == CNNX_BAD_ARGUMENT);
  CHECK(cnnx_session_run(session, nullptr, 3, y, 2) == CNNX_BAD_ARGUMENT);
  CHECK(cnnx_session_run(session, x, 3, nullptr, 2) == CNNX_BAD_ARGUMENT);
  CHECK(cnnx_session_run(session, x, 4, y, 2) == CNNX_BAD_SHAPE);
  CHECK(last_says("cnnx_session_run: Session: input 0 of shape (1, 3) has 3 numbers, got 4"));
  CHECK(cnnx_last_status() == CNNX_BAD_SHAPE);
  CHECK(cnnx_load_onnx("/nowhere/net.onnx", &other) == CNNX_IO_ERROR);
  CHECK(last_says("cnnx_load_onnx: load_onnx: cannot open /nowhere/net.onnx"));
  const std::string missing = NetWriter().input("x", {1}).node("Foo", {"x"}, {"y"}).output("y").str();
  CHECK(cnnx_parse_onnx(missing.data(), missing.size(), "test", &other) == CNNX_NOT_SUPPORTED);
  CHECK(last_says("Foo"));
  // Devices: a name that is none, and one that is not there.
  cnnx_session* no_session = session;
  cnnx_session_options options = CNNX_SESSION_OPTIONS;
  for (const char* device : {"", "gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:0 ", "cpu:1"}) {
    options.device = device;
    CHECK_MESSAGE(cnnx_session_create(net, &options, &no_session) == CNNX_BAD_ARGUMENT, device);
    CHECK(last_says("cnnx_session_create: "));
  }
  for (const char* device : {"cuda:999", "cuda:99999999999999999999"}) {
    options.device = device;
    CHECK_MESSAGE(cnnx_session_create(net, &options, &no_session) == CNNX_NOT_SUPPORTED, device);
  }
  CHECK(no_session == nullptr);
  // Structs of a newer caller: what is new must be zero.
  struct {
    cnnx_session_options known;
    int64_t more;
  } newer = {CNNX_SESSION_OPTIONS, 0};
  newer.known.struct_size = sizeof(newer);
  CHECK(cnnx_session_create(net, &newer.known, &no_session) == CNNX_OK);
  cnnx_session_free(no_session);
  newer.more = 1;
  CHECK(cnnx_session_create(net, &newer.known, &no_session) == CNNX_NOT_SUPPORTED);
  newer.known.struct_size = SIZE_MAX;
  CHECK(cnnx_session_create(net, &newer.known, &no_session) == CNNX_BAD_ARGUMENT);
  CHECK(cnnx_parse_onnx(missing.data(), missing.size(), "test", &other) == CNNX_NOT_SUPPORTED);
  // Each thread has an error of its own.
  std::string there = "unset";
  std::thread([&] { there = cnnx_last_error(); }).join();
  CHECK(there.empty());
  CHECK(last_says("Foo"));
  cnnx_net_free(nullptr);
  cnnx_session_free(nullptr);
  cnnx_session_free(session);
  cnnx_net_free(net);
  CHECK(std::string(cnnx_version()).find('.') != std::string::npos);
}

TEST_CASE("a net known by name, with the weights of a safetensors file") {
  manual_seed(4);
  const RandomState before = random_state();
  nn::Sequential net = build_model("cnn-32-32-bn", {.height = 10, .width = 12, .classes = 3});
  const char* path = "capi_test.safetensors";
  save_safetensors(net.state_dict(), path);
  net.eval();
  const Tensor images = Tensor::empty({2, 1, 10, 12});
  normal_(images, 0, 1);
  const Tensor expected = net(images).plain();

  set_random_state(before);
  cnnx_model model = CNNX_MODEL("s11");
  model.height = 10, model.width = 12, model.classes = 3;
  cnnx_net* loaded_net = nullptr;
  REQUIRE_MESSAGE(cnnx_load_safetensors(path, &model, &loaded_net) == CNNX_OK, cnnx_last_error());
  CHECK(random_state().calls == before.calls);
  cnnx_value value = CNNX_VALUE;
  CHECK(cnnx_net_input(loaded_net, 0, &value) == CNNX_OK);
  CHECK(value.rank == 4);
  cnnx_session_options options = CNNX_SESSION_OPTIONS;
  options.batch = 2;
  cnnx_session* session = nullptr;
  REQUIRE_MESSAGE(cnnx_session_create(loaded_net, &options, &session) == CNNX_OK, cnnx_last_error());
  cnnx_net_free(loaded_net);
  float scores[6] = {};
  CHECK(cnnx_session_run(session, images.data<float>(), 240, scores, 6) == CNNX_OK);
  for (int i = 0; i < 6; ++i) CHECK(scores[i] == doctest::Approx(expected.data<float>()[i]).epsilon(1e-5));
  cnnx_session_free(session);

  // What does not belong together.
  const auto refused = [&](cnnx_status status, const char* file, const cnnx_model* of, const char* part) {
    cnnx_net* none = nullptr;
    CHECK(cnnx_load_safetensors(file, of, &none) == status);
    CHECK(none == nullptr);
    CHECK_MESSAGE(last_says(part), cnnx_last_error());
  };
  model.classes = 4;
  refused(CNNX_ERROR, path, &model, "load_state_dict");
  model.height = 3;
  refused(CNNX_BAD_ARGUMENT, path, &model, "too small");
  cnnx_model unknown = CNNX_MODEL("resnet");
  refused(CNNX_BAD_ARGUMENT, path, &unknown, "no net is called");
  unknown.name = nullptr;
  refused(CNNX_BAD_ARGUMENT, path, &unknown, "model.name is null");
  unknown.struct_size = 0;
  refused(CNNX_BAD_ARGUMENT, path, &unknown, "struct_size");
  refused(CNNX_BAD_ARGUMENT, path, nullptr, "model is null");
  refused(CNNX_BAD_ARGUMENT, nullptr, &model, "");
  CHECK(cnnx_load_safetensors(path, &model, nullptr) == CNNX_BAD_ARGUMENT);
  std::remove(path);
  cnnx_model lenet5 = CNNX_MODEL("lenet5");
  refused(CNNX_IO_ERROR, path, &lenet5, path);
}

}  // namespace cnnx::test
