// Planes whose outputs are weighted sums over a few rows and columns: resizing, and its adjoint.
//
//   input [planes][in_height][in_width][lanes]   output [planes][out_height][out_width][lanes]
//
// Columns first: a row of the input becomes one of the output's width, in a ring of as many rows as an output row has taps,
// which stay in the cache and are summed by whole vectors. Since taps never go back, each row is made once, but for those that
// two units need. Along a row a tap is a vector of images in lanes and one number else; columns with as many taps side by side
// are one loop.
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/tile.h"

namespace cnnx::CNNX_TARGET_NAMESPACE {
namespace {

constexpr int kUnrolled = 4;          // taps whose loops are written out
constexpr int kSpans = 0, kRing = 1;  // slots of the scratch

// Output columns from where the last span ended to `end`, each of `taps` taps.
struct Span {
  int32_t end, taps;
};

const Span* find_spans(const Queue& queue, const AxisTaps<float>& columns, int64_t width) {
  if (columns.first == nullptr) return nullptr;
  Span* spans = static_cast<Span*>(queue.scratch(kSpans, static_cast<size_t>(max(width, 1)) * sizeof(Span)));
  Span* last = spans;
  for (int64_t x = 0; x < width; ++x) {
    if (x > 0 && columns.count(x) != last->taps) ++last;
    *last = {static_cast<int32_t>(x + 1), columns.count(x)};
  }
  return spans;
}

// Outputs [begin, end) of a row, each of N taps in lanes.
template <int N>
void lanes_of(const AxisTaps<float>& columns, int64_t begin, int64_t end, const float* from, float* to) {
  const float* weight = columns.weights + columns.begin[begin];
  for (int64_t x = begin; x < end; ++x, weight += N) {
    const float* at = from + columns.first[x] * kLanes;
    Vec sum = broadcast(weight[0]) * load(at);
    unroll<N - 1>([&](auto k) { sum = mul_add(broadcast(weight[k + 1]), load(at + (k + 1) * kLanes), sum); });
    store(to + x * kLanes, sum);
  }
}
void lanes_of_any(const AxisTaps<float>& columns, int64_t begin, int64_t end, const float* from, float* to) {
  for (int64_t x = begin; x < end; ++x) {
    const float *at = from + columns.first[x] * kLanes, *weight = columns.weights + columns.begin[x];
    Vec sum = {};
    for (int32_t k = 0; k < columns.count(x); ++k) sum = mul_add(broadcast(weight[k]), load(at + k * kLanes), sum);
    store(to + x * kLanes, sum);
  }
}

// The same of a plain row.
template <int N>
void numbers_of(const AxisTaps<float>& columns, int64_t begin, int64_t end, const float* from, float* to) {
  const float* weight = columns.weights + columns.begin[begin];
  for (int64_t x = begin; x < end; ++x, weight += N) {
    const float* at = from + columns.first[x];
    float sum = weight[0] * at[0];
    unroll<N - 1>([&](auto k) { sum += weight[k + 1] * at[k + 1]; });
    to[x] = sum;
  }
}
void numbers_of_any(const AxisTaps<float>& columns, int64_t begin, int64_t end, const float* from, float* to) {
  for (int64_t x = begin; x < end; ++x) {
    const float *at = from + columns.first[x], *weight = columns.weights + columns.begin[x];
    float sum = 0;
    for (int32_t k = 0; k < columns.count(x); ++k) sum += weight[k] * at[k];
    to[x] = sum;
  }
}

void resample_row(const Resampling<float>& s, const Span* span, const float* from, float* to) {
  if (span == nullptr) {
    memcpy(to, from, static_cast<size_t>(s.out_width * s.lanes) * sizeof(float));
    return;
  }
  for (int64_t x = 0; x < s.out_width; x = span++->end) {
    const bool any = span->taps < 1 || span->taps > kUnrolled;
    if (any && s.lanes > 1) lanes_of_any(s.columns, x, span->end, from, to);
    else if (any) numbers_of_any(s.columns, x, span->end, from, to);
    else
      with_size<kUnrolled>(span->taps, [&]<int N>() {
        if (s.lanes > 1) lanes_of<N>(s.columns, x, span->end, from, to);
        else numbers_of<N>(s.columns, x, span->end, from, to);
      });
  }
}

// to (+)= the sum of N rows of `count` floats times their weights.
template <int N, bool kAdds>
void sum_rows(const float* const (&rows)[kUnrolled], const float* weights, int64_t count, float* to) {
  Vec weight[N];
  unroll<N>([&](auto k) { weight[k] = broadcast(weights[k]); });
  const auto sum = [&](const auto& value, Vec before) {
    Vec total = weight[0] * value(0);
    unroll<N - 1>([&](auto k) { total = mul_add(weight[k + 1], value(k + 1), total); });
    return kAdds ? before + total : total;
  };
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    store(to + i, sum([&](int k) { return load(rows[k] + i); }, kAdds ? load(to + i) : Vec{}));
  const int64_t rest = count - i;
  if (rest > 0)
    store_partial(to + i, sum([&](int k) { return load_partial(rows[k] + i, rest); }, kAdds ? load_partial(to + i, rest) : Vec{}),
                  rest);
}

// The sum over all taps of a row, row(k) that of tap k.
template <class Row>
void weigh_rows(const Row& row, const float* weights, int64_t taps, int64_t count, float* to) {
  if (taps == 0) memset(to, 0, static_cast<size_t>(count) * sizeof(float));
  for (int64_t k = 0; k < taps; k += kUnrolled) {
    const int64_t part = min(taps - k, kUnrolled);
    const float* rows[kUnrolled] = {};
    for (int64_t j = 0; j < part; ++j) rows[j] = row(k + j);
    with_size<kUnrolled>(part, [&]<int N>() {
      if (k > 0) sum_rows<N, true>(rows, weights + k, count, to);
      else sum_rows<N, false>(rows, weights + k, count, to);
    });
  }
}

}  // namespace

void resample_planes(const Queue& queue, const Resampling<float>& s, const float* input, float* output) {
  const int64_t in_row = s.in_width * s.lanes, out_row = s.out_width * s.lanes;
  const Span* spans = find_spans(queue, s.columns, s.out_width);
  int64_t depth = 0, taps = 0;  // of the ring; of all rows
  if (s.rows.first != nullptr) {
    for (int64_t y = 0; y < s.out_height; ++y) depth = max(depth, s.rows.count(y));
    taps = s.rows.begin[s.out_height];
  }
  const double row_cost = static_cast<double>(taps) / static_cast<double>(max(s.out_height, 1)) + 2.0;
  const Split parts(s.out_height, max(16, 65536 / max(out_row, 1)));
  const int64_t units = s.planes * parts.parts;
  parallel_for(units, row_cost * static_cast<double>(out_row * s.out_height / max(parts.parts, 1)) / 4, [&](int64_t unit) {
    const int64_t plane = unit / parts.parts, part = unit % parts.parts;
    const int64_t begin = parts.begin(part), end = begin + parts.size(part);
    const float* from = input + plane * s.in_height * in_row;
    float* to = output + (plane * s.out_height + begin) * out_row;
    if (s.rows.first == nullptr) {
      for (int64_t y = begin; y < end; ++y, to += out_row) resample_row(s, spans, from + y * in_row, to);
      return;
    }
    float* ring = spans == nullptr
                      ? nullptr
                      : static_cast<float*>(queue.scratch(kRing, static_cast<size_t>(max(depth, 1) * out_row) * sizeof(float)));
    int64_t made = 0;  // rows below it that anybody still wants are in the ring
    for (int64_t y = begin; y < end; ++y, to += out_row) {
      const int64_t first = s.rows.first[y], count = s.rows.count(y);
      const float* weights = s.rows.weights + s.rows.begin[y];
      if (ring == nullptr) {
        weigh_rows([&](int64_t k) { return from + (first + k) * in_row; }, weights, count, out_row, to);
        continue;
      }
      if (count > 0)
        for (made = max(made, first); made < first + count; ++made)
          resample_row(s, spans, from + made * in_row, ring + made % depth * out_row);
      weigh_rows([&](int64_t k) { return ring + (first + k) % depth * out_row; }, weights, count, out_row, to);
    }
  });
}

}  // namespace cnnx::CNNX_TARGET_NAMESPACE
