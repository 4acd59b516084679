// Sorting, and picking elements by their rank.
//
// An element's key is an unsigned number in the order of sorting. In a word, with its position below it, no two are equal, and
// the order of the words is the stable one. Whole rows are sorted by the bytes of their keys, from the last one on. A few ranks
// of a long row are bounded by a sample (Floyd and Rivest, "Expected time bounds for selection", 1975): one pass collects what
// lies within the bounds, and only that is put in order.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <type_traits>
#include <utility>

#include "cnnx/dtype.h"
#include "kernels/host/host.h"

namespace cnnx::host {
namespace {

__extension__ typedef unsigned __int128 Wide;

// NaN is the largest, and zeros of both signs are equal.
template <class T>
auto key_of(T x) {
  using Key = std::conditional_t<(sizeof(T) > 4), uint64_t, uint32_t>;
  constexpr Key top = Key(1) << (8 * sizeof(Key) - 1);
  if constexpr (std::is_floating_point_v<T>) {
    if (x != x) return ~Key(0);
    x += T(0);  // of -0, too
    Key bits;
    std::memcpy(&bits, &x, sizeof bits);
    return (bits & top) != 0 ? ~bits : bits | top;
  } else if constexpr (std::is_signed_v<T>) {
    return static_cast<Key>(x) ^ top;
  } else {
    return static_cast<Key>(x);
  }
}

// The words of a row: half key, half position.
template <class T, class K>
struct Row {
  using Key = K;
  using Word = std::conditional_t<(sizeof(Key) > 4), Wide, uint64_t>;
  static constexpr int kShift = 8 * sizeof(Key);

  const T* x;
  int64_t n;
  Key flip;  // all ones where the order descends

  Key key(int64_t i) const { return key_of(x[i]) ^ flip; }
  Word word(int64_t i) const { return Word(key(i)) << kShift | static_cast<Key>(i); }
  static Key key_in(Word word) { return static_cast<Key>(word >> kShift); }
  static int64_t place_in(Word word) { return static_cast<int64_t>(static_cast<Key>(word)); }
  void fill(Word* words) const {
    for (int64_t i = 0; i < n; ++i) words[i] = word(i);
  }
};

// By their bytes, but for those of the positions if these are in order already. What the result lies in: `words`, or `room` of
// the same size.
template <class Row, class Word = typename Row::Word>
Word* sorted(int64_t n, bool in_place_order, Word* words, Word* room) {
  constexpr int64_t kShort = 128;
  if (n <= kShort) {
    std::sort(words, words + n);
    return words;
  }
  constexpr int kBytes = sizeof(Word);
  const int first = in_place_order ? kBytes / 2 : 0;
  const auto byte_of = [](Word word, int b) { return static_cast<uint8_t>(word >> (8 * b)); };
  int64_t counts[kBytes][256] = {};
  for (int64_t i = 0; i < n; ++i)
    for (int b = first; b < kBytes; ++b) ++counts[b][byte_of(words[i], b)];
  for (int b = first; b < kBytes; ++b) {
    int64_t* begin = counts[b];
    if (begin[byte_of(words[0], b)] == n) continue;  // all have the same
    for (int64_t total = 0, digit = 0; digit < 256; ++digit) total += std::exchange(begin[digit], total);
    for (int64_t i = 0; i < n; ++i) room[begin[byte_of(words[i], b)]++] = words[i];
    std::swap(words, room);
  }
  return words;
}

// Brings the words of ranks [first, end) to their places, in any order.
template <class Word>
void separate(Word* words, int64_t n, int64_t first, int64_t end) {
  std::nth_element(words, words + first, words + n);
  if (end - first > 1) std::nth_element(words + first + 1, words + end - 1, words + n);
}

// The first few words of a row: most elements are compared with the last of them alone.
constexpr int64_t kFew = 16;
template <class Row, class Word = typename Row::Word>
void put_first(const Row& row, int64_t count, Word* words) {
  for (int64_t i = 0; i < count; ++i) words[i] = row.word(i);
  std::sort(words, words + count);
  typename Row::Key last = row.key_in(words[count - 1]);
  for (int64_t i = count; i < row.n; ++i) {
    if (row.key(i) >= last) continue;  // of equals the earlier one stays
    const Word word = row.word(i);
    int64_t at = count - 1;
    for (; at > 0 && words[at - 1] > word; --at) words[at] = words[at - 1];
    words[at] = word;
    last = row.key_in(words[count - 1]);
  }
}

// The words of a row at ranks [first, end), in any order. `words` has room for the row.
template <class Row, class Word = typename Row::Word>
Word* ranked(const Row& row, int64_t first, int64_t end, Word* words) {
  if (first == 0 && end <= kFew) {
    put_first(row, end, words);
    return words;
  }
  constexpr int64_t kLargestSample = 1024;
  const int64_t count = row.n >= 4 * kLargestSample ? kLargestSample : 64, stretch = row.n / count;
  // The rank among the sample of what has a rank in the row, give or take four standard deviations and some.
  const auto bound = [&](int64_t rank, double side) {
    const double share = static_cast<double>(rank) / static_cast<double>(row.n), middle = share * static_cast<double>(count);
    return static_cast<int64_t>(std::floor(middle + side * (4 * std::sqrt(middle * (1 - share)) + 4)));
  };
  const int64_t low = std::max<int64_t>(bound(first, -1), -1), high = std::min(bound(end - 1, 1), count);
  if (stretch >= 4 && 2 * (high - low) < count) {
    Word sample[kLargestSample];
    for (int64_t i = 0; i < count; ++i)  // one of each stretch, not always at the same place of it
      sample[i] = row.word(i * stretch + i * 7919 % stretch);
    std::sort(sample, sample + count);
    // Whole words: of equal elements those at places within the bounds.
    const Word least = low < 0 ? Word(0) : sample[low], most = high >= count ? ~Word(0) : sample[high];
    int64_t below = 0, found = 0;
    for (int64_t i = 0; i < row.n; ++i) {
      const Word word = row.word(i);
      below += word < least;
      if (word >= least && word <= most) words[found++] = word;
    }
    if (below <= first && end <= below + found) {
      separate(words, found, first - below, end - below);
      return words + (first - below);
    }
  }
  row.fill(words);
  separate(words, row.n, first, end);
  return words + first;
}

template <class T>
int64_t first_nan(const T* x, int64_t n) {
  constexpr int64_t kStep = 256;
  for (int64_t begin = 0; begin < n; begin += kStep) {
    const int64_t end = std::min(n, begin + kStep);
    bool any = false;
    for (int64_t i = begin; i < end; ++i) any |= x[i] != x[i];
    for (int64_t i = begin; any && i < end; ++i)
      if (x[i] != x[i]) return i;
  }
  return -1;
}

template <class T, class Key>
void rank_rows(const Queue& queue, const RankShape& s, const T* x, int64_t* order) {
  using R = Row<T, Key>;
  const bool whole = 2 * s.count > s.n;
  const int64_t rows_per_unit = 1 + kElementsPerUnit / s.n;
  const double cost = (whole ? 20.0 : 5.0) * static_cast<double>(rows_per_unit * s.n);
  parallel_for((s.rows + rows_per_unit - 1) / rows_per_unit, cost, [&](int64_t unit) {
    using Word = typename R::Word;
    const auto words_of = [&](int slot, int64_t n) {
      return static_cast<Word*>(queue.scratch(slot, static_cast<size_t>(n) * sizeof(Word)));
    };
    Word *const words = words_of(0, s.n), *const room = words_of(1, whole ? s.n : s.count);
    for (int64_t r = unit * rows_per_unit; r < std::min(s.rows, (unit + 1) * rows_per_unit); ++r) {
      const R row{x + r * s.n, s.n, s.descending ? ~Key(0) : Key(0)};
      int64_t* to = order + r * s.count;
      const int64_t nan = s.nan_wins ? first_nan(row.x, row.n) : -1;
      if (nan >= 0) {
        *to = nan;
        continue;
      }
      const Word* found;
      if (whole) {
        row.fill(words);
        found = sorted<R>(row.n, true, words, room) + s.first;
      } else {
        found = sorted<R>(s.count, false, ranked(row, s.first, s.first + s.count, words), room);
      }
      for (int64_t k = 0; k < s.count; ++k) to[k] = R::place_in(found[k]);
    }
  });
}

}  // namespace

void rank(const Queue& queue, DType dtype, const RankShape& s, const void* x, int64_t* order) {
  if (s.count == 0) return;
  dispatch(dtype, [&]<class T>(T) {
    if constexpr (sizeof(T) <= 4)
      if (s.n <= int64_t{1} << 32) return rank_rows<T, uint32_t>(queue, s, static_cast<const T*>(x), order);
    rank_rows<T, uint64_t>(queue, s, static_cast<const T*>(x), order);
  });
}

}  // namespace cnnx::host
