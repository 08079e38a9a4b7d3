// Banded softmax attention on the CPU, for longspan.ops.window.cpp.
//
// Six queries of one head form a group, and groups are walked in order: scores against the strips of 16 keys that the
// group can see, one softmax over each query's own band, weighted values. Packed keys and values stay in a ring that
// moves along with the window: each key is packed once for each thread and head, and both products read it from the
// L2 cache. Heads walk together as long as their rings fit there, since the rows of heads lie side by side in memory:
// alone, each head would touch a page of its own for every token.

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <tuple>

#include "kernel.h"
#include "pack.h"
#include "plan.h"

namespace longspan {
namespace {

constexpr int64_t kCacheBytes = 896 << 10;  // for the rings of a thread: most of an L2 cache of 1 MiB
constexpr int64_t kTaskSize = 1 << 20;      // products of query and key elements worth a thread's while

struct Free {
  void operator()(float* x) const { std::free(x); }
};
using Buffer = std::unique_ptr<float, Free>;

Buffer allocate(int64_t lanes) {
  const int64_t bytes = (lanes * 4 + 63) / 64 * 64;
  auto* x = static_cast<float*>(std::aligned_alloc(64, bytes));
  TORCH_CHECK(x != nullptr, "band_forward: no memory for ", bytes, " bytes of packed keys");
  return Buffer(x);
}

// A (T, H, D) or (T, H) tensor, with unit stride along D.
template <class S>
struct Rows {
  S* data;
  int64_t token, head;

  explicit Rows(const at::Tensor& x) : data(static_cast<S*>(x.data_ptr())), token(x.stride(0)), head(x.stride(1)) {}
  S* at(int64_t t, int64_t h) const { return data + t * token + h * head; }
};

template <class T>
struct Arguments {
  Rows<const typename T::Scalar> query, key, value;
  Rows<typename T::Scalar> context;
  Rows<float> lse;
  int64_t size;  // D
  float scale;
};

// One thread's walk over the groups, with its ring and scratch memory.
template <class T>
class Walk {
  using S = typename T::Scalar;

 public:
  Walk(const Plan& plan, const Arguments<T>& arguments, int64_t heads, int64_t reach)
      : plan_(plan), a_(arguments),
        width_(round_up(a_.size, kLanes)),
        units_(round_up(a_.size, kLanes * T::kPair) / T::kPair),
        // a line more than needed: neighbouring strips shall not fall into the same cache sets
        key_strip_(units_ * kLanes + kLanes),
        value_strip_(width_ * (kLanes / T::kPair) + kLanes),
        slots_(reach / kLanes + 2),
        keys_(allocate(heads * slots_ * key_strip_)),
        values_(allocate(heads * slots_ * value_strip_)),
        queries_(allocate(kRows * units_)),
        scores_(allocate(kRows * kStride)),
        sums_(allocate(kRows * width_)) {}

  // one group of heads [head, end)
  void attend(int64_t head, int64_t end, const Group& group) {
    if (head != head_) packed_ = 0;
    head_ = head;
    pack(end, group.reach_first / kLanes, (group.reach_last + kLanes - 1) / kLanes);
    const int64_t last = (group.last + kLanes - 1) / kLanes;
    for (int64_t h = head; h < end; ++h) {
      pack_queries(h, group);
      std::fill_n(sums_.get(), kRows * width_, 0.0f);
      std::fill_n(tops_, kRows, -INFINITY);
      std::fill_n(totals_, kRows, 0.0f);
      for (int64_t s = group.first / kLanes; s < last; s += kMaxStrips)
        add(h, group, s, std::min<int64_t>(s + kMaxStrips, last));
      finish(h, group);
    }
  }

 private:
  static int64_t round_up(int64_t x, int64_t step) { return (x + step - 1) / step * step; }

  float* keys(int64_t h, int64_t slot) const { return keys_.get() + ((h - head_) * slots_ + slot) * key_strip_; }
  float* values(int64_t h, int64_t slot) const { return values_.get() + ((h - head_) * slots_ + slot) * value_strip_; }

  // strips [first, last) into the ring, those that are not there yet
  void pack(int64_t end, int64_t first, int64_t last) {
    for (int64_t s = std::max(first, packed_); s < last; ++s) {
      const int64_t key = s * kLanes, slot = s % slots_, count = std::min<int64_t>(kLanes, plan_.keys - key);
      for (int64_t h = head_; h < end; ++h)
        pack_keys<T>(a_.key.at(key, h), a_.key.token, count, a_.size, keys(h, slot));
      for (int64_t h = head_; h < end; ++h)
        pack_values(T{}, a_.value.at(key, h), a_.value.token, count, a_.size, width_, values(h, slot));
    }
    packed_ = std::max(packed_, last);
  }

  void pack_queries(int64_t h, const Group& group) {
    // the softmax looks for the largest product, so the sign of the scale goes to the queries
    const __m512i sign = _mm512_set1_epi32(a_.scale >= 0 ? 0 : T::kPair == 1 ? 0x80000000 : 0x80008000);
    float* to = queries_.get();
    for (int64_t r = 0; r < kRows; ++r)
      for (int64_t d = 0; d < units_ * T::kPair; d += kLanes * T::kPair, to += kLanes) {
        const int64_t elements = r < group.count ? a_.size - d : 0;
        _mm512_store_si512(to, _mm512_xor_si512(load_lanes<T>(a_.query.at(group.query + r, h) + d, elements), sign));
      }
  }

  // strips [first, last), at most kMaxStrips, with the online softmax between calls
  void add(int64_t h, const Group& group, int64_t first, int64_t last) {
    const int64_t count = last - first, key = first * kLanes;
    const float *key_strips[kMaxStrips], *value_strips[kMaxStrips];
    for (int64_t s = 0, slot = first % slots_; s < count; ++s, slot = slot + 1 == slots_ ? 0 : slot + 1) {
      key_strips[s] = keys(h, slot);
      value_strips[s] = values(h, slot);
    }
    for (int64_t s = 0; s < count; s += 4)
      in_registers(count - s, [&](auto v) {
        score_strips<T, v()>(queries_.get(), units_, key_strips + s, scores_.get() + s * kLanes);
      });
    for (int64_t r = 0; r < group.count; ++r) {
      const int64_t query = group.query + r, id = plan_.query_ids[query];
      Sight sees{std::max(plan_.first_of(query), group.first), std::min(plan_.last_of(query), group.last),
                 group.uniform ? nullptr : plan_.key_ids, id};
      if (id < 0) sees.last = sees.first;
      const float factor = softmax<T>(scores_.get() + r * kStride, key, count, sees,
                                      std::abs(a_.scale) * static_cast<float>(M_LOG2E), tops_[r], totals_[r]);
      if (factor != 1.0f) rescale(sums_.get() + r * width_, factor);
    }
    const int64_t from = std::max<int64_t>(group.first - key, 0) / T::kPair;
    const int64_t to = (std::min(group.last - key, count * kLanes) + T::kPair - 1) / T::kPair;
    for (int64_t d = 0; d < width_; d += 4 * kLanes)
      in_registers((width_ - d) / kLanes, [&](auto v) {
        add_values<T, v()>(scores_.get(), value_strips, from, to, width_, d, sums_.get() + d);
      });
  }

  // calls with the number of registers, at most 4, as a constant
  template <class F>
  static void in_registers(int64_t count, const F& call) {
    if (count >= 4) call(std::integral_constant<int, 4>{});
    if (count == 3) call(std::integral_constant<int, 3>{});
    if (count == 2) call(std::integral_constant<int, 2>{});
    if (count == 1) call(std::integral_constant<int, 1>{});
  }

  void rescale(float* sum, float factor) const {
    for (int64_t d = 0; d < width_; d += kLanes)
      _mm512_store_ps(sum + d, _mm512_mul_ps(_mm512_load_ps(sum + d), _mm512_set1_ps(factor)));
  }

  void finish(int64_t h, const Group& group) const {
    for (int64_t r = 0; r < group.count; ++r) {
      const bool blind = totals_[r] == 0;  // sees no key; one that does has at least its largest, 2^0
      const __m512 factor = _mm512_set1_ps(blind ? 0.0f : 1.0f / totals_[r]);
      S* to = a_.context.at(group.query + r, h);
      for (int64_t d = 0; d < a_.size; d += kLanes) {
        const __mmask16 lanes = a_.size - d >= kLanes ? 0xffff : (1 << (a_.size - d)) - 1;
        T::store(to + d, lanes, _mm512_mul_ps(_mm512_load_ps(sums_.get() + r * width_ + d), factor));
      }
      *a_.lse.at(group.query + r, h) = blind ? 0.0f : tops_[r] * static_cast<float>(M_LN2) + std::log(totals_[r]);
    }
  }

  const Plan& plan_;
  const Arguments<T>& a_;
  const int64_t width_, units_;            // lanes of a row of values (float32), of a query
  const int64_t key_strip_, value_strip_;  // lanes of a strip
  const int64_t slots_;                    // strips of the ring
  const Buffer keys_, values_, queries_, scores_, sums_;
  float tops_[kRows], totals_[kRows];  // of the softmax of each query
  int64_t head_ = -1, packed_ = 0;     // strips before packed_ have been in the ring
};

template <class T>
void attend_band(const Plan& plan, const Arguments<T>& arguments, int64_t heads) {
  const int64_t window = std::clamp(plan.left + plan.right + 1, int64_t{1}, plan.keys);
  const int64_t reach = std::min(window + kRows, plan.keys);
  const int64_t ring = (reach + 2 * kLanes) * arguments.size * 2 * static_cast<int64_t>(sizeof(typename T::Scalar));
  const int64_t most = std::max(kCacheBytes / ring, int64_t{1});
  const int64_t walks = (heads + most - 1) / most, together = (heads + walks - 1) / walks;
  const int64_t groups = plan.groups.size();
  const int64_t grain = kTaskSize / (together * kRows * window * arguments.size) + 1;
  at::parallel_for(0, walks * groups, grain, [&](int64_t begin, int64_t end) {
    Walk<T> walk(plan, arguments, together, reach);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t head = i / groups * together;
      walk.attend(head, std::min(head + together, heads), plan.groups[i % groups]);
    }
  });
}

// Arguments are checked by the caller in Python: shapes, dtypes, unit stride along D, contiguous int64 ids.
std::tuple<at::Tensor, at::Tensor> band_forward(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                                                const at::Tensor& query_ids, const at::Tensor& key_ids, int64_t left,
                                                int64_t right, int64_t offset, double scale) {
  Plan plan{left, right, offset, query.size(0), key.size(0), query_ids.const_data_ptr<int64_t>(),
            key_ids.const_data_ptr<int64_t>(), {}, {}};
  at::Tensor context = at::empty(query.sizes(), query.options());
  at::Tensor lse = at::empty({query.size(0), query.size(1)}, query.options().dtype(at::kFloat));
  plan.find_groups();
  for (const at::Tensor& x : {context, lse}) {
    const int64_t row = x.stride(0) * x.element_size();
    for (const Group& group : plan.skipped)
      std::memset(static_cast<char*>(x.data_ptr()) + group.query * row, 0, group.count * row);
  }
  if (plan.groups.empty()) return {context, lse};
  const auto run = [&](auto type) {
    using T = decltype(type);
    using S = typename T::Scalar;
    const Arguments<T> arguments{Rows<const S>(query), Rows<const S>(key), Rows<const S>(value), Rows<S>(context),
                                 Rows<float>(lse), query.size(2), static_cast<float>(scale)};
    attend_band<T>(plan, arguments, query.size(1));
  };
  query.scalar_type() == at::kFloat ? run(Float32{}) : run(BFloat16{});
  return {context, lse};
}

}  // namespace
}  // namespace longspan

TORCH_LIBRARY(longspan_cpp, library) {
  library.def(
      "band_forward(Tensor query, Tensor key, Tensor value, Tensor query_ids, Tensor key_ids, int left, int right, "
      "int offset, float scale) -> (Tensor, Tensor)");
  library.impl("band_forward", c10::DispatchKey::CPU, TORCH_FN(longspan::band_forward));
}
