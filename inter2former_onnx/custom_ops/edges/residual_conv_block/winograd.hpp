// 3 x 3 convolutions with a quarter of the multiplications: F(4 x 4, 3 x 3) of Winograd's minimal filtering.
//
// A tile of 4 x 4 output pixels sees 6 x 6 input pixels. Both are taken for polynomials of which products are needed,
// and these for their values at 6 points a side: 36 products of matrices [tiles, in] [in, out] in place of 144. The
// points are 0, +-5/8, +-5/4 and infinity: with the usual 0, +-1, +-2 the largest rounding error is ten times that of
// plain summation, with these it is not larger.
#pragma once

#include "native/maths/gemm.hpp"
#include "native/memory.hpp"
#include "native/simd/simd.hpp"

namespace i2f {
namespace I2F_ISA {

constexpr int64_t kTileSide = 4;
constexpr int64_t kPatchSide = 6;
constexpr float kPointA = 0.625f;
constexpr float kPointB = 1.25f;

// Values at the points of six numbers in a row, the data's side.
I2F_INLINE void to_points(const Vec (&d)[6], Vec (&v)[6]) {
  constexpr float a = kPointA;
  constexpr float b = kPointB;
  const Vec sum_squares = set(-(a * a + b * b));
  const Vec product_squares = set(a * a * b * b);
  v[0] = fma(product_squares, d[0], fma(sum_squares, d[2], d[4]));
  const Vec even_a = fma(set(-b * b), d[2], d[4]);
  const Vec odd_a = fma(set(-b * b), d[1], d[3]) * set(a);
  v[1] = even_a + odd_a;
  v[2] = even_a - odd_a;
  const Vec even_b = fma(set(-a * a), d[2], d[4]);
  const Vec odd_b = fma(set(-a * a), d[1], d[3]) * set(b);
  v[3] = even_b + odd_b;
  v[4] = even_b - odd_b;
  v[5] = fma(product_squares, d[1], fma(sum_squares, d[3], d[5]));
}

// Weight of point i in output pixel p: p-th powers of the points.
I2F_INLINE float point_power(int64_t i, int64_t p) {
  if (i == 5) return p == 3 ? 1.0f : 0.0f;
  const float points[5] = {0.0f, kPointA, -kPointA, kPointB, -kPointB};
  float power = 1.0f;
  for (int64_t k = 0; k < p; ++k) power *= points[i];
  return power;
}

// Output pixels in a row from the products at its points.
I2F_INLINE void from_points(const Vec (&m)[6], Vec (&y)[4]) {
  constexpr float a = kPointA;
  constexpr float b = kPointB;
  const Vec even_a = m[1] + m[2];
  const Vec odd_a = m[1] - m[2];
  const Vec even_b = m[3] + m[4];
  const Vec odd_b = m[3] - m[4];
  y[0] = m[0] + (even_a + even_b);
  y[1] = fma(set(a), odd_a, odd_b * set(b));
  y[2] = fma(set(a * a), even_a, even_b * set(b * b));
  y[3] = fma(set(a * a * a), odd_a, fma(set(b * b * b), odd_b, m[5]));
}

// The kernel [out, in, 3, 3] at the 36 points, packed for the products: [36] packed matrices [in, out].
inline Buffer pack_winograd(const float* weight, int64_t out, int64_t in) {
  constexpr double a = kPointA;
  constexpr double b = kPointB;
  const double points[5] = {0.0, a, -a, b, -b};
  double g[6][3];
  for (int i = 0; i < 5; ++i) {
    double scale = 1.0;
    for (int j = 0; j < 5; ++j) {
      if (j != i) scale *= points[i] - points[j];
    }
    for (int k = 0; k < 3; ++k) g[i][k] = (k == 0 ? 1.0 : k == 1 ? points[i] : points[i] * points[i]) / scale;
  }
  g[5][0] = g[5][1] = 0.0;
  g[5][2] = 1.0;
  const int64_t size = packed_floats(in, out);
  Buffer packed(36 * size);
  const Scratch scratch({bytes_of<float>(36 * in * out)});
  float* at_points = scratch.part<float>(0);  // [36][out][in]
  for (int64_t o = 0; o < out; ++o) {
    for (int64_t c = 0; c < in; ++c) {
      const float* w = weight + (o * in + c) * 9;
      for (int i = 0; i < 6; ++i) {
        double row[3];
        for (int dx = 0; dx < 3; ++dx) {
          row[dx] = g[i][0] * w[dx] + g[i][1] * w[3 + dx] + g[i][2] * w[6 + dx];
        }
        for (int j = 0; j < 6; ++j) {
          const double value = row[0] * g[j][0] + row[1] * g[j][1] + row[2] * g[j][2];
          at_points[((i * 6 + j) * out + o) * in + c] = static_cast<float>(value);
        }
      }
    }
  }
  for (int64_t f = 0; f < 36; ++f) pack(at_points + f * out * in, in, 1, in, out, packed.data() + f * size);
  return packed;
}

// Where a strip's output goes, and what is added to it.
struct StripOutput {
  float* to;              // first row of the strip, [rows, columns, channels]
  const float* bias;      // [channels]
  const float* residual;  // as `to`, or null
  int64_t rows;
  int64_t columns;
};

// Scratch of a strip of `tiles` tiles.
I2F_INLINE int64_t winograd_floats(int64_t tiles, int64_t channels) { return kPatchSide * tiles * channels; }

// The value at point i of a column of six numbers that lie `line` apart.
I2F_INLINE Vec row_point(int64_t i, const float* d, int64_t line) {
  constexpr float a = kPointA;
  constexpr float b = kPointB;
  switch (i) {
    case 0:
      return fma(set(a * a * b * b), load(d), fma(set(-(a * a + b * b)), load(d + 2 * line), load(d + 4 * line)));
    case 5:
      return fma(set(a * a * b * b), load(d + line),
                 fma(set(-(a * a + b * b)), load(d + 3 * line), load(d + 5 * line)));
    default: {
      const float own = i < 3 ? a : b;
      const Vec other = set(i < 3 ? -b * b : -a * a);
      const Vec even = fma(other, load(d + 2 * line), load(d + 4 * line));
      const Vec odd = fma(other, load(d + line), load(d + 3 * line));
      return fma(set(i % 2 == 1 ? own : -own), odd, even);
    }
  }
}

// Adds what the products at row point i contribute to the output; the first point begins with bias and residual.
inline void add_row_point(int64_t i, const float* products, int64_t channels, int64_t tile_rows, int64_t tile_columns,
                          const StripOutput& output) {
  const int64_t tiles = tile_rows * tile_columns;
  for (int64_t tile = 0; tile < tiles; ++tile) {
    const int64_t top = tile / tile_columns * kTileSide;
    const int64_t left = tile % tile_columns * kTileSide;
    const int64_t rows = min_of(kTileSide, output.rows - top);
    const int64_t columns = min_of(kTileSide, output.columns - left);
    for (int64_t c = 0; c < channels; c += kLanes) {
      Vec m[6];
      I2F_UNROLL
      for (int j = 0; j < 6; ++j) m[j] = load(products + (j * tiles + tile) * channels + c);
      Vec y[4];
      from_points(m, y);
      for (int64_t p = 0; p < rows; ++p) {
        const float power = point_power(i, p);
        if (i > 0 && power == 0.0f) continue;
        for (int64_t q = 0; q < columns; ++q) {
          const int64_t at = ((top + p) * output.columns + left + q) * channels + c;
          Vec before;
          if (i > 0) {
            before = load(output.to + at);
          } else {
            before = load(output.bias + c);
            if (output.residual != nullptr) before = before + load(output.residual + at);
          }
          store(output.to + at, fma(set(power), y[q], before));
        }
      }
    }
  }
}

// Convolves a strip of `tile_rows` rows of tiles. `patch` is as for `convolve`, of 4 tile_columns + 2 pixels a row; the
// channels are a multiple of kLanes. `values` and `products` have room for winograd_floats each.
inline void convolve_winograd(const float* packed, int64_t channels, const float* patch, int64_t tile_rows,
                              int64_t tile_columns, float* values, float* products, const StripOutput& output) {
  const int64_t tiles = tile_rows * tile_columns;
  const int64_t line = (tile_columns * kTileSide + 2) * channels;
  const int64_t size = packed_floats(channels, channels);
  for (int64_t i = 0; i < 6; ++i) {
    // The values at row point i and all column points.
    for (int64_t tile = 0; tile < tiles; ++tile) {
      const float* corner = patch + tile / tile_columns * kTileSide * line + tile % tile_columns * kTileSide * channels;
      for (int64_t c = 0; c < channels; c += kLanes) {
        Vec t[6];
        I2F_UNROLL
        for (int x = 0; x < 6; ++x) t[x] = row_point(i, corner + x * channels + c, line);
        Vec v[6];
        to_points(t, v);
        I2F_UNROLL
        for (int j = 0; j < 6; ++j) store(values + (j * tiles + tile) * channels + c, v[j]);
      }
    }
    for (int64_t j = 0; j < 6; ++j) {
      float* product = products + j * tiles * channels;
      gemm(values + j * tiles * channels, channels, 1, tiles, packed + (i * 6 + j) * size, channels, channels,
           [=](int64_t row, int64_t column, Vec value) { store(product + row * channels + column, value); });
    }
    add_row_point(i, products, channels, tile_rows, tile_columns, output);
  }
}

}  // namespace I2F_ISA
}  // namespace i2f
