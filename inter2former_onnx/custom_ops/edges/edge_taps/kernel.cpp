// EdgeTaps: one product of the map with all nine taps, row by row; every output is a sum of shifted taps.
#include "native/maths/gemm.hpp"
#include "native/maths/linear_weights.hpp"
#include "native/maths/rows.hpp"
#include "native/memory.hpp"
#include "native/ort/kernel.hpp"

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
    const Outputs out(context, in);
    if (in.H * in.W * in.O == 0) return;
    PackedLinear local;
    if (!constant_) local = pack_linear(in.weight, in.tap_bias, 1, kTaps * in.O, in.C);
    const PackedLinear& linear = constant_ ? packed_ : local;

    const int64_t row_floats = in.W * in.O;
    const Scratch shared({bytes_of<float>(row_floats)});
    float* biases = shared.part<float>(0);  // of a whole row
    repeat(in.bias, in.O, row_floats, biases);
    const Run run = {in.x,   in.H,   in.W,      in.C,     in.O,        stride,
                     linear, biases, out.terms, out.rows, out.columns, out.corners};
    context.parallel_for(ceil_div(in.H, kRowsOfTask), [&](int64_t task) {
      const int64_t first = task * kRowsOfTask;
      run.strip(first, min_of(first + kRowsOfTask, in.H));
    });
  }

 private:
  struct Run {
    const float* x;  // [height, width, channels]
    int64_t height;
    int64_t width;
    int64_t channels;
    int64_t out;  // channels of the outputs
    int64_t stride;
    const PackedLinear& linear;
    const float* biases;  // of a whole row
    float* terms;
    float* rows;
    float* columns;
    float* corners;

    // The outputs of rows first .. end - 1 of the map.
    void strip(int64_t first, int64_t end) const {
      const int64_t products = kTaps * (width + 2) * out;
      const Scratch scratch({bytes_of<float>(products), bytes_of<float>(products), bytes_of<float>(products),
                             bytes_of<float>(width * out)});
      TapRow above = {scratch.part<float>(0), width, out};
      TapRow here = {scratch.part<float>(1), width, out};
      TapRow below = {scratch.part<float>(2), width, out};
      multiply(first - 1, above);
      multiply(first, here);
      for (int64_t y = first; y < end; ++y) {
        multiply(y + 1, below);
        const float* taps[kTaps] = {above.seen(0, 0), above.seen(0, 1), above.seen(0, 2),
                                    here.seen(1, 0),  here.seen(1, 1),  here.seen(1, 2),
                                    below.seen(2, 0), below.seen(2, 1), below.seen(2, 2)};
        add_taps(y, taps, scratch.part<float>(3));
        const TapRow free = above;
        above = here;
        here = below;
        below = free;
      }
    }

    // The outputs of row y from its taps, each as pixel 0 sees it. `side` has room for a row.
    void add_taps(int64_t y, const float* const (&taps)[kTaps], float* side) const {
      const int64_t row_floats = width * out;
      const float* all[kTaps + 1];
      for (int64_t tap = 0; tap < kTaps; ++tap) all[tap] = taps[tap];
      all[kTaps] = biases;
      add_up(all, kTaps + 1, row_floats, terms + y * row_floats);

      const int64_t h = height / stride;
      const int64_t w = width / stride;
      const int64_t last = stride - 1;
      const int64_t r = y / stride;
      const float* from_left[3] = {taps[0], taps[3], taps[6]};
      const float* from_right[3] = {taps[2], taps[5], taps[8]};
      add_up(from_left, 3, row_floats, side);
      take(side, 0, columns + y * w * out);
      add_up(from_right, 3, row_floats, side);
      take(side, last, columns + (height + y) * w * out);
      if (y % stride == 0) {
        add_up(taps, 3, row_floats, rows + r * row_floats);
        take(taps[0], 0, corners + r * w * out);
        take(taps[2], last, corners + (h + r) * w * out);
      }
      if (y % stride == last) {
        add_up(taps + 6, 3, row_floats, rows + (h + r) * row_floats);
        take(taps[6], 0, corners + (2 * h + r) * w * out);
        take(taps[8], last, corners + (3 * h + r) * w * out);
      }
    }

    // The products of row y of the map; zeros for a row outside it.
    void multiply(int64_t y, const TapRow& row) const {
      const int64_t o = out;
      const int64_t tap_floats = row.tap_floats();
      if (y < 0 || y >= height) {
        memset(row.data, 0, static_cast<size_t>(bytes_of<float>(kTaps * tap_floats)));
        return;
      }
      for (int64_t tap = 0; tap < kTaps; ++tap) {
        for (int64_t i = 0; i < o; ++i) {
          row.data[tap * tap_floats + i] = row.data[(tap + 1) * tap_floats - 1 - i] = 0.0f;
        }
      }
      const float* bias = linear.bias(0);
      float* data = row.data;
      const int64_t n = kTaps * o;
      const bool whole = o % kLanes == 0;
      gemm(x + y * width * channels, channels, 1, width, linear.panels(0), channels, n,
           [=](int64_t pixel, int64_t column, Vec value) {
             const Vec sum = value + load(bias + column);
             float* to = data + (pixel + 1) * o;
             if (whole) {
               store(to + column / o * tap_floats + column % o, sum);
               return;
             }
             float lanes[kLanes];
             store(lanes, sum);
             for (int64_t i = 0, tap = column / o, at = column % o; i < kLanes && column + i < n; ++i) {
               to[tap * tap_floats + at] = lanes[i];
               if (++at == o) {
                 at = 0;
                 ++tap;
               }
             }
           });
    }

    // Every stride-th pixel of a row, from pixel `first` on.
    I2F_INLINE void take(const float* row, int64_t first, float* to) const {
      for (int64_t i = 0; i < width / stride; ++i) {
        const float* pixel = row + (i * stride + first) * out;
        for (int64_t j = 0; j < out; ++j) to[i * out + j] = pixel[j];
      }
    }
  };

  Attributes attributes_;
  PackedLinear packed_;
  bool constant_ = false;
};

}  // namespace

extern const OpDefinition edge_taps_op;
const OpDefinition edge_taps_op = {"EdgeTaps", ports::kPorts, EdgeTaps::create};

}  // namespace I2F_ISA
}  // namespace i2f
