// Keys and values of one head in the order in which kernel.h reads them: strips of 16 keys, in 32-bit lanes.
#pragma once

#include "kernel.h"

namespace longspan {

// A register of elements, as many as there are; zero for the rest.
template <class T>
inline __m512i load_lanes(const typename T::Scalar* from, int64_t elements) {
  const int64_t bytes = elements * static_cast<int64_t>(sizeof(typename T::Scalar));
  if (bytes >= 64) return _mm512_loadu_si512(from);
  return bytes <= 0 ? _mm512_setzero_si512() : _mm512_maskz_loadu_epi8(~uint64_t{0} >> (64 - bytes), from);
}

// 16 x 16 lanes
inline void transpose(__m512i (&x)[16]) {
  __m512i y[16];
  for (int i = 0; i < 16; i += 2) {
    y[i] = _mm512_unpacklo_epi32(x[i], x[i + 1]);
    y[i + 1] = _mm512_unpackhi_epi32(x[i], x[i + 1]);
  }
  for (int i = 0; i < 16; i += 4)
    for (int j = 0; j < 2; ++j) {
      x[i + 2 * j] = _mm512_unpacklo_epi64(y[i + j], y[i + 2 + j]);
      x[i + 2 * j + 1] = _mm512_unpackhi_epi64(y[i + j], y[i + 2 + j]);
    }
  // now the 128-bit block b of x[4 i + j] holds column 4 b + j of the rows 4 i to 4 i + 3
  for (int j = 0; j < 4; ++j) {
    const __m512i even_top = _mm512_shuffle_i64x2(x[j], x[4 + j], 0x88);
    const __m512i odd_top = _mm512_shuffle_i64x2(x[j], x[4 + j], 0xdd);
    const __m512i even_bottom = _mm512_shuffle_i64x2(x[8 + j], x[12 + j], 0x88);
    const __m512i odd_bottom = _mm512_shuffle_i64x2(x[8 + j], x[12 + j], 0xdd);
    y[j] = _mm512_shuffle_i64x2(even_top, even_bottom, 0x88);
    y[4 + j] = _mm512_shuffle_i64x2(odd_top, odd_bottom, 0x88);
    y[8 + j] = _mm512_shuffle_i64x2(even_top, even_bottom, 0xdd);
    y[12 + j] = _mm512_shuffle_i64x2(odd_top, odd_bottom, 0xdd);
  }
  for (int i = 0; i < 16; ++i) x[i] = y[i];
}

// to[unit][key]: `count` keys (of 16) of `size` elements, `stride` elements apart, transposed; zero past the end.
template <class T>
inline void pack_keys(const typename T::Scalar* from, int64_t stride, int64_t count, int64_t size, float* to) {
  for (int64_t d = 0; d < size; d += kLanes * T::kPair, to += kLanes * kLanes) {
    __m512i x[16];
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) x[i] = load_lanes<T>(from + i * stride + d, i < count ? size - d : 0);
    transpose(x);
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) _mm512_store_si512(to + i * kLanes, x[i]);
  }
}

// to[key][column], `width` columns; zero past the end.
inline void pack_values(Float32, const float* from, int64_t stride, int64_t count, int64_t size, int64_t width,
                        float* to) {
  for (int i = 0; i < kLanes; ++i)
    for (int64_t d = 0; d < width; d += kLanes)
      _mm512_store_si512(to + i * width + d, load_lanes<Float32>(from + i * stride + d, i < count ? size - d : 0));
}

// to[pair of keys][column], the first key of the pair in the low half of the lane.
inline void pack_values(BFloat16, const uint16_t* from, int64_t stride, int64_t count, int64_t size, int64_t width,
                        float* to) {
  const auto load = [&](int64_t i, int64_t d) {
    const int64_t elements = i < count ? size - d : 0;
    const __mmask16 lanes = elements >= kLanes ? 0xffff : elements > 0 ? (1 << elements) - 1 : 0;
    return _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(lanes, from + i * stride + d));
  };
  for (int u = 0; u < kLanes / 2; ++u)
    for (int64_t d = 0; d < width; d += kLanes) {
      const __m512i pair = _mm512_or_si512(load(2 * u, d), _mm512_slli_epi32(load(2 * u + 1, d), 16));
      _mm512_store_si512(to + u * width + d, pair);
    }
}

}  // namespace longspan
