// Register-blocked pieces of the banded attention, for AVX-512: scores, softmax and weighted values of six queries.
//
// Everything is laid out in 32-bit lanes: a lane holds one float32, or a pair of neighbouring bfloat16 along the axis
// that is summed over, as vdpbf16ps wants it. Keys come in strips of 16, packed by pack.h.
#pragma once

#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace longspan {

constexpr int kRows = 6;        // queries of a group: 6 x 4 sums, 4 vectors and 1 broadcast fill the 32 registers
constexpr int kLanes = 16;      // 32-bit lanes of a register; keys of a strip
constexpr int kMaxStrips = 64;  // keys of one softmax step: the scores of six queries stay in the L1 cache
constexpr int kStride = (kMaxStrips + 1) * kLanes;  // lanes from one query's scores to the next

struct Float32 {
  using Scalar = float;
  static constexpr int kPair = 1;  // elements of a lane

  static __m512 multiply_add(__m512 a, __m512 b, __m512 sum) { return _mm512_fmadd_ps(a, b, sum); }
  static void store(Scalar* to, __mmask16 lanes, __m512 x) { _mm512_mask_storeu_ps(to, lanes, x); }
};

struct BFloat16 {
  using Scalar = uint16_t;
  static constexpr int kPair = 2;

  static __m512 multiply_add(__m512 a, __m512 b, __m512 sum) {
    return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
  }
  static void store(Scalar* to, __mmask16 lanes, __m512 x) {
    _mm256_mask_storeu_epi16(to, lanes, (__m256i)_mm512_cvtneps_pbh(x));
  }
};

// sums[r][16 v + lane] = sum over u of queries[r][u] * strips[v][u][lane]
template <class T, int V>
inline void score_strips(const float* queries, int64_t units, const float* const* strips, float* sums) {
  __m512 sum[kRows][V];
  for (auto& row : sum)
    for (auto& x : row) x = _mm512_setzero_ps();
  const float* strip[V];
  for (int v = 0; v < V; ++v) strip[v] = strips[v];
  for (int64_t u = 0; u < units; ++u) {
    __m512 keys[V];
    for (int v = 0; v < V; ++v) keys[v] = _mm512_load_ps(strip[v] + u * kLanes);
#pragma GCC unroll 6
    for (int r = 0; r < kRows; ++r) {
      const __m512 query = _mm512_set1_ps(queries[r * units + u]);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) sum[r][v] = T::multiply_add(query, keys[v], sum[r][v]);
    }
  }
  for (int r = 0; r < kRows; ++r)
    for (int v = 0; v < V; ++v) _mm512_store_ps(sums + r * kStride + v * kLanes, sum[r][v]);
}

// context[r][16 v + lane] += sum over u in [first, last) of probabilities[r][u] * value of u in column + 16 v + lane
template <class T, int V>
inline void add_values(const float* probabilities, const float* const* strips, int64_t first, int64_t last,
                       int64_t width, int64_t column, float* context) {
  __m512 sum[kRows][V];
  for (int r = 0; r < kRows; ++r)
    for (int v = 0; v < V; ++v) sum[r][v] = _mm512_load_ps(context + r * width + v * kLanes);
  constexpr int64_t units = kLanes / T::kPair;  // of a strip
  for (int64_t s = first / units; s * units < last; ++s) {
    const float* strip = strips[s] + column;
    const float* p = probabilities + s * units;
    const int64_t end = last - s * units < units ? last - s * units : units;
    for (int64_t u = s * units < first ? first - s * units : 0; u < end; ++u) {
      __m512 values[V];
      for (int v = 0; v < V; ++v) values[v] = _mm512_load_ps(strip + u * width + v * kLanes);
#pragma GCC unroll 6
      for (int r = 0; r < kRows; ++r) {
        const __m512 probability = _mm512_set1_ps(p[r * kStride + u]);
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) sum[r][v] = T::multiply_add(probability, values[v], sum[r][v]);
      }
    }
  }
  for (int r = 0; r < kRows; ++r)
    for (int v = 0; v < V; ++v) _mm512_store_ps(context + r * width + v * kLanes, sum[r][v]);
}

// 2^x for x <= 0, relative error 2e-7, exactly 1 at 0; minimax polynomial of degree 5 on [-1/2, 1/2]
inline __m512 exp2(__m512 x) {
  x = _mm512_max_ps(_mm512_set1_ps(-200.0f), x);  // in this order NaN stays NaN
  const __m512 whole = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const __m512 f = _mm512_sub_ps(x, whole);
  __m512 p = _mm512_set1_ps(0.00132764721678f);
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.00967554133102f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.0555071327288f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.24022119724f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.693146967065f));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(1.0f));
  return _mm512_scalef_ps(p, whole);
}

// The keys of a strip that a query sees: those at positions [first, last), and of its own document unless ids is null.
struct Sight {
  int64_t first, last;
  const int64_t* ids;  // of the keys, by position
  int64_t id;

  __mmask16 operator()(int64_t key) const {
    uint32_t lanes = 0xffff;
    if (key < first) lanes &= first - key < kLanes ? 0xffffu << (first - key) : 0;
    if (key + kLanes > last) lanes &= last > key ? 0xffffu >> (key + kLanes - last) : 0;
    lanes &= 0xffff;
    if (ids == nullptr || lanes == 0) return static_cast<__mmask16>(lanes);
    const __m512i own = _mm512_set1_epi64(id);
    const __mmask8 low = lanes & 0xff, high = lanes >> 8;
    const uint32_t same_low = _mm512_mask_cmpeq_epi64_mask(low, _mm512_maskz_loadu_epi64(low, ids + key), own);
    const uint32_t same_high = _mm512_mask_cmpeq_epi64_mask(high, _mm512_maskz_loadu_epi64(high, ids + key + 8), own);
    return static_cast<__mmask16>(same_low | same_high << 8);
  }
};

// One query's scores become probabilities, in place (bfloat16: packed into the front), by the online softmax of
// FlashAttention (arXiv 2205.14135): `top` is the largest scaled score so far, `total` the sum of 2^(score - top).
// Returns the factor for what has been summed before.
template <class T>
inline float softmax(float* scores, int64_t key, int64_t strips, const Sight& sees, float scale, float& top,
                     float& total) {
  // strips [whole, end) are seen in full and need no mask
  int64_t whole = strips;
  if (sees.ids == nullptr) whole = std::clamp<int64_t>((sees.first - key + kLanes - 1) / kLanes, 0, strips);
  const int64_t end = std::clamp((sees.last - key) / kLanes, whole, strips);
  __m512 largest = _mm512_set1_ps(-INFINITY), second = largest;
  uint32_t any = end - whole;
  const auto edge_max = [&](int64_t s) {
    const __mmask16 seen = sees(key + s * kLanes);
    any |= seen;
    largest = _mm512_mask_max_ps(largest, seen, largest, _mm512_load_ps(scores + s * kLanes));
  };
  int64_t s = 0;
  for (; s < whole; ++s) edge_max(s);
  for (; s + 2 <= end; s += 2) {
    largest = _mm512_max_ps(largest, _mm512_load_ps(scores + s * kLanes));
    second = _mm512_max_ps(second, _mm512_load_ps(scores + (s + 1) * kLanes));
  }
  for (; s < strips; ++s) edge_max(s);
  largest = _mm512_max_ps(largest, second);
  auto* probabilities = reinterpret_cast<typename T::Scalar*>(scores);
  if (any == 0) {
    for (s = 0; s < strips; ++s) T::store(probabilities + s * kLanes, 0xffff, _mm512_setzero_ps());
    return 1.0f;
  }
  const float before = top;
  const float here = _mm512_reduce_max_ps(largest) * scale;
  top = before > here ? before : here;
  const __m512 scales = _mm512_set1_ps(scale), tops = _mm512_set1_ps(top);
  __m512 sum = _mm512_setzero_ps();
  const auto power = [&](int64_t s) {
    return exp2(_mm512_fmsub_ps(_mm512_load_ps(scores + s * kLanes), scales, tops));
  };
  const auto keep = [&](int64_t s, __m512 p) {
    sum = _mm512_add_ps(sum, p);
    T::store(probabilities + s * kLanes, 0xffff, p);
  };
  for (s = 0; s < whole; ++s) keep(s, _mm512_maskz_mov_ps(sees(key + s * kLanes), power(s)));
  for (; s < end; ++s) keep(s, power(s));
  for (; s < strips; ++s) keep(s, _mm512_maskz_mov_ps(sees(key + s * kLanes), power(s)));
  const float factor = total == 0 ? 1.0f : std::exp2(before - top);
  total = total * factor + _mm512_reduce_add_ps(sum);
  return factor;
}

}  // namespace longspan
