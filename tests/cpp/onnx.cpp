// The ONNX reader: what it takes, and files that lie. Whatever a file holds, it ends in a net or in an exception, soon.
#include "cnnx/onnx.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "cnnx/ops/elementwise.h"
#include "cnnx/session.h"
#include "harness.h"
#include "onnx_writer.h"

namespace cnnx::test {
namespace {

OnnxNet parsed(const std::string& bytes) { return parse_onnx(bytes.data(), bytes.size(), "test"); }

std::string error_of(const std::string& bytes) {
  try {
    parsed(bytes);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// x (2, 3) through one node.
NetWriter one_node(std::string_view op, std::initializer_list<std::string_view> inputs,
                   std::initializer_list<Message> attributes = {}) {
  return NetWriter().input("x", {2, 3}).node(op, inputs, {"y"}, attributes).output("y");
}

std::string small_net() {
  return NetWriter()
      .input("image", {-1, 1, 4, 4})
      .weight("w", {2, 1, 3, 3}, std::vector<float>(18, 0.5F))
      .weight("shape", {2}, std::vector<int64_t>{0, -1})
      .node("Conv", {"image", "w"}, {"a"}, {attribute("pads", {1, 1, 1, 1}), attribute("auto_pad", "NOTSET")})
      .node("Relu", {"a"}, {"b"})
      .node("MaxPool", {"b"}, {"c"}, {attribute("kernel_shape", {2, 2}), attribute("strides", {2, 2})})
      .node("Reshape", {"c", "shape"}, {"d"})
      .node("Softmax", {"d"}, {"y"}, {attribute("axis", int64_t{-1})})
      .output("y", {-1, 8})
      .str();
}

struct Folder {
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "cnnx-onnx-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::filesystem::path path;
};

void write(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

// A weight whose data lies elsewhere.
Message external(std::string_view location, std::string_view offset = "0", std::string_view length = "24") {
  const auto entry = [](std::string_view key, std::string_view value) { return Message().text(1, key).text(2, value); };
  return Message()
      .integer(1, 2)
      .integer(1, 3)
      .integer(2, kFloat)
      .text(8, "w")
      .message(13, entry("location", location))
      .message(13, entry("offset", offset))
      .message(13, entry("length", length))
      .integer(14, 1);
}

std::string with_weight(const Message& weight) {
  return NetWriter().input("x", {2, 3}).weight(weight).node("Add", {"x", "w"}, {"y"}).output("y").str();
}

double seconds_of(const auto& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

TEST_CASE("a net from bytes, eager and planned, for batches around the lanes") {
  const OnnxNet net = parsed(small_net());
  REQUIRE(net.inputs().size() == 1);
  CHECK(net.inputs()[0].name == "image");
  CHECK(net.inputs()[0].shape == std::vector<int64_t>{-1, 1, 4, 4});
  CHECK(net.inputs()[0].extents[0] == "N");
  CHECK(net.weights().size() == 2);
  for (int64_t batch : batch_choices()) {
    Tensor image = Tensor::full({batch, 1, 4, 4}, 0.25);
    const Tensor planned = net(image), again = net(image);
    std::vector<Tensor> weights;
    for (const auto& [name, weight] : net.weights()) weights.push_back(weight);
    const Tensor eager = net.run({image}, weights)[0];
    CHECK(planned.shape() == Dims{batch, 8});
    for (const Tensor& t : {planned, again, eager})
      for (int64_t i = 0; i < t.numel(); ++i) CHECK(t.plain().data<float>()[i] == eager.plain().data<float>()[i]);
  }
  CHECK_THROWS_AS(net(Tensor()), ValueError);
  CHECK_THROWS_AS(net(Tensor::zeros({1, 1, 4, 5})), ShapeError);
  CHECK_THROWS_AS(net(Tensor::zeros({1, 1, 4, 4}, {DType::int64})), TypeError);
  CHECK_THROWS_AS(net(std::vector<Tensor>()), ValueError);
}

TEST_CASE("a file cut off anywhere, and one with any byte changed") {
  const std::string bytes = small_net();
  for (size_t size = 0; size < bytes.size(); ++size) {
    try {
      parsed(bytes.substr(0, size));
    } catch (const Error&) {}
  }
  for (size_t at = 0; at < bytes.size(); ++at) {
    for (int change : {1, 0x80, 0xFF, 0x7F}) {
      std::string broken = bytes;
      broken[at] = static_cast<char>(broken[at] ^ change);
      try {
        const OnnxNet net = parsed(broken);
        const OnnxValue& input = net.inputs().at(0);
        int64_t numel = 1;
        Dims shape;
        for (int64_t extent : input.shape) {
          if (shape.size() == 8 || extent > 64) numel = 0;  // no run on what takes long
          if (numel == 0) break;
          shape.push_back(extent < 0 ? 1 : extent);
          numel *= shape.back();
        }
        if (numel > 0 && numel < 4096 && net.inputs().size() == 1 && net.outputs().size() == 1)
          net(Tensor::zeros(shape, {input.dtype}));
      } catch (const Error& error) {
        CHECK_MESSAGE(std::string(error.what()).find('\n') == std::string::npos, error.what());
      } catch (const std::out_of_range&) {  // it has no input
      }
    }
  }
}

TEST_CASE("what a file may say wrong, and how the error begins") {
  const std::string huge(9, '\xff');
  const struct {
    const char* what;
    std::string bytes, error;
  } cases[] = {
      {"nothing", "", "load_onnx: test: no ONNX model"},
      {"text", "hello world, this is no model", "load_onnx: test: "},
      {"a size beyond the end", "\x3a" + huge + "\x01", "load_onnx: test: no ONNX file, or a damaged one: byte"},
      {"an old opset", NetWriter(6).input("x", {1}).node("Relu", {"x"}, {"y"}).output("y").str(), "load_onnx: test: opset 6"},
      {"a newer opset", NetWriter(99).input("x", {1}).node("Relu", {"x"}, {"y"}).output("y").str(), "load_onnx: test: opset 99"},
      {"an opset below zero", NetWriter(-1).input("x", {1}).node("Relu", {"x"}, {"y"}).output("y").str(),
       "load_onnx: test: opset -1"},
      {"ops that are missing, all at once",
       NetWriter().input("x", {1}).node("Foo", {"x"}, {"y"}).node("Bar", {"y"}, {"z"}).output("z").str(), "Bar, Foo"},
      {"an attribute that is missing", one_node("Relu", {"x"}, {attribute("foo", int64_t{1})}).str(), "Relu.foo"},
      {"a node that reads itself", NetWriter().node("Relu", {"y"}, {"y"}).output("y").str(), "which no node before it makes"},
      {"a cycle", NetWriter().node("Relu", {"b"}, {"a"}).node("Relu", {"a"}, {"b"}).output("a").str(), "which no node before"},
      {"a name defined twice", one_node("Relu", {"x"}).node("Relu", {"x"}, {"y"}).str(), "'y' is defined twice"},
      {"two inputs of one name", NetWriter().input("x", {1}).input("x", {1}).output("x").str(), "'x' is defined twice"},
      {"an output that nothing makes", NetWriter().input("x", {1}).output("z").str(), "nothing makes the output 'z'"},
      {"a name of several lines", NetWriter().output("a\nb").str(), "'a\\x0ab'"},
      {"a name that is no UTF-8", NetWriter().output("a\xff").str(), "not valid UTF-8"},
      {"a tensor of too few bytes", with_weight(tensor("w", {2, 3}, kFloat, "abcd")), "takes 24 bytes, but there are 4"},
      {"a tensor of 2^60 elements", with_weight(tensor("w", {int64_t{1} << 60}, kFloat, "")), "too large"},
      {"a tensor of more elements than 64 bits count", with_weight(tensor("w", {int64_t{1} << 40, int64_t{1} << 40}, kFloat, "")),
       "too large"},
      {"a negative extent", with_weight(tensor("w", {-1, 3}, kFloat, "")), "a negative extent"},
      {"nine dimensions", with_weight(tensor("w", {1, 1, 1, 1, 1, 1, 1, 1, 1}, kFloat, "abcd")), "more than 8 dimensions"},
      {"a constant of nothing", one_node("Constant", {}).str(), "Constant of 'y' needs one attribute"},
      {"a constant that holds no tensor", one_node("Constant", {}, {Message().text(1, "value").integer(20, 4)}).str(),
       "holds none"},
      {"half precision", with_weight(tensor("w", {1}, static_cast<OnnxType>(10), "ab")), "float16"},
      {"an element type that there is not", with_weight(tensor("w", {1}, static_cast<OnnxType>(777), "ab")), "777"},
      {"external data of a model in memory", with_weight(external("w.bin")), "a model in memory has none"},
  };
  for (const auto& c : cases) {
    const std::string error = error_of(c.bytes);
    CHECK_MESSAGE(has(error, c.error), c.what << ": " << error);
    CHECK_MESSAGE(has(error, "load_onnx: "), c.what << ": " << error);
  }
}

TEST_CASE("nodes whose numbers are out of range end in an error of the library") {
  const auto conv = [](std::initializer_list<Message> attributes) {
    return NetWriter()
        .input("x", {1, 2, 5, 5})
        .weight("w", {2, 2, 3, 3}, std::vector<float>(36, 1.0F))
        .node("Conv", {"x", "w"}, {"y"}, attributes)
        .output("y");
  };
  const auto pool = [](std::initializer_list<Message> attributes) {
    return NetWriter().input("x", {1, 2, 5, 5}).node("MaxPool", {"x"}, {"y"}, attributes).output("y");
  };
  constexpr int64_t kMost = INT64_MAX, kLeast = INT64_MIN;
  const auto reshape = [](std::initializer_list<int64_t> sizes) {
    return NetWriter()
        .input("x", {2, 3})
        .weight("s", {static_cast<int64_t>(sizes.size())}, std::vector<int64_t>(sizes))
        .node("Reshape", {"x", "s"}, {"y"})
        .output("y");
  };
  const NetWriter nets[] = {
      conv({attribute("strides", {0, 0})}),
      conv({attribute("strides", {0, 0}), attribute("auto_pad", "SAME_UPPER")}),
      conv({attribute("strides", {kMost, kMost}), attribute("auto_pad", "SAME_UPPER")}),
      conv({attribute("strides", {-1, -1})}),
      conv({attribute("dilations", {0, 0})}),
      conv({attribute("dilations", {kMost, kMost}), attribute("auto_pad", "SAME_LOWER")}),
      conv({attribute("dilations", {kLeast, 1})}),
      conv({attribute("group", int64_t{0})}),
      conv({attribute("group", int64_t{-1})}),
      conv({attribute("group", kMost)}),
      conv({attribute("group", 1.0F)}),
      conv({attribute("pads", {-1, -1, -1, -1})}),
      conv({attribute("pads", {kMost, kMost, kMost, kMost})}),
      conv({attribute("pads", {int64_t{1} << 30, 1, 1, int64_t{1} << 30})}),
      conv({attribute("pads", {1, 1})}),
      conv({attribute("strides", {1, 1, 1})}),
      conv({attribute("auto_pad", "SAME")}),
      pool({}),
      pool({attribute("kernel_shape", {0, 0})}),
      pool({attribute("kernel_shape", {-1, 2})}),
      pool({attribute("kernel_shape", {kMost, kMost}), attribute("auto_pad", "SAME_UPPER")}),
      pool({attribute("kernel_shape", {2, 2}), attribute("strides", {0, 1})}),
      NetWriter().input("x", {2, 3}).node("Split", {"x"}, {}).output("x"),
      NetWriter()
          .input("x", {1, 4, 2, 2})
          .node("DepthToSpace", {"x"}, {"y"}, {attribute("blocksize", int64_t{1} << 32)})
          .output("y"),
      NetWriter()
          .input("x", {1, 4, 2, 2})
          .node("SpaceToDepth", {"x"}, {"y"}, {attribute("blocksize", int64_t{1} << 32)})
          .output("y"),
      one_node("TopK", {"x", "x"}),
      pool({attribute("kernel_shape", {9, 9})}),
      one_node("Softmax", {"x"}, {attribute("axis", int64_t{2})}),
      one_node("Softmax", {"x"}, {attribute("axis", kLeast)}),
      one_node("Flatten", {"x"}, {attribute("axis", int64_t{3})}),
      one_node("Flatten", {"x"}, {attribute("axis", kLeast)}),
      one_node("Add", {"x"}),
      one_node("Relu", {}),
      one_node("MatMul", {"x", "x"}),
      one_node("Gemm", {"x", "x"}),
      reshape({5}),
      reshape({-1, -1}),
      reshape({-1, 0, 0}),
      reshape({0, 0, 0}),
      reshape({kMost, kMost}),
      reshape({-2, -3}),
      reshape({kLeast}),
      reshape({1, 1, 1, 1, 1, 1, 1, 2, 3}),
  };
  for (const NetWriter& writer : nets) {
    CAPTURE(&writer - nets);
    const OnnxNet net = parsed(writer.str());
    const OnnxValue& x = net.inputs()[0];
    const Tensor input = Tensor::zeros(Dims(x.shape.begin(), x.shape.end()));
    CHECK_THROWS_AS(net({input}), Error);
    CHECK_THROWS_AS(Session{net}, Error);
  }
}

TEST_CASE("external data lies below the model's folder, in a regular file") {
  const Folder folder;
  const auto model = folder.path / "net.onnx";
  const float values[6] = {1, 2, 3, 4, 5, 6};
  const std::string raw(reinterpret_cast<const char*>(values), sizeof(values));
  std::filesystem::create_directories(folder.path / "inner");
  write(folder.path / "w.bin", raw);
  write(folder.path / "inner" / "w.bin", "1234" + raw);
  std::filesystem::create_symlink("w.bin", folder.path / "inside");
  std::filesystem::create_symlink("/etc/passwd", folder.path / "outside");
  std::filesystem::create_symlink("..", folder.path / "up");
  std::filesystem::create_symlink("loop", folder.path / "loop");
  REQUIRE(mkfifo((folder.path / "pipe").c_str(), 0600) == 0);
  const auto load = [&](const Message& weight) {
    write(model, with_weight(weight));
    return load_onnx(model.string());
  };
  for (const Message& good : {external("w.bin"), external("inside"), external("inner/w.bin", "4"), external("inner/../w.bin")}) {
    const Tensor w = load(good).weights()[0].second;
    for (int i = 0; i < 6; ++i) CHECK(w.data<float>()[i] == values[i]);
  }
  for (const char* location : {"", ".", "inner", "pipe", "outside", "loop", "missing", "/etc/passwd", "../w.bin", "up/w.bin",
                               "inner/../../w.bin", "up/../etc/passwd", "w.bin/", "w.bin/w.bin", "//w.bin"}) {
    CAPTURE(location);
    CHECK_THROWS_AS(load(external(location)), Error);
  }
  CHECK_THROWS_AS(load(external(std::string_view("w.bin\0x", 7))), ValueError);
  CHECK_THROWS_AS(load(external(std::string(100000, 'a'))), IoError);
  for (const char* offset : {"1", "-1", "18446744073709551615", "99999999999999999999", "0x0", "", "1e3", " 0"}) {
    CAPTURE(offset);
    CHECK_THROWS_AS(load(external("w.bin", offset)), ValueError);
  }
  for (const char* length : {"23", "25", "0", "18446744073709551615", "-24"}) {
    CAPTURE(length);
    CHECK_THROWS_AS(load(external("w.bin", "0", length)), ValueError);
  }
  // A small model that has a file read again and again.
  NetWriter many;
  for (int i = 0; i < 20; ++i) {
    Message weight = external("w.bin");
    many.weight(weight.text(8, message("w", i)));
  }
  write(model, many.output("w0").str());
  CHECK_THROWS_AS(load_onnx(model.string()), ValueError);

  CHECK_THROWS_AS(load_onnx(folder.path.string()), IoError);
  CHECK_THROWS_AS(load_onnx((folder.path / "pipe").string()), IoError);
  CHECK_THROWS_AS(load_onnx((folder.path / "missing").string()), IoError);
  CHECK_THROWS_AS(load_onnx("/dev/zero"), IoError);
  CHECK_THROWS_AS(load_onnx(""), IoError);
  // Sparse: it takes no room on the disk.
  write(folder.path / "huge", "");
  std::filesystem::resize_file(folder.path / "huge", std::uintmax_t{1} << 40);
  CHECK_THROWS_AS(load_onnx((folder.path / "huge").string()), ValueError);
}

TEST_CASE("loading takes time and memory in proportion to the file") {
  // A chain of nodes, each with attributes.
  const auto chain = [](int nodes) {
    NetWriter writer;
    writer.input("v0", {1, 2});
    for (int i = 0; i < nodes; ++i) {
      const std::string from = message("v", i), to = message("v", i + 1);
      writer.node("Softmax", {from}, {to}, {attribute("axis", int64_t{1})});
    }
    return writer.output(message("v", nodes)).str();
  };
  const std::string few = chain(5000), many = chain(50000);
  double fast = 1e9, slow = 1e9;
  for (int i = 0; i < 3; ++i) {
    fast = std::min(fast, seconds_of([&] { parsed(few); }));
    slow = std::min(slow, seconds_of([&] { parsed(many); }));
  }
  CHECK_MESSAGE(slow < 40 * fast + 0.1, fast << " s for a tenth, " << slow << " s");
  // Nested messages are not followed: a graph in an attribute of an attribute ...
  Message inner;
  for (int depth = 0; depth < 20000; ++depth) {
    Message outer;
    outer.message(1, Message().text(4, "If").message(5, Message().text(1, "then_branch").message(6, inner)));
    if (outer.bytes.size() > 1000000) break;
    inner = std::move(outer);
  }
  CHECK_THROWS_AS(parsed(Message().message(8, Message().integer(2, 17)).message(7, inner).bytes), NotImplementedError);
}

TEST_CASE("functions take time for what a call gives, not for all that it could") {
  // A function of many inputs, outputs and attributes, called many times with one of each.
  const auto model = [](int names, int calls) {
    Message function, graph;
    function.text(1, "F").text(10, "own").message(9, Message().integer(2, 17));
    for (int i = 0; i < names; ++i) function.text(4, message("i", i)).text(5, message("o", i));
    for (int i = 0; i < names; ++i) function.message(11, attribute(message("a", i), 1.0F));
    Message relu;
    relu.text(1, "i0").text(2, "o0").text(4, "Elu");
    relu.message(5, Message().text(1, "alpha").text(21, message("a", names - 1)).integer(20, 1));
    function.message(7, relu);
    for (int i = 0; i < calls; ++i)
      graph.message(1, Message().text(1, message("v", i)).text(2, message("v", i + 1)).text(4, "F").text(7, "own"));
    graph.message(11, Message().text(1, "v0")).message(12, Message().text(1, message("v", calls)));
    return Message()
        .integer(1, 8)
        .message(8, Message().integer(2, 17))
        .message(8, Message().text(1, "own").integer(2, 1))
        .message(7, graph)
        .message(25, function)
        .bytes;
  };
  const std::string bytes = model(10000, 10000);
  CHECK(seconds_of([&] { parsed(bytes); }) < 5);
  const Tensor y = parsed(model(3, 2))(Tensor::full({2}, -1.0));
  CHECK(y.plain().data<float>()[0] == doctest::Approx(std::expm1(std::expm1(-1.0))));
}

TEST_CASE("weights of one element are parameters where they can be nothing else") {
  const auto parameters = [](const NetWriter& net) { return parsed(net.str()).parameters().size(); };
  const std::vector<float> one{1}, nine(9, 1.0F);
  CHECK(parameters(NetWriter()
                       .input("x", {1, 1, 5, 5})
                       .weight("w", {1, 1, 3, 3}, nine)
                       .weight("b", {1}, one)
                       .node("Conv", {"x", "w", "b"}, {"y"})
                       .output("y")) == 2);
  CHECK(parameters(NetWriter()
                       .input("x", {2, 3})
                       .weight("w", {3, 1}, std::vector<float>{1, 2, 3})
                       .weight("b", {1}, one)
                       .node("Gemm", {"x", "w", "b"}, {"y"})
                       .output("y")) == 2);
  CHECK(parameters(one_node("PRelu", {"x", "w"}).weight("w", {1}, one)) == 1);
  CHECK(parameters(one_node("Add", {"x", "w"}).weight("w", {1}, one)) == 0);
  CHECK(parameters(one_node("Mul", {"x", "w"}).weight("w", {}, one)) == 0);
  const OnnxNet norm = parsed(NetWriter()
                                  .input("x", {2, 1, 3, 3})
                                  .weight("scale", {1}, one)
                                  .weight("shift", {1}, one)
                                  .weight("mean", {1}, one)
                                  .weight("variance", {1}, one)
                                  .node("BatchNormalization", {"x", "scale", "shift", "mean", "variance"}, {"y"})
                                  .output("y")
                                  .str());
  CHECK(norm.parameters() == std::vector<size_t>{0, 1});
  CHECK(norm.buffers() == std::vector<size_t>{2, 3});
}

TEST_CASE("constants have a limit, also many together, and nobody keeps those that are read no more") {
  // 1.25 GiB each, which take no memory before they are written.
  const std::vector<int64_t> size{5 << 26};
  NetWriter together;
  together.input("x", {1}).weight("n", {1}, size);
  together.node("ConstantOfShape", {"n"}, {"a"}).node("ConstantOfShape", {"n"}, {"b"}).node("Sum", {"x", "a", "b"}, {"y"});
  const OnnxNet net = parsed(together.output("y").str());
  CHECK_THROWS_WITH_AS(net(Tensor::zeros({1})), doctest::Contains("constants take more than 2048 MiB"), ValueError);
  // One behind the other, of 64 MiB: only the last one's sum is read by what follows.
  NetWriter chain;
  chain.input("x", {1}).weight("n", {1}, std::vector<int64_t>{1 << 24}).node("ConstantOfShape", {"n"}, {"c0"});
  for (int i = 0; i < 40; ++i) chain.node("Neg", {message("c", i)}, {message("c", i + 1)});
  chain.node("ReduceMax", {"c40"}, {"m"}, {attribute("keepdims", int64_t{0})}).node("Add", {"x", "m"}, {"y"});
  const OnnxNet small = parsed(chain.output("y").str());
  CHECK(small(Tensor::full({1}, 3.0)).plain().data<float>()[0] == 3);
  CHECK(small(Tensor::full({1}, 4.0)).plain().data<float>()[0] == 4);
  Session session(small);
  CHECK(session.steps() == 1);
}

TEST_CASE("nearest resizing to a size of the file's own is within the limits") {
  for (const int64_t size : {int64_t{1} << 41, int64_t{1} << 40, int64_t{1} << 33}) {
    CAPTURE(size);
    const OnnxNet net = parsed(NetWriter()
                                   .input("x", {1, 1, 1, 1})
                                   .weight("sizes", {4}, std::vector<int64_t>{1, 1, 1, size})
                                   .node("Resize", {"x", "", "", "sizes"}, {"y"}, {attribute("mode", "nearest")})
                                   .output("y")
                                   .str());
    CHECK_THROWS_AS(net(Tensor::zeros({1, 1, 1, 1})), Error);
  }
}

TEST_CASE("bools of a file are 0 or 1, whatever bytes they come as") {
  for (const bool is_raw : {true, false}) {
    Message t = Message().integer(1, 3).integer(2, kBool).text(8, "w");
    if (is_raw) t.text(9, std::string_view("\x02\x00\xff", 3));
    else t.integer(5, 2).integer(5, 0).integer(5, 256);
    const Tensor w = parsed(NetWriter().weight(t).output("w").str()).weights()[0].second;
    const auto* bytes = static_cast<const unsigned char*>(w.raw_data());
    CHECK(bytes[0] == 1);
    CHECK(bytes[1] == 0);
    CHECK(bytes[2] == 1);
  }
}

TEST_CASE("a net that is none, and one that was moved") {
  CHECK_THROWS_AS(parse_onnx(nullptr, 5, "x"), ValueError);
  CHECK_THROWS_AS(parse_onnx(nullptr, 0, "x"), ValueError);
  CHECK_THROWS_AS(OnnxNet(nullptr), ValueError);
  OnnxNet net = parsed(small_net());
  const OnnxNet other = std::move(net);
  CHECK(other.inputs().size() == 1);
  CHECK_THROWS_AS(net.inputs(), Error);  // NOLINT(bugprone-use-after-move)
  CHECK_THROWS_AS(net.outputs(), Error);
  CHECK_THROWS_AS(net.weights(), Error);
  CHECK_THROWS_AS(net.parameters(), Error);
  CHECK_THROWS_AS(net.buffers(), Error);
  CHECK_THROWS_AS(net(Tensor::zeros({1, 1, 4, 4})), Error);
  CHECK_THROWS_AS(net.run({}, {}, true), Error);
  CHECK_THROWS_AS(Session{net}, Error);
  CHECK_THROWS_AS(Session(net, {.shapes = {{1}}}), Error);
}

TEST_CASE("a net within a plan of another function") {
  // Its sizes come from its shapes: computed op by op they would be values that the course depends on.
  const std::string bytes = NetWriter()
                                .input("x", {-1, 2, 3})
                                .weight("zero", {1}, std::vector<int64_t>{0})
                                .weight("rest", {1}, std::vector<int64_t>{-1})
                                .node("Shape", {"x"}, {"s"})
                                .node("Gather", {"s", "zero"}, {"n"}, {attribute("axis", int64_t{0})})
                                .node("Concat", {"n", "rest"}, {"to"}, {attribute("axis", int64_t{0})})
                                .node("Reshape", {"x", "to"}, {"y"})
                                .output("y", {-1, 6})
                                .str();
  const OnnxNet net = parsed(bytes);
  for (int64_t batch : batch_choices()) {
    Session session([&](const std::vector<Tensor>& x) { return std::vector<Tensor>{relu(net(x[0]))}; },
                    {{.shape = {batch, 2, 3}}});
    CHECK(session.output_shape() == Dims{batch, 6});
    std::vector<float> x(static_cast<size_t>(batch * 6), 2.0F), y(x.size());
    session.run(x, y);
    CHECK(y == x);
  }
}

TEST_CASE("a session of a batch that the net does not take") {
  const auto net = [](std::initializer_list<int64_t> shape) {
    return parsed(NetWriter().input("x", shape).node("Relu", {"x"}, {"y"}).output("y", shape).str());
  };
  CHECK_THROWS_WITH_AS(Session(net({1, 3}), {.batch = 5}), "Session: a batch of 5, but 'x' has the shape (1, 3)", ValueError);
  CHECK(Session(net({5, 3}), {.batch = 5}).input_shape() == Dims{5, 3});
}

TEST_CASE("a net that no plan holds runs op by op, however often it is called") {
  const OnnxNet net = parsed(NetWriter().input("a", {3}, kInt64).node("NonZero", {"a"}, {"y"}).output("y").str());
  const Tensor seven = Tensor::full({3}, 7, {DType::int64});
  for (int call = 0; call < 4; ++call) CHECK(net(seven).data<int64_t>()[2] == 2);
}

TEST_CASE("a session of a net that divides integers: its integer inputs begin as ones; errors name the node") {
  const OnnxNet net = parsed(
      NetWriter().input("a", {3}, kInt64).input("b", {3}, kInt64).node("Div", {"a", "b"}, {"y"}).output("y", {3}, kInt64).str());
  CHECK(Session(net).output().data<int64_t>()[0] == 1);
  const Session sum([](const std::vector<Tensor>& x) { return std::vector<Tensor>{add(x[0], x[1])}; },
                    {{.shape = {3}, .dtype = DType::int64}, {.shape = {3}}});
  CHECK(sum.input(0).data<int64_t>()[2] == 1);
  CHECK(sum.input(1).data<float>()[2] == 0);
  const Tensor zeros = Tensor::zeros({3}, {DType::int64});
  CHECK_THROWS_WITH_AS(net({zeros, zeros}), doctest::Contains("onnx: Div of 'y': "), Error);
}

}  // namespace cnnx::test
