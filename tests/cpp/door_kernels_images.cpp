// cnnx/kernels.h, images: the kernels are those of the tables, which other files test; here it is that shapes and pointers
// arrive, that bad ones are refused, and that workspace and threads are the caller's and the heap is left alone.
// (That every kernel keeps to the workspace it asks for: same_for_any_threads, in the tests of the kernels.)
#include <atomic>
#include <functional>
#include <string>
#include <thread>

#include "allocations.h"
#include "cnnx/autograd.h"
#include "cnnx/error.h"
#include "cnnx/ops/conv.h"
#include "cnnx/ops/elementwise.h"
#include "cnnx/ops/pool.h"
#include "cnnx/ops/reduce.h"
#include "door_kernels.h"

namespace cnnx::test {

TEST_CASE("kernels.h: convolutions give the bits of the tensors' ops") {
  const raw::Conv2d cases[] = {
      {.in_channels = 1, .in_height = 28, .in_width = 28, .out_channels = 6, .kernel_height = 5, .kernel_width = 5},
      {.in_channels = 3,
       .in_height = 9,
       .in_width = 7,
       .out_channels = 5,
       .kernel_height = 3,
       .kernel_width = 2,
       .stride_height = 2,
       .pad_top = 1,
       .pad_bottom = 2,
       .pad_left = 1,
       .dilation_width = 2},
      {.in_channels = 16,
       .in_height = 12,
       .in_width = 12,
       .out_channels = 18,
       .kernel_height = 3,
       .kernel_width = 3,
       .pad_top = 1,
       .pad_bottom = 1,
       .pad_left = 1,
       .pad_right = 1,
       .activation = Activation::relu},
      {.in_channels = 6, .in_height = 5, .in_width = 5, .out_channels = 4, .kernel_height = 1, .kernel_width = 1, .groups = 2},
      {.in_channels = 20, .in_height = 6, .in_width = 6, .out_channels = 30, .kernel_height = 1, .kernel_width = 1},
  };
  for (raw::Conv2d c : cases)
    for (const int64_t batch : {int64_t{1}, int64_t{raw::lane_count() + 3}})
      for (const int threads : {1, 2, 3}) {
        CAPTURE(c.in_channels);
        CAPTURE(batch);
        CAPTURE(threads);
        c.batch = batch;
        c.lanes = raw::lanes_for(batch);
        const int64_t out_plane = c.out_height() * c.out_width(), in_plane = c.in_height * c.in_width;
        const int64_t weights = c.out_channels * (c.in_channels / c.groups) * c.kernel_height * c.kernel_width;
        const Floats x = draw(1, batch * c.in_channels * in_plane), weight = draw(2, weights), bias = draw(3, c.out_channels);
        const Floats grad = draw(4, batch * c.out_channels * out_plane);
        const Tensor tx = tensor_of(x, {batch, c.in_channels, c.in_height, c.in_width}, true);
        const Tensor tw = tensor_of(weight, {c.out_channels, c.in_channels / c.groups, c.kernel_height, c.kernel_width}, true);
        const Tensor tb = tensor_of(bias, {c.out_channels}, true);
        const ConvOptions options{.stride = {c.stride_height, c.stride_width},
                                  .padding = {c.pad_top, c.pad_bottom, c.pad_left, c.pad_right},
                                  .dilation = {c.dilation_height, c.dilation_width},
                                  .groups = c.groups};
        const Tensor ty = conv2d(tx, tw, tb, options);
        backward(sum(mul(ty, tensor_of(grad, ty.shape()))));

        const Floats px = to_lanes(x, batch, c.lanes), pg = to_lanes(grad, batch, c.lanes);
        Floats y(pg.size()), grad_x(px.size()), grad_weight(weight.size()), grad_bias(bias.size());
        Room forward(raw::conv2d_forward_workspace_size(c, {.threads = threads}), threads);
        raw::conv2d_forward(c, px.data(), weight.data(), bias.data(), y.data(), forward.where());
        const Tensor expected = c.activation == Activation::relu ? relu(ty) : ty;
        CHECK(from_lanes(y, batch, c.out_channels * out_plane, c.lanes) == floats_of(expected));

        Room input(raw::conv2d_backward_input_workspace_size(c, {.threads = threads}), threads);
        raw::conv2d_backward_input(c, pg.data(), weight.data(), grad_x.data(), input.where());
        CHECK(from_lanes(grad_x, batch, c.in_channels * in_plane, c.lanes) == floats_of(tx.grad()));

        Room both(raw::conv2d_backward_weight_workspace_size(c, {.threads = threads}), threads);
        raw::conv2d_backward_weight(c, px.data(), pg.data(), grad_weight.data(), grad_bias.data(), both.where());
        CHECK(grad_weight == floats_of(tw.grad()));
        CHECK(grad_bias == floats_of(tb.grad()));
        Floats alone(bias.size());
        raw::conv2d_backward_weight(c, px.data(), pg.data(), nullptr, alone.data(), both.where());
        CHECK(alone == grad_bias);
      }
}

TEST_CASE("kernels.h: pooling gives the bits of the tensors' ops") {
  for (const int64_t batch : {int64_t{1}, int64_t{2}, int64_t{raw::lane_count() + 3}}) {
    CAPTURE(batch);
    raw::Pool2d p{.batch = batch,
                  .channels = 3,
                  .in_height = 9,
                  .in_width = 7,
                  .kernel_height = 3,
                  .kernel_width = 2,
                  .stride_height = 2,
                  .pad_height = 1,
                  .pad_width = 1,
                  .ceil_mode = true,
                  .lanes = raw::lanes_for(batch)};
    const PoolOptions options{.kernel = {3, 2}, .stride = {2, 2}, .padding = {1, 1}, .ceil_mode = true};
    const int64_t pixels = p.channels * p.out_height() * p.out_width(), features = p.channels * p.in_height * p.in_width;
    const Floats x = draw(5, batch * features), grad = draw(6, batch * pixels);
    const Floats px = to_lanes(x, batch, p.lanes), pg = to_lanes(grad, batch, p.lanes);
    for (const bool is_max : {true, false}) {
      CAPTURE(is_max);
      const Tensor tx = tensor_of(x, {batch, p.channels, p.in_height, p.in_width}, true);
      const Tensor ty = is_max ? max_pool2d(tx, options) : avg_pool2d(tx, options);
      REQUIRE(ty.size(2) == p.out_height());
      REQUIRE(ty.size(3) == p.out_width());
      backward(sum(mul(ty, tensor_of(grad, ty.shape()))));
      Floats y(pg.size()), grad_x(px.size());
      if (is_max) {
        std::vector<int32_t> index(pg.size());
        raw::max_pool2d_forward(p, px.data(), y.data(), index.data());
        raw::max_pool2d_backward(p, pg.data(), index.data(), grad_x.data());
        Floats without(pg.size());
        raw::max_pool2d_forward(p, px.data(), without.data(), nullptr);
        CHECK(from_lanes(without, batch, pixels, p.lanes) == floats_of(ty));
      } else {
        raw::avg_pool2d_forward(p, px.data(), y.data());
        raw::avg_pool2d_backward(p, pg.data(), grad_x.data());
      }
      CHECK(from_lanes(y, batch, pixels, p.lanes) == floats_of(ty));
      CHECK(from_lanes(grad_x, batch, features, p.lanes) == floats_of(tx.grad()));
    }
  }
}

TEST_CASE("kernels.h: images that cannot be are refused, by name") {
  const raw::Conv2d good{
      .batch = 2, .in_channels = 4, .in_height = 8, .in_width = 8, .out_channels = 6, .kernel_height = 3, .kernel_width = 3};
  const Floats x(2 * 4 * 64), weight(6 * 4 * 9);
  Floats y(2 * 6 * 36);
  std::vector<char> room(1 << 20);
  const raw::Where where{.workspace = room.data(), .workspace_bytes = room.size()};
  raw::conv2d_forward(good, x.data(), weight.data(), nullptr, y.data(), where);

  const auto refused = [&](const raw::Conv2d& bad) {
    for (const auto& call : std::vector<std::function<void()>>{
             [&] { raw::conv2d_forward(bad, x.data(), weight.data(), nullptr, y.data(), where); },
             [&] { raw::conv2d_backward_input(bad, y.data(), weight.data(), y.data(), where); },
             [&] { raw::conv2d_backward_weight(bad, x.data(), y.data(), y.data(), nullptr, where); },
             [&] { (void)raw::conv2d_forward_workspace_size(bad); }}) {
      try {
        call();
      } catch (const Error& error) {
        if (std::string(error.what()).rfind("conv2d_", 0) != 0) return false;
        continue;
      }
      return false;
    }
    return true;
  };
  const auto with = [&](auto raw::Conv2d::* member, auto value) {
    raw::Conv2d bad = good;
    bad.*member = value;
    return bad;
  };
  constexpr int64_t kHuge = INT64_MAX, kLow = INT64_MIN;
  for (auto member : {&raw::Conv2d::batch, &raw::Conv2d::in_channels, &raw::Conv2d::in_height, &raw::Conv2d::in_width,
                      &raw::Conv2d::out_channels, &raw::Conv2d::kernel_height, &raw::Conv2d::kernel_width,
                      &raw::Conv2d::stride_height, &raw::Conv2d::stride_width, &raw::Conv2d::dilation_height,
                      &raw::Conv2d::dilation_width, &raw::Conv2d::groups, &raw::Conv2d::lanes})
    for (const int64_t value : {int64_t{0}, int64_t{-1}, kHuge, kLow}) CHECK(refused(with(member, value)));
  for (auto member : {&raw::Conv2d::pad_top, &raw::Conv2d::pad_bottom, &raw::Conv2d::pad_left, &raw::Conv2d::pad_right})
    for (const int64_t value : {int64_t{-1}, kHuge, kLow}) CHECK(refused(with(member, value)));
  for (const int64_t value : {9, 100}) CHECK(refused(with(&raw::Conv2d::kernel_height, value)));
  CHECK(refused(with(&raw::Conv2d::groups, int64_t{3})));
  CHECK(refused(with(&raw::Conv2d::lanes, int64_t{raw::lane_count() + 1})));
  CHECK(refused(with(&raw::Conv2d::activation, static_cast<Activation>(77))));

  CHECK_THROWS_WITH_AS(raw::conv2d_forward(good, nullptr, weight.data(), nullptr, y.data(), where),
                       "conv2d_forward: x is a null pointer", ValueError);
  CHECK_THROWS_WITH_AS(raw::conv2d_forward(good, x.data(), weight.data(), nullptr, nullptr, where),
                       "conv2d_forward: y is a null pointer", ValueError);
  CHECK_THROWS_AS(raw::conv2d_backward_weight(good, x.data(), y.data(), nullptr, nullptr, where), ValueError);
  for (const int threads : {-1, 1025, INT32_MAX})
    CHECK_THROWS_AS(raw::conv2d_forward(good, x.data(), weight.data(), nullptr, y.data(),
                                        {.threads = threads, .workspace = room.data(), .workspace_bytes = room.size()}),
                    ValueError);
  for (const int threads : {1, 2}) {
    const size_t bytes = raw::conv2d_forward_workspace_size(good, {.threads = threads});
    if (raw::lane_count() == 1) break;  // the reference takes none
    CHECK(bytes > 0);
    CHECK_THROWS_AS(raw::conv2d_forward(good, x.data(), weight.data(), nullptr, y.data(),
                                        {.threads = threads, .workspace = room.data(), .workspace_bytes = bytes - 1}),
                    ValueError);
    CHECK_THROWS_AS(raw::conv2d_forward(good, x.data(), weight.data(), nullptr, y.data(), {.threads = threads}), ValueError);
    CHECK_THROWS_AS(raw::conv2d_forward(good, x.data(), weight.data(), nullptr, y.data(),
                                        {.threads = threads, .workspace = nullptr, .workspace_bytes = bytes}),
                    ValueError);
  }
  CHECK_THROWS_AS(raw::conv2d_forward(good, x.data(), weight.data(), nullptr, y.data(), {.device = 99}), Error);
  for (const int device : {-2, -99, INT32_MIN}) {
    CHECK_THROWS_WITH_AS(
        raw::conv2d_forward(good, x.data(), weight.data(), nullptr, y.data(), {.device = device}),
        ("conv2d_forward: device must be a CUDA device's number, or -1 for the processor, got " + std::to_string(device)).c_str(),
        ValueError);
    CHECK_THROWS_AS((void)raw::conv2d_forward_workspace_size(good, {.device = device}), ValueError);
  }

  int32_t index[4] = {};
  const std::vector<std::function<void()>> others{
      [&] { raw::max_pool2d_forward({.channels = 1, .in_height = 2, .in_width = 2}, x.data(), y.data(), index); },
      [&] {
        raw::max_pool2d_forward({.channels = 1, .in_height = 2, .in_width = 2, .kernel_height = 3, .kernel_width = 3}, x.data(),
                                y.data(), index);
      },
      [&] {
        raw::max_pool2d_forward(
            {.channels = 1, .in_height = 4, .in_width = 4, .kernel_height = 2, .kernel_width = 2, .pad_height = 2}, x.data(),
            y.data(), index);
      },
      [&] {
        raw::max_pool2d_forward({.channels = 1, .in_height = 1 << 16, .in_width = 1 << 16, .kernel_height = 2, .kernel_width = 2},
                                x.data(), y.data(), index);
      },
      [&] {
        raw::max_pool2d_backward({.channels = 1, .in_height = 4, .in_width = 4, .kernel_height = 2, .kernel_width = 2}, x.data(),
                                 nullptr, y.data());
      },
      [&] {
        raw::avg_pool2d_forward(
            {.channels = 1, .in_height = 4, .in_width = 4, .kernel_height = 2, .kernel_width = 2, .dilation_width = 2}, x.data(),
            y.data());
      },
      [&] { raw::pack_lanes(-1, 3, x.data(), y.data()); },
      [&] { raw::pack_lanes(kHuge, kHuge, x.data(), y.data()); },
      [&] { raw::unpack_lanes(1, 3, nullptr, y.data()); },
      [&] { (void)raw::size_in_lanes(3, 3, 5); },
      [&] { raw::pack_lanes(2, 3, x.data(), y.data(), {.device = -2}); },
  };
  for (size_t i = 0; i < others.size(); ++i) {
    CAPTURE(i);
    CHECK_THROWS_AS(others[i](), Error);
  }
}

TEST_CASE("kernels.h: no call asks anything of the heap, on whatever thread" * doctest::skip(!kCountsAllocations)) {
  if (active_target() == Target::reference) return;
  std::thread([] {
    for (const int threads : {1, 3})
      for (const int64_t batch : {int64_t{1}, int64_t{4 * raw::lane_count() + 1}}) {
        const raw::Conv2d c{.batch = batch,
                            .in_channels = 16,
                            .in_height = 14,
                            .in_width = 14,
                            .out_channels = 16,
                            .kernel_height = 3,
                            .kernel_width = 3,
                            .lanes = raw::lanes_for(batch)};
        const raw::Linear l{.batch = batch, .in_features = 400, .out_features = 120};
        const raw::CrossEntropy e{.batch = batch, .classes = 10};
        const raw::Where size{.threads = threads};
        Room room(
            std::max({raw::conv2d_forward_workspace_size(c, size), raw::conv2d_backward_input_workspace_size(c, size),
                      raw::conv2d_backward_weight_workspace_size(c, size), raw::linear_forward_workspace_size(l, size),
                      raw::linear_backward_input_workspace_size(l, size), raw::linear_backward_weight_workspace_size(l, size),
                      raw::cross_entropy_forward_workspace_size(e, size)}),
            threads);
        Floats x = draw(1, raw::size_in_lanes(batch, 16 * 14 * 14, c.lanes)), y(x.size()), weight = draw(2, 120 * 400),
               grad_weight(weight.size());
        std::vector<int64_t> target(static_cast<size_t>(batch), 3);
        std::vector<int32_t> index(x.size());
        const raw::Where where = room.where();
        const auto step = [&] {
          float loss;
          double total;
          raw::conv2d_forward(c, x.data(), weight.data(), nullptr, y.data(), where);
          raw::conv2d_backward_input(c, y.data(), weight.data(), x.data(), where);
          raw::conv2d_backward_weight(c, x.data(), y.data(), grad_weight.data(), grad_weight.data() + 40000, where);
          const raw::Pool2d p{.batch = batch,
                              .channels = 16,
                              .in_height = 14,
                              .in_width = 14,
                              .kernel_height = 2,
                              .kernel_width = 2,
                              .lanes = c.lanes};
          raw::max_pool2d_forward(p, x.data(), y.data(), index.data(), where);
          raw::max_pool2d_backward(p, y.data(), index.data(), x.data(), where);
          raw::linear_forward(l, x.data(), weight.data(), nullptr, y.data(), where);
          raw::linear_backward_input(l, y.data(), weight.data(), x.data(), where);
          raw::linear_backward_weight(l, x.data(), y.data(), grad_weight.data(), nullptr, where);
          raw::cross_entropy_forward(e, x.data(), target.data(), nullptr, y.data(), &loss, &total, where);
          raw::cross_entropy_backward(e, y.data(), target.data(), nullptr, &total, nullptr, x.data(), where);
          raw::pointwise_forward(raw::pointwise(raw::Function::gelu, static_cast<int64_t>(x.size())), x.data(), y.data(), where);
          raw::axpy(static_cast<int64_t>(x.size()), -0.1, x.data(), y.data(), where);
        };
        // With one thread no call asks for memory. With several the first ones learn what takes how long, on this thread.
        for (int i = 0; i < (threads == 1 ? 1 : 20); ++i) step();
        const int64_t before = allocations();
        for (int i = 0; i < 20; ++i) step();
        const int64_t asked = allocations() - before;
        CAPTURE(threads);
        CAPTURE(batch);
        CHECK(asked == 0);
      }
  }).join();
}

TEST_CASE("kernels.h: threads of a program call at once, each in a workspace of its own") {
  const raw::Conv2d c{
      .batch = 4, .in_channels = 8, .in_height = 12, .in_width = 12, .out_channels = 8, .kernel_height = 3, .kernel_width = 3};
  const Floats x = draw(1, 4 * 8 * 144), weight = draw(2, 8 * 8 * 9);
  const auto result = [&](int threads) {
    Floats y(4 * 8 * 100);
    Room room(raw::conv2d_forward_workspace_size(c, {.threads = threads}), threads);
    raw::conv2d_forward(c, x.data(), weight.data(), nullptr, y.data(), room.where());
    return y;
  };
  const Floats expected = result(1);
  std::atomic<int> wrong{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 6; ++caller)
    callers.emplace_back([&, caller] {
      for (int i = 0; i < 30; ++i)
        if (result(1 + caller % 3) != expected) ++wrong;
    });
  for (std::thread& caller : callers) caller.join();
  CHECK(wrong == 0);
}

TEST_CASE("kernels.h: images on a device, in the caller's stream and workspace" * doctest::skip(cuda::device_count() == 0)) {
  void* stream = cuda::queue(0).stream;
  const raw::Where size{.device = 0, .stream = stream};
  std::vector<char> host_room(1 << 24);
  const raw::Where host{.workspace = host_room.data(), .workspace_bytes = host_room.size()};
  const raw::Conv2d c{.batch = 9,
                      .in_channels = 3,
                      .in_height = 13,
                      .in_width = 11,
                      .out_channels = 5,
                      .kernel_height = 3,
                      .kernel_width = 3,
                      .pad_top = 1,
                      .pad_left = 1,
                      .activation = Activation::relu};
  const int64_t outputs = 9 * 5 * c.out_height() * c.out_width();
  const Floats x = draw(1, 9 * 3 * 13 * 11), weight = draw(2, 5 * 27), bias = draw(3, 5), grad = draw(4, outputs);
  Floats y(grad.size()), grad_x(x.size()), grad_weight(weight.size()), grad_bias(5);
  raw::conv2d_forward(c, x.data(), weight.data(), bias.data(), y.data(), host);
  raw::conv2d_backward_input(c, grad.data(), weight.data(), grad_x.data(), host);
  raw::conv2d_backward_weight(c, x.data(), grad.data(), grad_weight.data(), grad_bias.data(), host);

  OnDevice<float> dx(x), dweight(weight), dbias(bias), dgrad(grad), dy(y.size()), dgrad_x(x.size()), dgrad_weight(weight.size()),
      dgrad_bias(5);
  const size_t bytes = raw::conv2d_backward_weight_workspace_size(c, size);
  CHECK(bytes > 0);
  OnDevice<char> room(bytes);
  const raw::Where where{.workspace = room.data(), .workspace_bytes = bytes, .device = 0, .stream = stream};
  raw::conv2d_forward(c, dx.data(), dweight.data(), dbias.data(), dy.data(), where);
  raw::conv2d_backward_input(c, dgrad.data(), dweight.data(), dgrad_x.data(), where);
  raw::conv2d_backward_weight(c, dx.data(), dgrad.data(), dgrad_weight.data(), dgrad_bias.data(), where);
  expect_close(dy.values(), y);
  expect_close(dgrad_x.values(), grad_x);
  expect_close(dgrad_weight.values(), grad_weight);
  expect_close(dgrad_bias.values(), grad_bias);
  CHECK_THROWS_AS(raw::conv2d_backward_weight(c, dx.data(), dgrad.data(), dgrad_weight.data(), dgrad_bias.data(), size),
                  ValueError);
  raw::Conv2d in_lanes = c;
  in_lanes.lanes = 8;
  CHECK_THROWS_AS(raw::conv2d_forward(in_lanes, dx.data(), dweight.data(), dbias.data(), dy.data(), where), ValueError);
  CHECK_THROWS_AS(raw::pack_lanes(9, 3, dx.data(), dy.data(), where), ValueError);

  const raw::Pool2d p{.batch = 9, .channels = 3, .in_height = 13, .in_width = 11, .kernel_height = 2, .kernel_width = 2};
  const size_t pixels = static_cast<size_t>(9 * 3 * p.out_height() * p.out_width());
  Floats pooled(pixels), unpooled(x.size());
  std::vector<int32_t> index(pixels);
  raw::max_pool2d_forward(p, x.data(), pooled.data(), index.data());
  raw::max_pool2d_backward(p, pooled.data(), index.data(), unpooled.data());
  OnDevice<float> dpooled(pixels), dunpooled(x.size());
  OnDevice<int32_t> dindex(pixels);
  raw::max_pool2d_forward(p, dx.data(), dpooled.data(), dindex.data(), size);
  raw::max_pool2d_backward(p, dpooled.data(), dindex.data(), dunpooled.data(), size);
  CHECK(dpooled.values() == pooled);
  CHECK(dindex.values() == index);
  CHECK(dunpooled.values() == unpooled);
  raw::avg_pool2d_forward(p, x.data(), pooled.data());
  raw::avg_pool2d_forward(p, dx.data(), dpooled.data(), size);
  expect_close(dpooled.values(), pooled);
}

}  // namespace cnnx::test
