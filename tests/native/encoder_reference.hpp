// Layers of the encoder in plain double precision: what its kernels are compared with.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "harness.hpp"

namespace reference {

using Doubles = std::vector<double>;

inline Doubles doubles(const OrtValue& x) { return {x.floats.begin(), x.floats.end()}; }

// Rows of `width` values, each normalised.
inline Doubles layer_norm(const Doubles& x, int64_t width, const OrtValue& weight, const OrtValue& bias,
                          double epsilon) {
  Doubles y(x.size());
  for (size_t first = 0; first < x.size(); first += static_cast<size_t>(width)) {
    double mean = 0.0;
    double variance = 0.0;
    for (int64_t j = 0; j < width; ++j) mean += x[first + j] / static_cast<double>(width);
    for (int64_t j = 0; j < width; ++j) variance += std::pow(x[first + j] - mean, 2) / static_cast<double>(width);
    for (int64_t j = 0; j < width; ++j) {
      y[first + j] = (x[first + j] - mean) / std::sqrt(variance + epsilon) * weight.floats[j] + bias.floats[j];
    }
  }
  return y;
}

// x [n, k] times weight [p, k] transposed, plus bias [p].
inline Doubles linear(const Doubles& x, const OrtValue& weight, const OrtValue& bias) {
  const int64_t p = weight.dims[0];
  const int64_t k = weight.dims[1];
  const int64_t n = k == 0 ? 0 : static_cast<int64_t>(x.size()) / k;
  Doubles y(static_cast<size_t>(n * p));
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t o = 0; o < p; ++o) {
      double sum = bias.floats[o];
      for (int64_t j = 0; j < k; ++j) sum += x[i * k + j] * weight.floats[o * k + j];
      y[i * p + o] = sum;
    }
  }
  return y;
}

inline double gelu(double x) { return 0.5 * x * (1.0 + std::erf(x / std::sqrt(2.0))); }

// [h, w, ci] -> [ceil(h / stride), ceil(w / stride), co]; weight [co, ci, 3, 3], zero padding.
inline Doubles conv3x3(const Doubles& x, int64_t h, int64_t w, const OrtValue& weight, const OrtValue& bias,
                       int64_t stride) {
  const int64_t co = weight.dims[0];
  const int64_t ci = weight.dims[1];
  Doubles y;
  for (int64_t row = 0; row < h; row += stride) {
    for (int64_t column = 0; column < w; column += stride) {
      for (int64_t o = 0; o < co; ++o) {
        double sum = bias.floats[o];
        for (int64_t dy = -1; dy <= 1; ++dy) {
          for (int64_t dx = -1; dx <= 1; ++dx) {
            if (row + dy < 0 || row + dy >= h || column + dx < 0 || column + dx >= w) continue;
            for (int64_t i = 0; i < ci; ++i) {
              sum +=
                  x[((row + dy) * w + column + dx) * ci + i] * weight.floats[((o * ci + i) * 3 + dy + 1) * 3 + dx + 1];
            }
          }
        }
        y.push_back(sum);
      }
    }
  }
  return y;
}

}  // namespace reference
