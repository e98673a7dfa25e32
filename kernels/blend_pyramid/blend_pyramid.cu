// The multiresolution spline. TYPE: of the pictures; LEVEL: of the levels between, __half where the pictures have 16 bits.
// A level is [N, 4, n, n]: the difference of the pictures, and alpha. What it mixes to is [N, 3, n, n].
//
// The large levels need no shared memory: a thread owns a column of the coarser level and walks down ROWS of its rows.
// Of each row it keeps what the row gives along x, in registers, and from these rows it makes its results along y: every
// sample is filtered once along x however many rows use it. What neighbouring columns share comes from the L1 cache.
// Per 128 px of the finer level a warp then issues 58 loads to reduce and 47 to collapse; through a tile in shared memory
// it would be some 84, and two barriers. Rows are read in pairs of samples where the side is even and they lie so.
//
// All levels of at most SIDE pixels are one launch, a block for each channel of a face: they fit into shared memory.

#include "blend_pyramid/taps.cuh"

namespace {

constexpr int ROWS = 4;
constexpr int SIDE = 64, SAMPLES = SIDE * SIDE / 3 * 4 + 1;  // the sum of a level and of all that are coarser

// Where a level comes from: the pictures, or memory. `along` filters row y along x at one sample.

struct Pictures {
  const TYPE *face, *target, *alpha;  // of one face: [3, size, size] x2, [size, size]
  int size;
  bool pairs;

  __device__ Pictures(const TYPE* faces, const TYPE* targets, const TYPE* alphas, int size, size_t n)
      : face(faces + n * 3 * size * size), target(targets + n * 3 * size * size), alpha(alphas + n * size * size),
        size(size), pairs(in_pairs(faces, size) && in_pairs(targets, size) && in_pairs(alphas, size)) {}

  __device__ __forceinline__ void along(int y, int x, float (&out)[4]) const {
    float a[5], b[5];
#pragma unroll
    for (int c = 0; c < 3; ++c) {
      int row = (c * size + y) * size;
      read_five(face + row, x, size, pairs, a);
      read_five(target + row, x, size, pairs, b);
      out[c] = five(a[0] - b[0], a[1] - b[1], a[2] - b[2], a[3] - b[3], a[4] - b[4]);
    }
    read_five(alpha + y * size, x, size, pairs, a);
    out[3] = five(a[0], a[1], a[2], a[3], a[4]);
  }
};

struct Level {
  const LEVEL* planes;  // of one face: [4, size, size]
  int size;
  bool pairs;

  __device__ Level(const LEVEL* levels, int size, size_t n)
      : planes(levels + n * 4 * size * size), size(size), pairs(in_pairs(levels, size)) {}

  __device__ __forceinline__ void along(int y, int x, float (&out)[4]) const {
    float a[5];
#pragma unroll
    for (int c = 0; c < 4; ++c) {
      read_five(planes + (c * size + y) * size, x, size, pairs, a);
      out[c] = five(a[0], a[1], a[2], a[3], a[4]);
    }
  }
};

template <class Source> __device__ __forceinline__ void reduce(const Source& fine, LEVEL* levels) {
  int size = fine.size, half = (size + 1) / 2;
  int x = blockIdx.x * blockDim.x + threadIdx.x, begin = (blockIdx.y * blockDim.y + threadIdx.y) * ROWS;
  if (x >= half || begin >= half) return;
  LEVEL* out = levels + size_t(blockIdx.z) * 4 * half * half + x;
  float rows[5][4];
#pragma unroll
  for (int i = 0; i < 3; ++i) fine.along(mirrored(2 * begin + i - 2, size), 2 * x, rows[i]);
#pragma unroll
  for (int i = 0; i < ROWS; ++i) {
    int y = begin + i;
    if (y >= half) return;
    fine.along(mirrored(2 * y + 1, size), 2 * x, rows[3]);
    fine.along(mirrored(2 * y + 2, size), 2 * x, rows[4]);
#pragma unroll
    for (int c = 0; c < 4; ++c) {
      put(out + (c * half + y) * half, five(rows[0][c], rows[1][c], rows[2][c], rows[3][c], rows[4][c]));
      rows[0][c] = rows[2][c], rows[1][c] = rows[3][c], rows[2][c] = rows[4][c];
    }
  }
}

// The coarser level: its difference, and what it mixes to; without `mixed` it is the coarsest, and mixes to their product
struct Coarser {
  const LEVEL *planes, *mixed;  // of one face: [4, half, half], [3, half, half]
  int size, half;

  __device__ Coarser(const LEVEL* levels, const LEVEL* mixes, int size, size_t n)
      : planes(levels + n * 4 * ((size + 1) / 2) * ((size + 1) / 2)),
        mixed(mixes ? mixes + n * 3 * ((size + 1) / 2) * ((size + 1) / 2) : nullptr), size(size), half((size + 1) / 2) {}

  // Row y at columns 2 x and 2 x + 1 of the finer level: [mixed or difference][channel][column]
  __device__ __forceinline__ void along(int y, int x, float (&out)[2][3][2]) const {
    int at[3] = {mirrored_coarse(x - 1, size), x, mirrored_coarse(x + 1, size)};
    float d[3], m[3];
#pragma unroll
    for (int c = 0; c < 3; ++c) {
      const LEVEL *difference = planes + (c * half + y) * half, *alpha = planes + (3 * half + y) * half;
#pragma unroll
      for (int i = 0; i < 3; ++i) {
        d[i] = from(difference[at[i]]);
        m[i] = mixed ? from(mixed[(c * half + y) * half + at[i]]) : d[i] * from(alpha[at[i]]);
      }
      out[0][c][0] = even(m[0], m[1], m[2]), out[0][c][1] = odd(m[1], m[2]);
      out[1][c][0] = even(d[0], d[1], d[2]), out[1][c][1] = odd(d[1], d[2]);
    }
  }
};

// Walks down the finer level, two rows and two columns at a time, and calls write(y, x, wide) with both levels' share,
// wide[mixed or difference][channel][column]
template <class Write> __device__ __forceinline__ void collapse(const Coarser& coarser, Write write) {
  int size = coarser.size, half = coarser.half;
  int x = blockIdx.x * blockDim.x + threadIdx.x, begin = (blockIdx.y * blockDim.y + threadIdx.y) * ROWS;
  if (x >= half || begin >= half) return;
  float above[2][3][2], here[2][3][2], below[2][3][2], wide[2][3][2];
  coarser.along(mirrored_coarse(begin - 1, size), x, above);
  coarser.along(begin, x, here);
#pragma unroll
  for (int i = 0; i < ROWS; ++i) {
    int y = begin + i;
    if (y >= half) return;
    coarser.along(mirrored_coarse(y + 1, size), x, below);
#pragma unroll
    for (int k = 0; k < 12; ++k) {
      float &a = above[k / 6][k / 2 % 3][k % 2], &b = here[k / 6][k / 2 % 3][k % 2];
      wide[k / 6][k / 2 % 3][k % 2] = even(a, b, below[k / 6][k / 2 % 3][k % 2]);
      a = b;
    }
    write(2 * y, 2 * x, wide);
#pragma unroll
    for (int k = 0; k < 12; ++k) {
      float &b = here[k / 6][k / 2 % 3][k % 2], &c = below[k / 6][k / 2 % 3][k % 2];
      wide[k / 6][k / 2 % 3][k % 2] = odd(b, c);
      b = c;
    }
    if (2 * y + 1 < size) write(2 * y + 1, 2 * x, wide);
  }
}

}  // namespace

extern "C" __global__ void __launch_bounds__(256)
reduce_pictures(const TYPE* __restrict__ face, const TYPE* __restrict__ target, const TYPE* __restrict__ alpha,
                LEVEL* __restrict__ level, int size) {
  reduce(Pictures(face, target, alpha, size, blockIdx.z), level);
}

extern "C" __global__ void __launch_bounds__(256)
reduce_level(const LEVEL* __restrict__ fine, LEVEL* __restrict__ level, int size) {
  reduce(Level(fine, size, blockIdx.z), level);
}

// All levels from one of at most SIDE pixels on: [N, 4, size, size] -> what it mixes to, [N, 3, size, size]. A block is
// one channel of one face; each makes the same pyramid of alpha, which is less than handing it over.
extern "C" __global__ void __launch_bounds__(512)
blend_small(const LEVEL* __restrict__ level, LEVEL* __restrict__ mixed, int size, int levels) {
  __shared__ float difference[SAMPLES], alpha[SAMPLES];
  int channel = blockIdx.x;
  const LEVEL* planes = level + size_t(blockIdx.y) * 4 * size * size;
  for (int i = threadIdx.y * 32 + threadIdx.x; i < size * size; i += 512) {
    difference[i] = from(planes[channel * size * size + i]);
    alpha[i] = from(planes[3 * size * size + i]);
  }
  int begin = 0;
  for (int k = 0, n = size; k < levels; ++k, n = (n + 1) / 2) {
    __syncthreads();
    int half = (n + 1) / 2, next = begin + n * n;
    for (int y = threadIdx.y; y < half; y += 16)
      for (int x = threadIdx.x; x < half; x += 32) {
        float d[5], g[5];
#pragma unroll
        for (int j = 0; j < 5; ++j) {
          int row = begin + mirrored(2 * y + j - 2, n) * n;
          int at[5];
#pragma unroll
          for (int i = 0; i < 5; ++i) at[i] = row + mirrored(2 * x + i - 2, n);
          d[j] = five(difference[at[0]], difference[at[1]], difference[at[2]], difference[at[3]], difference[at[4]]);
          g[j] = five(alpha[at[0]], alpha[at[1]], alpha[at[2]], alpha[at[3]], alpha[at[4]]);
        }
        difference[next + y * half + x] = five(d[0], d[1], d[2], d[3], d[4]);
        alpha[next + y * half + x] = five(g[0], g[1], g[2], g[3], g[4]);
      }
    begin = next;
  }
  __syncthreads();
  // On the way up a level's alpha gives its place to what the level mixes to
  int half = (size + (1 << levels) - 1) >> levels;
  for (int i = threadIdx.y * 32 + threadIdx.x; i < half * half; i += 512) alpha[begin + i] *= difference[begin + i];
  for (int k = levels - 1; k >= 0; --k) {
    __syncthreads();
    int n = (size + (1 << k) - 1) >> k, next = begin;
    half = (n + 1) / 2;
    begin -= n * n;
    for (int y = threadIdx.y; y < n; y += 16)
      for (int x = threadIdx.x; x < n; x += 32) {
        float m[3], d[3];
#pragma unroll
        for (int j = 0; j < 3; ++j) {
          int row = next + mirrored_coarse(y / 2 + j - 1, n) * half;
          int a = row + mirrored_coarse(x / 2 - 1, n), b = row + x / 2, c = row + mirrored_coarse(x / 2 + 1, n);
          m[j] = x % 2 ? odd(alpha[b], alpha[c]) : even(alpha[a], alpha[b], alpha[c]);
          d[j] = x % 2 ? odd(difference[b], difference[c]) : even(difference[a], difference[b], difference[c]);
        }
        float wide_mixed = y % 2 ? odd(m[1], m[2]) : even(m[0], m[1], m[2]);
        float wide_difference = y % 2 ? odd(d[1], d[2]) : even(d[0], d[1], d[2]);
        int i = begin + y * n + x;
        alpha[i] = fmaf(alpha[i], difference[i], correction(alpha[i], wide_mixed, wide_difference));
      }
  }
  LEVEL* out = mixed + (size_t(blockIdx.y) * 3 + channel) * size * size;
  __syncthreads();
  for (int i = threadIdx.y * 32 + threadIdx.x; i < size * size; i += 512) put(out + i, alpha[i]);
}

// One level up: [N, 4, size, size] and the coarser level, with what that mixes to -> what this one mixes to
extern "C" __global__ void __launch_bounds__(256)
collapse_level(const LEVEL* __restrict__ level, const LEVEL* __restrict__ coarser, const LEVEL* __restrict__ coarser_mixed,
               LEVEL* __restrict__ mixed, int size) {
  Level fine(level, size, blockIdx.z);
  LEVEL* out = mixed + size_t(blockIdx.z) * 3 * size * size;
  collapse(Coarser(coarser, coarser_mixed, size, blockIdx.z), [&](int y, int x, const float(&wide)[2][3][2]) {
    float a[2], d[2];
    read_pair(fine.planes + (3 * size + y) * size, x, size, fine.pairs, a);
#pragma unroll
    for (int c = 0; c < 3; ++c) {
      int row = (c * size + y) * size;
      read_pair(fine.planes + row, x, size, fine.pairs, d);
#pragma unroll
      for (int i = 0; i < 2; ++i) d[i] = fmaf(a[i], d[i], correction(a[i], wide[0][c][i], wide[1][c][i]));
      write_pair(out + row, x, size, fine.pairs, d);
    }
  });
}

// The result: a plain mix of the pictures, and the correction that the coarser levels make to it
extern "C" __global__ void __launch_bounds__(256)
collapse_pictures(const TYPE* __restrict__ face, const TYPE* __restrict__ target, const TYPE* __restrict__ alpha,
                  const LEVEL* __restrict__ coarser, const LEVEL* __restrict__ coarser_mixed, TYPE* __restrict__ blended,
                  int size) {
  Pictures fine(face, target, alpha, size, blockIdx.z);
  TYPE* out = blended + size_t(blockIdx.z) * 3 * size * size;
  bool pairs = fine.pairs && in_pairs(blended, size);
  collapse(Coarser(coarser, coarser_mixed, size, blockIdx.z), [&](int y, int x, const float(&wide)[2][3][2]) {
    float a[2], f[2], t[2];
    read_pair(fine.alpha + y * size, x, size, pairs, a);
#pragma unroll
    for (int c = 0; c < 3; ++c) {
      int row = (c * size + y) * size;
      read_pair(fine.face + row, x, size, pairs, f);
      read_pair(fine.target + row, x, size, pairs, t);
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        float plain = fmaf(a[i], f[i], (1 - a[i]) * t[i]);
        f[i] = __saturatef(plain + correction(a[i], wide[0][c][i], wide[1][c][i]));
      }
      write_pair(out + row, x, size, pairs, f);
    }
  });
}
