// PromptEmbed: the label map through four stride-2 convolutions. Labels are constant almost everywhere: feature pixels
// that see one label are looked up, only the others are computed, as products of gathered rows with the weights.
#include "native/ort/kernel.hpp"

#include "prompt/prompt_embed/convolutions.hpp"
#include "prompt/prompt_embed/label_map.hpp"

namespace i2f {
namespace I2F_ISA {
namespace {

#define I2F_PORTS "prompt/prompt_embed/ports.def"
#include "native/ort/op_ports.hpp"

// Pixels of one task, by level: some tens of microseconds of work.
constexpr int64_t kTile[kLevels] = {512, 96, 48, 24};
// With fewer tiles than this a level's channels are shared out among tasks as well.
constexpr int64_t kFewTiles = 4;
// Tokens of one task that copies rows of the table.
constexpr int64_t kCopyTile = 256;

class PromptEmbed final : public Kernel {
 public:
  explicit PromptEmbed(const KernelInfo& info) : attributes_(info) {
    Inputs weights(attributes_);
    constant_ = weights.take_constants(info, input::ref_embeds, input::b3);
    if (constant_) convolutions_ = convolutions(weights);
  }
  static Kernel* create(const KernelInfo& info) { return new PromptEmbed(info); }

  void compute(const Context& context) const override {
    const Inputs in(context, attributes_);
    // Positions of feature pixels are kept in 32 bits.
    const int64_t limit = int64_t{1} << 32;
    const bool fits = in.H % kPatch == 0 && in.W % kPatch == 0 && in.H < limit && in.W < limit &&
                      in.H * (in.W / kPatch) < limit / 8;
    if (!fits) {
      context.fail(
          "input 'labels' has %lld rows and %lld columns, expected multiples of %d (and fewer than 2^33 labels)",
          static_cast<long long>(in.H), static_cast<long long>(in.W), static_cast<int>(kPatch));
    }
    float* prompt = Outputs(context, in).prompt;
    Convolutions local;
    if (!constant_) local = convolutions(in);
    run(context, constant_ ? convolutions_ : local, in.labels, in.H / kPatch, in.W / kPatch, prompt);
  }

 private:
  static Convolutions convolutions(const Inputs& in) {
    return Convolutions({{5, in.C0, in.C1, in.C2, in.C}},
                        {in.ref_embeds, {in.w0, in.w1, in.w2, in.w3}, {in.b0, in.b1, in.b2, in.b3}});
  }

  static void run(const Context& context, const Convolutions& convolutions, const uint8_t* labels, int64_t rows,
                  int64_t columns, float* y) {
    const LabelMap map(context, labels, rows, columns);
    // Features of the levels between: the table of uniform pixels and behind it the mixed ones, so that both are rows.
    const auto room = [&](int k) {
      return bytes_of<float>((kTableRows + map.level(k).mixed_count) * convolutions.channels(k));
    };
    const Scratch scratch({room(1), room(2), room(3)});
    float* features[kLevels] = {scratch.part<float>(0), scratch.part<float>(1), scratch.part<float>(2), y};
    for (int k = 1; k < kLevels; ++k) {
      copy_row(convolutions.table(k), kTableRows * convolutions.channels(k), features[k - 1]);
    }
    first_level(context, convolutions, labels, map.level(1), features[0]);
    for (int k = 2; k < kLevels; ++k) {
      const int64_t channels = convolutions.channels(k);
      float* out = features[k - 1] + kTableRows * channels;
      next_level(context, convolutions, k, map, features[k - 2], 0, [](int64_t) {},
                 [=](int64_t pixel, int64_t, int64_t column, Vec value) {
                   store_columns(out + pixel * channels, column, channels, value);
                 });
    }
    const int64_t tokens = rows * columns;
    const int64_t channels = convolutions.channels(kLevels);
    const uint8_t* states = map.level(kLevels).states;
    const float* table = convolutions.table(kLevels);
    next_level(context, convolutions, kLevels, map, features[kLevels - 2], ceil_div(tokens, kCopyTile),
               [=](int64_t task) {
                 for (int64_t i = task * kCopyTile; i < min_of((task + 1) * kCopyTile, tokens); ++i) {
                   if (states[i] == kMixed) continue;
                   const int64_t row = states[i] * kPlaces + place_of(i / columns, i % columns);
                   copy_row(table + row * channels, channels, y + i * channels);
                 }
               },
               [=](int64_t, int64_t position, int64_t column, Vec value) {
                 store_columns(y + position * channels, column, channels, value);
               });
  }

  static void first_level(const Context& context, const Convolutions& convolutions, const uint8_t* labels,
                          const Level& level, float* features) {
    const int64_t channels = convolutions.channels(1);
    const int64_t width = 2 * level.columns;
    context.parallel_for(ceil_div(level.mixed_count, kTile[0]), [&](int64_t task) {
      for (int64_t i = task * kTile[0]; i < min_of((task + 1) * kTile[0], level.mixed_count); ++i) {
        const int64_t row = 2 * (level.mixed[i] / level.columns) - 1;
        const int64_t column = 2 * (level.mixed[i] % level.columns) - 1;
        const auto label_at = [&](int dy, int dx) {
          return row + dy < 0 || column + dx < 0 ? -1 : static_cast<int>(labels[(row + dy) * width + column + dx]);
        };
        convolutions.first_level(label_at, features + (kTableRows + i) * channels);
      }
    });
  }

  // Computes the mixed pixels of level k >= 2 from the features of the level below; calls put(index in the list,
  // position, column, vector) for the results. Beside that, side_task(0) ... side_task(side_tasks - 1).
  template <class SideTask, class Put>
  static void next_level(const Context& context, const Convolutions& convolutions, int k, const LabelMap& map,
                         const float* features, int64_t side_tasks, const SideTask& side_task, const Put& put) {
    const Level& level = map.level(k);
    const Level& below = map.level(k - 1);
    const int64_t depth = convolutions.channels(k - 1);
    const int64_t channels = convolutions.channels(k);
    const int64_t tiles = ceil_div(level.mixed_count, kTile[k - 1]);
    const int64_t share = tiles < kFewTiles ? 2 * kPanel : max_of(channels, 1);
    const int64_t shares = ceil_div(channels, share);
    context.parallel_for(tiles * shares + side_tasks, [&](int64_t task) {
      if (task >= tiles * shares) {
        side_task(task - tiles * shares);
        return;
      }
      const int64_t first = task / shares * kTile[k - 1];
      const int64_t pixels = min_of(kTile[k - 1], level.mixed_count - first);
      const Scratch scratch({bytes_of<float>(pixels * kTaps * depth)});
      float* taps = scratch.part<float>(0);
      for (int64_t i = 0; i < pixels; ++i) {
        gather(below, features, depth, level.mixed[first + i] / level.columns, level.mixed[first + i] % level.columns,
               taps + i * kTaps * depth);
      }
      const int64_t column = task % shares * share;
      convolutions.level(k, taps, pixels, column, min_of(share, channels - column),
                         [&](int64_t pixel, int64_t at, Vec value) {
                           put(first + pixel, level.mixed[first + pixel], at, value);
                         });
    });
  }

  // The nine neighbours in the level below of pixel (row, column), to taps [9, channels].
  static void gather(const Level& below, const float* features, int64_t channels, int64_t row, int64_t column,
                     float* taps) {
    for (int64_t r = 2 * row - 1; r <= 2 * row + 1; ++r) {
      for (int64_t c = 2 * column - 1; c <= 2 * column + 1; ++c) {
        int64_t from = kZeroRow;
        if (r >= 0 && c >= 0) {
          const int64_t at = r * below.columns + c;
          const uint8_t state = below.states[at];
          from = state == kMixed ? kTableRows + below.indices[at] : state * kPlaces + place_of(r, c);
        }
        copy_row(features + from * channels, channels, taps);
        taps += channels;
      }
    }
  }

  Attributes attributes_;
  Convolutions convolutions_;
  bool constant_ = false;
};

}  // namespace

extern const OpDefinition prompt_embed_op;
const OpDefinition prompt_embed_op = {"PromptEmbed", ports::kPorts, PromptEmbed::create};

}  // namespace I2F_ISA
}  // namespace i2f
