// Compiler differences in one place.
#pragma once

// Inline functions of headers that are shared between instruction sets must never be emitted as a function of their
// own: the linker keeps one copy of such a function, and if it kept the AVX-512 one, an older machine would crash in
// it.
#if defined(_MSC_VER) && !defined(__clang__)
#define I2F_INLINE __forceinline
#define I2F_NOINLINE __declspec(noinline)
#define I2F_UNROLL
#define I2F_RESTRICT __restrict
#define I2F_PRINTF(format_index, first_argument)
#else
#define I2F_INLINE inline __attribute__((always_inline))
#define I2F_NOINLINE __attribute__((noinline))
#define I2F_RESTRICT __restrict__
#define I2F_PRINTF(format_index, first_argument) __attribute__((format(printf, format_index, first_argument)))
#if defined(__clang__)
#define I2F_UNROLL _Pragma("clang loop unroll(full)")
#else
#define I2F_UNROLL _Pragma("GCC unroll 32")
#endif
#endif
