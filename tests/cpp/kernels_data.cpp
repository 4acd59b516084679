// The batch gather. Every step is rounded to float, so all implementations must agree to the bit.
#include "harness.h"

namespace cnnx::test {
namespace {

const Covers covers{"gather_u8"};

constexpr int64_t kImages = 23;

void check_gather(const GatherShape& s, bool normalize) {
  const std::string what = "gather_u8 batch " + std::to_string(s.batch) + ", " + std::to_string(s.channels) + "x" +
                           std::to_string(s.spatial) + ", lanes " + std::to_string(s.lanes) + (normalize ? ", normalised" : "");
  Random random(static_cast<uint64_t>(s.batch * 1000 + s.spatial));
  std::vector<uint8_t> source(static_cast<size_t>(kImages * s.channels * s.spatial));
  for (uint8_t& value : source) value = static_cast<uint8_t>(random.integer(0, 255));
  std::vector<int64_t> index(static_cast<size_t>(s.batch));
  for (int64_t& i : index) i = random.integer(0, kImages - 1);
  index.back() = kImages - 1;  // its last bytes are the last of the memory
  std::vector<float> mean, stddev;
  for (int64_t c = 0; c < s.channels; ++c) {
    mean.push_back(0.1307f + static_cast<float>(c));
    stddev.push_back(0.3081f + static_cast<float>(c));
  }
  const float* mean_data = normalize ? mean.data() : nullptr;
  const float* stddev_data = normalize ? stddev.data() : nullptr;

  Values expected;
  for (int64_t n = 0; n < s.batch; ++n)
    for (int64_t c = 0; c < s.channels; ++c)
      for (int64_t p = 0; p < s.spatial; ++p) {
        const size_t at = static_cast<size_t>((index[static_cast<size_t>(n)] * s.channels + c) * s.spatial + p);
        volatile float value = static_cast<float>(source[at]) / 255.0f;
        if (normalize) {
          value = value - mean[static_cast<size_t>(c)];
          value = value / stddev[static_cast<size_t>(c)];
        }
        expected.push_back(static_cast<double>(value));
      }

  const Layout layout{s.batch, s.channels * s.spatial, s.lanes};
  const int64_t shift = s.lanes == 1 ? 1 : 0;
  expect_equal(same_for_any_threads(what,
                                    [&] {
                                      Guarded<float> output(layout.size(), shift);
                                      kernels<float>().gather_u8(kHost, s, source.data(), index.data(), 255.0f, mean_data,
                                                                 stddev_data, output.data());
                                      CHECK_MESSAGE(output.intact(), what << ": wrote outside its output");
                                      bool finite = true;
                                      for (int64_t i = 0; i < layout.size(); ++i) finite = finite && std::isfinite(output[i]);
                                      CHECK_MESSAGE(finite, what << ": a dead lane is not zero");
                                      return extract(output, layout);
                                    }),
               expected, what);
}

}  // namespace

TEST_CASE("gather_u8: to the bit") {
  for (int64_t lanes : lane_choices())
    for (int64_t batch : batch_choices())
      for (int64_t channels : {1, 3})
        for (int64_t spatial : {1, 3, 4, 15, 64, 67, 784})
          for (bool normalize : {false, true}) check_gather({batch, channels, spatial, lanes}, normalize);
}

}  // namespace cnnx::test
