// EdgeTaps: one product of the map with all nine taps, row by row; every output is a sum of shifted taps.
#include "native/ort/kernel.hpp"
#include "native/maths/gemm.hpp"
#include "native/memory.hpp"

namespace i2f {
namespace I2F_ISA {
namespace {

#define I2F_PORTS "edges/edge_taps/ports.def"
#include "native/ort/op_ports.hpp"

constexpr int64_t kTaps = 9;
// Rows of one task: the products of one more above and below are made for it.
constexpr int64_t kRowsOfTask = 16;

// The products of one row of the map: for each tap the values of all pixels, between two pixels of zeros.
struct TapRow {
  float* data;
  int64_t columns;
  int64_t out;

  I2F_INLINE int64_t tap_floats() const { return (columns + 2) * out; }
  // Tap 3 dy + dx as pixel 0 of the output sees it.
  I2F_INLINE const float* seen(int64_t dy, int64_t dx) const { return data + (3 * dy + dx) * tap_floats() + dx * out; }
};

// to[i] = the sum over `count` sources, i < n.
I2F_INLINE void add_up(const float* const* from, int count, int64_t n, float* to) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    Vec sum = load(from[0] + i);
    for (int j = 1; j < count; ++j) sum = sum + load(from[j] + i);
    store(to + i, sum);
  }
  for (; i < n; ++i) {
    float sum = from[0][i];
    for (int j = 1; j < count; ++j) sum += from[j][i];
    to[i] = sum;
  }
}

class EdgeTaps final : public Kernel {
 public:
  explicit EdgeTaps(const KernelInfo& info) : attributes_(info) {
    Inputs weights(attributes_);
    constant_ = weights.take_constants(info, input::weight, input::tap_bias);
    if (constant_) packed_ = pack_linear(weights.weight, weights.tap_bias, 1, kTaps * weights.O, weights.C);
  }
  static Kernel* create(const KernelInfo& info) { return new EdgeTaps(info); }

  void compute(const Context& context) const override {
    const Inputs in(context, attributes_);
    const int64_t stride = in.stride;
    if (stride < 1 || in.H % stride != 0 || in.W % stride != 0) {
      context.fail("input 'x' is a map of %lld x %lld pixels, expected whole tokens of stride=%lld",
                   static_cast<long long>(in.H), static_cast<long long>(in.W), static_cast<long long>(stride));
    }
    const int64_t h = in.H / stride;
    const int64_t w = in.W / stride;
    const int64_t out = in.O;
    const Outputs to(context, in);
    if (in.H * in.W * out == 0) return;
    PackedLinear local;
    if (!constant_) local = pack_linear(in.weight, in.tap_bias, 1, kTaps * out, in.C);
    const PackedLinear& linear = constant_ ? packed_ : local;

    const int64_t row_floats = in.W * out;
    const Scratch shared({bytes_of<float>(row_floats)});
    float* biases = shared.part<float>(0);  // of a whole row
    for (int64_t i = 0; i < row_floats; ++i) biases[i] = in.bias[i % out];
    context.parallel_for(ceil_div(in.H, kRowsOfTask), [&](int64_t task) {
      const int64_t first = task * kRowsOfTask;
      const int64_t end = min_of(first + kRowsOfTask, in.H);
      const int64_t products = kTaps * (in.W + 2) * out;
      const Scratch scratch({bytes_of<float>(products), bytes_of<float>(products), bytes_of<float>(products),
                             bytes_of<float>(row_floats), bytes_of<float>(row_floats)});
      TapRow above = {scratch.part<float>(0), in.W, out};
      TapRow here = {scratch.part<float>(1), in.W, out};
      TapRow below = {scratch.part<float>(2), in.W, out};
      float* left = scratch.part<float>(3);
      float* right = scratch.part<float>(4);
      multiply(in.x, first - 1, in.H, in.C, linear, above);
      multiply(in.x, first, in.H, in.C, linear, here);
      for (int64_t y = first; y < end; ++y) {
        multiply(in.x, y + 1, in.H, in.C, linear, below);
        const float* all[10] = {above.seen(0, 0), above.seen(0, 1), above.seen(0, 2), here.seen(1, 0),  here.seen(1, 1),
                                here.seen(1, 2),  below.seen(2, 0), below.seen(2, 1), below.seen(2, 2), biases};
        add_up(all, 10, row_floats, to.terms + y * row_floats);
        const int64_t r = y / stride;
        const bool at_top = y % stride == 0;
        const bool at_bottom = y % stride == stride - 1;
        if (at_top) add_up(all, 3, row_floats, to.rows + r * row_floats);
        if (at_bottom) add_up(all + 6, 3, row_floats, to.rows + (h + r) * row_floats);
        const float* from_left[3] = {all[0], all[3], all[6]};
        const float* from_right[3] = {all[2], all[5], all[8]};
        add_up(from_left, 3, row_floats, left);
        add_up(from_right, 3, row_floats, right);
        const int64_t last = stride - 1;
        take(stride, left, 0, w, out, to.columns + y * w * out);
        take(stride, right, last, w, out, to.columns + (in.H + y) * w * out);
        if (at_top) {
          take(stride, all[0], 0, w, out, to.corners + r * w * out);
          take(stride, all[2], last, w, out, to.corners + (h + r) * w * out);
        }
        if (at_bottom) {
          take(stride, all[6], 0, w, out, to.corners + (2 * h + r) * w * out);
          take(stride, all[8], last, w, out, to.corners + (3 * h + r) * w * out);
        }
        const TapRow free = above;
        above = here;
        here = below;
        below = free;
      }
    });
  }

 private:
  // The products of row y of the map; zeros for a row outside it.
  static void multiply(const float* x, int64_t y, int64_t height, int64_t channels, const PackedLinear& linear,
                       const TapRow& row) {
    const int64_t out = row.out;
    const int64_t tap_floats = row.tap_floats();
    if (y < 0 || y >= height) {
      memset(row.data, 0, static_cast<size_t>(bytes_of<float>(kTaps * tap_floats)));
      return;
    }
    for (int64_t tap = 0; tap < kTaps; ++tap) {
      for (int64_t i = 0; i < out; ++i) {
        row.data[tap * tap_floats + i] = row.data[(tap + 1) * tap_floats - 1 - i] = 0.0f;
      }
    }
    const float* bias = linear.bias(0);
    float* data = row.data;
    const int64_t n = kTaps * out;
    const bool whole = out % kLanes == 0;
    gemm(x + y * row.columns * channels, channels, 1, row.columns, linear.panels(0), channels, n,
         [=](int64_t pixel, int64_t column, Vec value) {
           const Vec sum = value + load(bias + column);
           float* to = data + (pixel + 1) * out;
           if (whole) {
             store(to + column / out * tap_floats + column % out, sum);
             return;
           }
           float lanes[kLanes];
           store(lanes, sum);
           for (int64_t i = 0, tap = column / out, at = column % out; i < kLanes && column + i < n; ++i) {
             to[tap * tap_floats + at] = lanes[i];
             if (++at == out) {
               at = 0;
               ++tap;
             }
           }
         });
  }

  // Every stride-th pixel of a row, from pixel `first` on.
  static I2F_INLINE void take(int64_t stride, const float* row, int64_t first, int64_t w, int64_t out, float* to) {
    for (int64_t i = 0; i < w; ++i) {
      const float* pixel = row + (i * stride + first) * out;
      for (int64_t j = 0; j < out; ++j) to[i * out + j] = pixel[j];
    }
  }

  Attributes attributes_;
  PackedLinear packed_;
  bool constant_ = false;
};

}  // namespace

extern const OpDefinition edge_taps_op;
const OpDefinition edge_taps_op = {"EdgeTaps", ports::kPorts, EdgeTaps::create};

}  // namespace I2F_ISA
}  // namespace i2f
