// Which feature pixels of the four stride-2 convolutions see one label only, and which ones have to be computed.
//
// A feature pixel of level k (k = 1 .. 4, each level half the size of the one before; level 0 are the labels) reads
// rows and columns 2i - 1 .. 2i + 1 of level k - 1. As all sizes are even, only the first row and the first column of a
// level reach over the border. A pixel is uniform if all labels in its receptive field (3, 7, 15, 31 pixels wide) are
// the same; then its value depends on that label and on whether it is in the first row or column, as no other row of
// any level sees the border.
#pragma once

#include <string.h>

#include "native/memory.hpp"
#include "native/ort/kernel.hpp"
#include "native/simd/simd.hpp"

namespace i2f {
namespace I2F_ISA {
namespace {

constexpr int kLevels = 4;
// Pixels per token side: two to the power of kLevels.
constexpr int64_t kPatch = 16;
constexpr uint8_t kLabels = 5;
// State of a feature pixel: the label it sees, or this.
constexpr uint8_t kMixed = kLabels;

// Eight labels at once.
I2F_INLINE uint64_t load_word(const uint8_t* p) {
  uint64_t word;
  memcpy(&word, p, sizeof(word));
  return word;
}

// Not zero if one of eight bytes is no label: adding 123 carries into the top bit from 5 on. (A carry into the next
// byte needs a byte that is none already.)
I2F_INLINE uint64_t not_labels(uint64_t word) {
  return (word | (word + 0x7b7b7b7b7b7b7b7bu)) & 0x8080808080808080u;
}

// The feature pixels of one level.
struct Level {
  int64_t rows;
  int64_t columns;
  uint8_t* states;   // [rows, columns]
  int32_t* indices;  // [rows, columns]: place in `mixed`, only for mixed pixels
  int32_t* mixed;    // positions (row * columns + column) of the mixed pixels, block by block
  int64_t mixed_count;
};

// The state of a pixel of a level from the states of the level before.
I2F_INLINE uint8_t state_of(const uint8_t* below, int64_t columns, int64_t row, int64_t column) {
  const uint8_t first = below[2 * row * columns + 2 * column];
  uint8_t difference = 0;
  for (int64_t r = max_of(2 * row - 1, 0); r <= 2 * row + 1; ++r) {
    for (int64_t c = max_of(2 * column - 1, 0); c <= 2 * column + 1; ++c) difference |= below[r * columns + c] ^ first;
  }
  // kMixed itself stays mixed.
  return difference == 0 ? first : kMixed;
}

// The labels of a block (a token's 16 x 16 pixels) together with the row above and the column to the left: what the
// level-1 pixels of the block see.
class BlockRow {
 public:
  BlockRow(const uint8_t* labels, int64_t width, int64_t block_row)
      : labels_(labels), width_(width), top_(block_row * kPatch) {}

  bool has_no_label() const { return invalid_ != 0; }

  // The label of block `column`, or kMixed. Blocks are asked for from left to right.
  uint8_t label_of(int64_t column) {
    const int64_t left = column * kPatch;
    const uint8_t* first = labels_ + top_ * width_ + left;
    const uint64_t wanted = 0x0101010101010101u * *first;
    uint64_t difference = 0;
    for (int64_t row = 0; row < kPatch; ++row) {
      const uint64_t a = load_word(first + row * width_);
      const uint64_t b = load_word(first + row * width_ + 8);
      difference |= (a ^ wanted) | (b ^ wanted);
      invalid_ |= not_labels(a) | not_labels(b);
    }
    const bool alone = difference == 0;
    if (top_ > 0) difference |= (load_word(first - width_) ^ wanted) | (load_word(first - width_ + 8) ^ wanted);
    if (left > 0) {
      const int64_t begin = top_ > 0 ? -1 : 0;
      // The block to the left, if it is of one label, answers for its last column.
      const int64_t end = left_label_ == *first ? 0 : kPatch;
      for (int64_t row = begin; row < end; ++row) difference |= first[row * width_ - 1] ^ *first;
    }
    left_label_ = alone ? *first : kMixed;
    return difference == 0 ? *first : kMixed;
  }

  // States of the level-1 pixels of block `column`.
  void states_of(int64_t column, const Level& level) const {
    const int64_t left = column * kPatch;
    for (int64_t i = 0; i < kPatch / 2; ++i) {
      const int64_t row = top_ + 2 * i;
      const uint8_t* middle = labels_ + row * width_ + left;
      const uint8_t* above = row > 0 ? middle - width_ : middle;
      const uint8_t* under = middle + width_;
      // Column c of the block is vertical[c + 1]; before it comes the last column of the block to the left.
      uint8_t vertical[kPatch + 1];
      uint8_t sideways[kPatch];
      vertical[0] = left > 0 ? (above[-1] ^ middle[-1]) | (under[-1] ^ middle[-1]) : 0;
      sideways[0] = left > 0 ? middle[-1] ^ middle[0] : 0;
      for (int64_t c = 0; c < kPatch; ++c) vertical[c + 1] = (above[c] ^ middle[c]) | (under[c] ^ middle[c]);
      for (int64_t c = 1; c < kPatch; ++c) sideways[c] = middle[c - 1] ^ middle[c];
      uint8_t* states = level.states + (top_ / 2 + i) * level.columns + left / 2;
      for (int64_t j = 0; j < kPatch / 2; ++j) {
        const int difference =
            vertical[2 * j] | vertical[2 * j + 1] | vertical[2 * j + 2] | sideways[2 * j] | sideways[2 * j + 1];
        states[j] = difference == 0 ? middle[2 * j] : kMixed;
      }
    }
  }

 private:
  const uint8_t* labels_;
  int64_t width_;
  int64_t top_;
  uint64_t invalid_ = 0;
  // Of the 16 x 16 pixels of the block asked for last.
  uint8_t left_label_ = kMixed;
};

// States and lists of all levels for a map of block_rows x block_columns tokens.
class LabelMap {
 public:
  LabelMap(const Context& context, const uint8_t* labels, int64_t block_rows, int64_t block_columns)
      : labels_(labels),
        rows_(block_rows),
        columns_(block_columns),
        scratch_({rows_ * columns_, rows_, level_bytes(1), level_bytes(2), level_bytes(3), level_bytes(4)}),
        blocks_(scratch_.part<uint8_t>(0)) {
    for (int k = 1; k <= kLevels; ++k) {
      const int64_t side = kPatch >> k;
      const int64_t pixels = side * side * rows_ * columns_;
      // The 32-bit numbers come first: they must be aligned.
      int32_t* memory = scratch_.part<int32_t>(1 + k);
      levels_[k - 1] = {rows_ * side, columns_ * side, reinterpret_cast<uint8_t*>(memory + 2 * pixels), memory,
                        memory + pixels, 0};
    }
    scan(context);
    collect();
  }

  // Level k = 1 .. kLevels.
  const Level& level(int k) const { return levels_[k - 1]; }

 private:
  // For every pixel of a level its index, its place in the list and its state.
  int64_t level_bytes(int k) const {
    return (kPatch >> k) * (kPatch >> k) * rows_ * columns_ * (2 * static_cast<int64_t>(sizeof(int32_t)) + 1);
  }

  // Label and level-1 states of every block; the states of its pixels of higher levels as if the blocks around were the
  // same.
  void scan(const Context& context) {
    uint8_t* invalid = scratch_.part<uint8_t>(1);
    context.parallel_for(ceil_div(rows_, kRowsOfTask), [&](int64_t task) {
      const int64_t end = min_of((task + 1) * kRowsOfTask, rows_);
      for (int64_t i = task * kRowsOfTask; i < end; ++i) {
        BlockRow row(labels_, columns_ * kPatch, i);
        for (int64_t j = 0; j < columns_; ++j) {
          const uint8_t label = row.label_of(j);
          blocks_[i * columns_ + j] = label;
          for (int k = 0; k < kLevels; ++k) fill(levels_[k], kPatch >> (k + 1), i, j, label);
          if (label == kMixed) row.states_of(j, levels_[0]);
        }
        invalid[i] = row.has_no_label() ? 1 : 0;
      }
    });
    for (int64_t i = 0; i < rows_; ++i) {
      if (invalid[i] != 0) refuse(context, i);
    }
  }

  [[noreturn]] void refuse(const Context& context, int64_t block_row) const {
    const int64_t width = columns_ * kPatch;
    int64_t at = block_row * kPatch * width;
    while (labels_[at] < kLabels) ++at;
    context.fail("input 'labels' holds %d at row %lld, column %lld, expected labels 0 .. %d", labels_[at],
                 static_cast<long long>(at / width), static_cast<long long>(at % width), kLabels - 1);
  }

  static void fill(const Level& level, int64_t side, int64_t block_row, int64_t block_column, uint8_t state) {
    uint8_t* states = level.states + block_row * side * level.columns + block_column * side;
    for (int64_t i = 0; i < side; ++i) {
      for (int64_t j = 0; j < side; ++j) states[i * level.columns + j] = state;
    }
  }

  // The mixed pixels of all levels, in the order of the blocks: what a block's pixels read of the level before lies in
  // the block itself, above it or to its left.
  void collect() {
    for (int64_t i = 0; i < rows_; ++i) {
      for (int64_t j = 0; j < columns_; ++j) {
        const uint8_t label = blocks_[i * columns_ + j];
        const uint8_t above = i > 0 ? blocks_[(i - 1) * columns_ + j] : label;
        const uint8_t before = j > 0 ? blocks_[i * columns_ + j - 1] : label;
        const uint8_t both = i > 0 && j > 0 ? blocks_[(i - 1) * columns_ + j - 1] : label;
        if (label != kMixed && above == label && before == label && both == label) continue;
        if (label == kMixed) list_mixed(&levels_[0], 8, i, j);
        for (int k = 1; k < kLevels; ++k) {
          const int64_t side = kPatch >> (k + 1);
          const Level& below = levels_[k - 1];
          for (int64_t row = i * side; row < (i + 1) * side; ++row) {
            for (int64_t column = j * side; column < (j + 1) * side; ++column) {
              levels_[k].states[row * levels_[k].columns + column] = state_of(below.states, below.columns, row, column);
            }
          }
          list_mixed(&levels_[k], side, i, j);
        }
      }
    }
  }

  static void list_mixed(Level* level, int64_t side, int64_t block_row, int64_t block_column) {
    for (int64_t row = block_row * side; row < (block_row + 1) * side; ++row) {
      for (int64_t column = block_column * side; column < (block_column + 1) * side; ++column) {
        const int64_t at = row * level->columns + column;
        if (level->states[at] != kMixed) continue;
        level->indices[at] = static_cast<int32_t>(level->mixed_count);
        level->mixed[level->mixed_count++] = static_cast<int32_t>(at);
      }
    }
  }

  // Block rows of one task of the scan.
  static constexpr int64_t kRowsOfTask = 4;

  const uint8_t* labels_;
  int64_t rows_;
  int64_t columns_;
  Scratch scratch_;
  uint8_t* blocks_;
  Level levels_[kLevels];
};

}  // namespace
}  // namespace I2F_ISA
}  // namespace i2f
