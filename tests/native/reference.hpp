// The attention ops in plain double precision, as their definition reads: what the kernels are compared with.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "harness.hpp"

namespace reference {

using harness::Shape;
using Doubles = std::vector<double>;

// The columns first .. first + width - 1 of a float [n, total] tensor, of the given rows (null: all).
inline OrtValue columns(const OrtValue& x, int64_t first, int64_t width, const std::vector<int64_t>* rows = nullptr) {
  const int64_t total = x.dims[1];
  const int64_t count = rows != nullptr ? static_cast<int64_t>(rows->size()) : x.dims[0];
  std::vector<float> values;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t row = rows != nullptr ? (*rows)[i] : i;
    for (int64_t j = 0; j < width; ++j) values.push_back(x.floats[row * total + first + j]);
  }
  return harness::floats({count, width}, std::move(values));
}

// One head of a row, rotated for the token.
inline Doubles rotated(const float* x, int64_t head_dim, int64_t token, int64_t grid_columns, const OrtValue& freqs) {
  Doubles out(static_cast<size_t>(head_dim));
  for (int64_t j = 0; j < head_dim; j += 2) {
    const int64_t half = head_dim / 2;
    const int64_t position = j < half ? token / grid_columns : token % grid_columns;
    // A float product, as the op is defined: its rounding matters where positions are large.
    const double angle = static_cast<float>(position) * freqs.floats[(j % half) / 2];
    out[j] = x[j] * std::cos(angle) + x[j + 1] * std::sin(angle);
    out[j + 1] = x[j + 1] * std::cos(angle) - x[j] * std::sin(angle);
  }
  return out;
}

// softmax(scores) times rows of v, into out [head_dim].
inline void weighted_mean(const Doubles& scores, const OrtValue& v, int64_t first, int64_t head_dim, double* out) {
  double largest = -INFINITY;
  for (const double score : scores) largest = std::fmax(largest, score);
  double total = 0.0;
  for (int64_t j = 0; j < head_dim; ++j) out[j] = 0.0;
  for (size_t i = 0; i < scores.size(); ++i) {
    const double weight = std::exp(scores[i] - largest);
    total += weight;
    for (int64_t j = 0; j < head_dim; ++j) out[j] += weight * v.floats[i * v.dims[1] + first + j];
  }
  for (int64_t j = 0; j < head_dim; ++j) out[j] /= total;
}

inline Doubles boundary_attention(const OrtValue& q, const OrtValue& k, const OrtValue& v, const OrtValue& boundary,
                                  int64_t grid_columns, const OrtValue& freqs, int64_t heads) {
  const int64_t d = q.dims[1];
  const int64_t head_dim = d / heads;
  Doubles out(static_cast<size_t>(q.dims[0] * d));
  for (int64_t i = 0; i < q.dims[0]; ++i) {
    for (int64_t head = 0; head < heads; ++head) {
      const int64_t first = head * head_dim;
      const Doubles query = rotated(q.floats.data() + i * d + first, head_dim, boundary.ints[i], grid_columns, freqs);
      Doubles scores;
      for (int64_t t = 0; t < k.dims[0]; ++t) {
        const Doubles key = rotated(k.floats.data() + t * d + first, head_dim, t, grid_columns, freqs);
        double dot = 0.0;
        for (int64_t j = 0; j < head_dim; ++j) dot += query[j] * key[j];
        scores.push_back(dot / std::sqrt(static_cast<double>(head_dim)));
      }
      weighted_mean(scores, v, first, head_dim, out.data() + i * d + first);
    }
  }
  return out;
}

inline Doubles bsq_attention(const OrtValue& q, const OrtValue& k, const OrtValue& v, const OrtValue& code_weight,
                             const OrtValue& code_bias, const OrtValue& codebook, int64_t heads) {
  const int64_t d = q.dims[1];
  const int64_t head_dim = d / heads;
  const int64_t bits = code_bias.dims[0];
  Doubles keys(static_cast<size_t>(k.dims[0] * d), 0.0);
  for (int64_t t = 0; t < k.dims[0]; ++t) {
    for (int64_t b = 0; b < bits; ++b) {
      double projected = code_bias.floats[b];
      for (int64_t j = 0; j < d; ++j)
        projected += static_cast<double>(k.floats[t * d + j]) * code_weight.floats[b * d + j];
      const int64_t row = projected >= 0.0 ? b : bits + b;
      for (int64_t j = 0; j < d; ++j) keys[t * d + j] += codebook.floats[row * d + j];
    }
  }
  Doubles out(static_cast<size_t>(q.dims[0] * d));
  for (int64_t i = 0; i < q.dims[0]; ++i) {
    for (int64_t head = 0; head < heads; ++head) {
      const int64_t first = head * head_dim;
      Doubles scores;
      for (int64_t t = 0; t < k.dims[0]; ++t) {
        double dot = 0.0;
        for (int64_t j = 0; j < head_dim; ++j) dot += q.floats[i * d + first + j] * keys[t * d + first + j];
        scores.push_back(dot / std::sqrt(static_cast<double>(head_dim)));
      }
      weighted_mean(scores, v, first, head_dim, out.data() + i * d + first);
    }
  }
  return out;
}

inline Doubles layer_norm(const Doubles& x, const OrtValue& weight, const OrtValue& bias, double epsilon) {
  const double n = static_cast<double>(x.size());
  double mean = 0.0;
  double variance = 0.0;
  for (const double value : x) mean += value / n;
  for (const double value : x) variance += (value - mean) * (value - mean) / n;
  Doubles out;
  for (size_t i = 0; i < x.size(); ++i) {
    out.push_back((x[i] - mean) / std::sqrt(variance + epsilon) * weight.floats[i] + bias.floats[i]);
  }
  return out;
}

// weight [.., n, k] at matrix `index`, bias [.., n]: weight x + bias.
inline Doubles linear(const Doubles& x, const OrtValue& weight, const OrtValue& bias, int64_t index = 0) {
  const int64_t n = weight.dims[weight.dims.size() - 2];
  const int64_t k = weight.dims.back();
  Doubles out;
  for (int64_t i = 0; i < n; ++i) {
    double sum = bias.floats[index * n + i];
    for (int64_t j = 0; j < k; ++j) sum += x[j] * weight.floats[(index * n + i) * k + j];
    out.push_back(sum);
  }
  return out;
}

inline double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

}  // namespace reference
