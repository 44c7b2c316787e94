// CannyEdges: all filters strip by strip in the cache. Orientation and thinning are discontinuous: they are decided on
// sums that are rounded as PyTorch's and onnxruntime's convolutions round them.
#include "native/memory.hpp"
#include "native/ort/kernel.hpp"
#include "native/simd/simd.hpp"

namespace i2f {
namespace I2F_ISA {
namespace {

#define I2F_PORTS "edges/canny_edges/ports.def"
#include "native/ort/op_ports.hpp"

constexpr int64_t kColours = 3;
constexpr int64_t kEdges = 5;
constexpr int64_t kDirectionCount = 8;
constexpr int64_t kRowsOfTask = 32;
constexpr float kThreshold = 2.0f;
constexpr float kTangent = 0.414213562f;  // of half a sector, 22.5 degrees

// Rows of a map with room for zeros left and right: filters reach two pixels.
struct Lines {
  float* data;
  int64_t width;
  int64_t first;  // the map's row that comes first

  static constexpr int64_t kMargin = 16;
  static I2F_INLINE int64_t stride(int64_t width) { return round_up(width, 16) + 2 * kMargin; }
  I2F_INLINE float* row(int64_t y) const { return data + (y - first) * stride(width) + kMargin; }
  I2F_INLINE void clear(int64_t y) const {
    memset(row(y) - kMargin, 0, static_cast<size_t>(bytes_of<float>(stride(width))));
  }
  // Zeros beyond the right end, which whole vectors have written over.
  I2F_INLINE void cut(int64_t y) const {
    const int64_t rest = stride(width) - kMargin - width;
    memset(row(y) + width, 0, static_cast<size_t>(bytes_of<float>(rest)));
  }
};

// Sum of a 3 x 3 filter around x + i, tap after tap, row after row: where a map is all but flat, rounding errors decide
// on its orientation, and this is the order in which PyTorch and onnxruntime take them.
I2F_INLINE Vec filter3x3(const float* above, const float* here, const float* below, int64_t i, const float* w) {
  const float* const rows[3] = {above, here, below};
  Vec total = zero();
  for (int dy = 0; dy < 3; ++dy) {
    for (int dx = 0; dx < 3; ++dx) total = fma(load(rows[dy] + i + dx - 1), set(w[3 * dy + dx]), total);
  }
  return total;
}

// Orientation in sectors of 45 degrees, 0 .. 8: round((atan2(y, x) in degrees + 180) / 45).
I2F_INLINE Vec sector_of(Vec x, Vec y) {
  const Vec none = zero();
  const Vec x_size = max(x, none - x);
  const Vec y_size = max(y, none - y);
  const Mask left = less(x, none);
  const Mask up = less(y, none);
  const Vec flat = select(left, select(up, none, set(8.0f)), set(4.0f));
  const Vec upright = select(up, set(2.0f), set(6.0f));
  const Vec slanted = select(left, select(up, set(1.0f), set(7.0f)), select(up, set(3.0f), set(5.0f)));
  const Vec steep = select(less(x_size, y_size * set(kTangent)), upright, slanted);
  return select(greater_equal(x_size * set(kTangent), y_size), flat, steep);
}

class CannyEdges final : public Kernel {
 public:
  explicit CannyEdges(const KernelInfo& info) : attributes_(info) {}
  static Kernel* create(const KernelInfo& info) { return new CannyEdges(info); }

  void compute(const Context& context) const override {
    const Inputs in(context, attributes_);
    const Filters filters = {in.image,   in.mean,    in.std,        in.gaussian_h, in.gaussian_v,
                             in.sobel_h, in.sobel_v, in.directions, in.H,          in.W};
    float* edges = Outputs(context, in).edges;
    const int64_t pixels = in.H * in.W;
    if (pixels == 0) return;
    const int64_t tasks = ceil_div(in.H, kRowsOfTask);
    const Scratch scratch({bytes_of<float>(kEdges * pixels), bytes_of<double>(tasks * kEdges)});
    float* planes = scratch.part<float>(0);
    double* squares = scratch.part<double>(1);
    context.parallel_for(tasks, [&](int64_t task) {
      const int64_t first = task * kRowsOfTask;
      filters.strip(first, min_of(first + kRowsOfTask, in.H), planes, squares + task * kEdges);
    });
    float norms[kEdges];
    for (int64_t e = 0; e < kEdges; ++e) {
      double total = 0.0;
      for (int64_t task = 0; task < tasks; ++task) total += squares[task * kEdges + e];
      const float norm = static_cast<float>(::sqrt(total));
      norms[e] = norm > 1e-12f ? norm : 1e-12f;
    }
    const float* divisors = norms;
    const int64_t height = in.H;
    const int64_t width = in.W;
    context.parallel_for(tasks, [=](int64_t task) {
      const int64_t end = min_of((task + 1) * kRowsOfTask, height) * width;
      for (int64_t e = 0; e < kEdges; ++e) {
        for (int64_t i = task * kRowsOfTask * width; i < end; ++i) {
          edges[i * kEdges + e] = planes[e * pixels + i] / divisors[e];
        }
      }
    });
  }

 private:
  struct Filters {
    const float* image;
    const float* mean;
    const float* std;
    const float* gaussian_h;
    const float* gaussian_v;
    const float* sobel_h;
    const float* sobel_v;
    const float* directions;
    int64_t height;
    int64_t width;

    // The five planes' rows begin .. end - 1, not yet of unit norm, and the sums of their squares.
    void strip(int64_t begin, int64_t end, float* planes, double* squares) const {
      const int64_t line = Lines::stride(width);
      const int64_t rows = end - begin;
      const Scratch scratch({bytes_of<float>((rows + 8) * line), bytes_of<float>((rows + 4) * line),
                             bytes_of<float>((rows + 2) * line), bytes_of<float>((rows + 2) * line),
                             bytes_of<float>((rows + 2) * line), bytes_of<float>(line)});
      const Lines wide = {scratch.part<float>(0), width, begin - 4};  // smoothed along the rows
      const Lines smooth = {scratch.part<float>(1), width, begin - 2};
      const Lines magnitude = {scratch.part<float>(2), width, begin - 1};
      const Lines along = {scratch.part<float>(3), width, begin - 1};  // sums of the gradients
      const Lines down = {scratch.part<float>(4), width, begin - 1};
      const Lines pixels = {scratch.part<float>(5), width, 0};
      for (int64_t y = begin - 1; y < end + 1; ++y) {
        magnitude.clear(y);
        along.clear(y);
        down.clear(y);
      }
      for (int64_t colour = 0; colour < kColours; ++colour) {
        for (int64_t y = begin - 4; y < end + 4; ++y) {
          wide.clear(y);
          if (y >= 0 && y < height) smooth_row(colour, y, pixels, wide);
        }
        for (int64_t y = begin - 2; y < end + 2; ++y) {
          smooth.clear(y);
          if (y >= 0 && y < height) smooth_column(y, wide, smooth);
        }
        for (int64_t y = max_of(begin - 1, 0); y < min_of(end + 1, height); ++y) {
          add_gradient(y, smooth, magnitude, along, down);
        }
      }
      for (int64_t y = max_of(begin - 1, 0); y < min_of(end + 1, height); ++y) magnitude.cut(y);
      double sums[kEdges] = {};
      for (int64_t y = begin; y < end; ++y) thin_row(y, magnitude, along.row(y), down.row(y), planes, sums);
      for (int64_t e = 0; e < kEdges; ++e) squares[e] = sums[e];
    }

    void smooth_row(int64_t colour, int64_t y, const Lines& pixels, const Lines& wide) const {
      pixels.clear(0);
      const float* from = image + (colour * height + y) * width;
      float* values = pixels.row(0);
      // Each operation rounded, as in the definition: what is left of black decides on orientations at the border.
      for (int64_t i = 0; i < width; i += kLanes) {
        const Vec product = load_n(from + i, min_of(kLanes, width - i)) * set(std[colour]);
        const Vec value = (product + set(mean[colour])) / set(255.0f);
        store(values + i, min(set(1.0f), max(zero(), value)));
      }
      pixels.cut(0);
      float* to = wide.row(y);
      for (int64_t i = 0; i < width; i += kLanes) {
        Vec sum = load(values + i - 2) * set(gaussian_h[0]);
        for (int64_t t = 1; t < 5; ++t) sum = fma(load(values + i - 2 + t), set(gaussian_h[t]), sum);
        store(to + i, sum);
      }
      wide.cut(y);
    }

    void smooth_column(int64_t y, const Lines& wide, const Lines& smooth) const {
      float* to = smooth.row(y);
      for (int64_t i = 0; i < width; i += kLanes) {
        Vec sum = load(wide.row(y - 2) + i) * set(gaussian_v[0]);
        for (int64_t t = 1; t < 5; ++t) sum = fma(load(wide.row(y - 2 + t) + i), set(gaussian_v[t]), sum);
        store(to + i, sum);
      }
      smooth.cut(y);
    }

    void add_gradient(int64_t y, const Lines& smooth, const Lines& magnitude, const Lines& along,
                      const Lines& down) const {
      const float* above = smooth.row(y - 1);
      const float* here = smooth.row(y);
      const float* below = smooth.row(y + 1);
      for (int64_t i = 0; i < width; i += kLanes) {
        const Vec gx = filter3x3(above, here, below, i, sobel_h);
        const Vec gy = filter3x3(above, here, below, i, sobel_v);
        store(magnitude.row(y) + i, load(magnitude.row(y) + i) + sqrt(gx * gx + gy * gy));
        store(along.row(y) + i, load(along.row(y) + i) + gx);
        store(down.row(y) + i, load(down.row(y) + i) + gy);
      }
    }

    void thin_row(int64_t y, const Lines& magnitude, const float* along, const float* down, float* planes,
                  double* sums) const {
      const float* above = magnitude.row(y - 1);
      const float* here = magnitude.row(y);
      const float* below = magnitude.row(y + 1);
      Vec totals[kEdges] = {zero(), zero(), zero(), zero(), zero()};
      for (int64_t i = 0; i < width; i += kLanes) {
        const int64_t lanes = min_of(kLanes, width - i);
        const Vec strength = load_n(here + i, lanes);
        const Vec sector = sector_of(load(along + i), load(down + i));
        Vec ahead = zero();
        Vec behind = zero();
        for (int64_t d = 0; d < kDirectionCount; ++d) {
          const Vec difference = filter3x3(above, here, below, i, directions + d * 9);
          const Vec number = set(static_cast<float>(d));
          ahead = select(equal(sector, number), difference, ahead);
          behind = select(equal(sector, set(static_cast<float>((d + 4) % 8))), difference, behind);
          if (d == 0) ahead = select(equal(sector, set(8.0f)), difference, ahead);  // all the way round
          if (d == 4) behind = select(equal(sector, set(8.0f)), difference, behind);
        }
        const Vec thin = select(less(zero(), min(ahead, behind)), strength, zero());
        const Vec limit = set(kThreshold);
        const Vec values[kEdges] = {strength, sector * set(45.0f), thin, select(less(thin, limit), zero(), thin),
                                    select(less(strength, limit), zero(), strength)};
        for (int64_t e = 0; e < kEdges; ++e) {
          float* to = planes + (e * height + y) * width + i;
          if (lanes == kLanes) {
            store(to, values[e]);
            totals[e] = fma(values[e], values[e], totals[e]);
          } else {
            store_n(to, values[e], lanes);
            const Vec inside = load_n(to, lanes);
            totals[e] = fma(inside, inside, totals[e]);
          }
        }
      }
      for (int64_t e = 0; e < kEdges; ++e) sums[e] += static_cast<double>(sum(totals[e]));
    }

    static I2F_INLINE Mask equal(Vec a, Vec b) { return less(max(a - b, b - a), set(0.5f)); }
  };

  Attributes attributes_;
};

}  // namespace

extern const OpDefinition canny_edges_op;
const OpDefinition canny_edges_op = {"CannyEdges", ports::kPorts, CannyEdges::create};

}  // namespace I2F_ISA
}  // namespace i2f
