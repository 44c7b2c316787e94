// The 8-bit linear layer in plain double precision.
#pragma once

#include <algorithm>

#include "encoder_reference.hpp"

namespace reference {

struct QuantLayer {
  OrtValue weight, scale, bias;

  QuantLayer(harness::Random& random, int64_t p, int64_t c)
      : scale(random.tensor({p}, 0.01f)), bias(random.tensor({p})) {
    std::vector<int8_t> values(static_cast<size_t>(p * c));
    for (int8_t& value : values) value = static_cast<int8_t>(random.integer(-127, 127));
    weight = harness::signed_bytes({p, c}, values);
  }

  // x [n, c] -> [n, p], rows rounded to 256 steps over their range, zero included.
  Doubles apply(const Doubles& x) const {
    const int64_t p = weight.dims[0];
    const int64_t c = weight.dims[1];
    Doubles y;
    for (size_t first = 0; first < x.size(); first += static_cast<size_t>(c)) {
      float low = 0.0f;
      float high = 0.0f;
      for (int64_t j = 0; j < c; ++j) {
        low = std::min(low, static_cast<float>(x[first + j]));
        high = std::max(high, static_cast<float>(x[first + j]));
      }
      const float range = high - low;
      const float factor = range > 1e-30f ? 255.0f / range : 0.0f;
      const double zero = std::nearbyint(-low * factor);
      for (int64_t o = 0; o < p; ++o) {
        double sum = 0.0;
        for (int64_t j = 0; j < c; ++j) {
          const double q = std::nearbyint(static_cast<float>(x[first + j]) * factor) + zero;
          sum += (std::clamp(q, 0.0, 255.0) - zero) * static_cast<int8_t>(weight.bytes[o * c + j]);
        }
        y.push_back(sum * (range > 1e-30f ? range / 255.0f : 0.0f) * scale.floats[o] + bias.floats[o]);
      }
    }
    return y;
  }
};

}  // namespace reference
