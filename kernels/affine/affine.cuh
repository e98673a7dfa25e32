// CUDA C: what kernels share whose pixels go through a matrix. As kernels/affine/_triton.py, which says why so.
#pragma once

#define TILE_WIDTH 32  // a warp's pixels lie side by side
#define TILE_HEIGHT 32
#define TILE_THREADS 8  // rows of threads in a tile: each thread makes four pixels, which share the tile's numbers

struct Face {
  float a, b, tx, c, d, ty;  // output px -> frame px, by rows
  long long frame;
  float larger;  // singular value
  bool usable;
};

struct Origin {
  int whole;
  float rest;
};

struct Place {
  int before;    // the sample before the position
  float weight;  // of the sample after it
  int after;     // 1 where there is one after it
};

// The crop that a block works on, and its tile's corner
struct Tile {
  long long n;
  int x, y;

  __device__ Tile(int across, int tiles) {
    int number = blockIdx.x % tiles;
    n = blockIdx.x / tiles;
    x = number % across * TILE_WIDTH;
    y = number / across * TILE_HEIGHT;
  }
};

// n of the n x n taps of an output pixel: the rule of ops/_matrix.py, as are the limits below
__device__ __forceinline__ int tap_count(float larger) {
  return int(fminf(fmaxf(ceilf(larger - 1e-3f), 1.0f), 64.0f));
}

// A face that cannot be used is all zeros, which is safe to compute with: nobody can check what a CUDA graph replays
__device__ __forceinline__ Face face_of(const float* matrix, const long long* frame, int frames, long long n) {
  const float* m = matrix + 6 * n;
  float a = m[0], b = m[1], tx = m[2], c = m[3], d = m[4], ty = m[5];
  float unit = fmaxf(fmaxf(fabsf(a), fabsf(b)), fmaxf(fabsf(c), fabsf(d)));  // squares must not overflow
  float p = a / unit, q = b / unit, r = c / unit, s = d / unit;
  float larger = (sqrtf((p + s) * (p + s) + (r - q) * (r - q)) + sqrtf((p - s) * (p - s) + (q + r) * (q + r))) / 2;
  bool usable = fabsf(p * s - q * r) > 1e-6f * larger * larger && unit < 3e38f && fabsf(tx) < 3e38f &&
                fabsf(ty) < 3e38f && frame[n] >= 0 && frame[n] < frames;
  if (!usable) return {0, 0, 0, 0, 0, 0, 0, 0, false};
  return {a, b, tx, c, d, ty, frame[n], larger * unit, true};
}

// The upper twelve bits of a float: its product with a whole number of twelve bits is exact
__device__ __forceinline__ float high(float x) { return __int_as_float(__float_as_int(x) & -4096); }

__device__ __forceinline__ float whole_of(float x) { return fminf(fmaxf(floorf(x), -268435456.0f), 268435456.0f); }

// p x + q y + shift of a tile's corner, as a whole number and a rest of a few pixels, added up without loss
__device__ __forceinline__ Origin origin(float p, float q, float shift, float x, float y) {
  float across = high(p) * x, along = high(q) * y;
  float i = whole_of(across), j = whole_of(along), k = whole_of(shift);
  float rest = (across - i) + (along - j) + (shift - k) + (p - high(p)) * x + (q - high(q)) * y;
  return {min(max(int(i) + int(j) + int(k), -4194304), 4194304), rest};
}

// Along one axis of `size` samples; to clamp the position is what replicates the border
__device__ __forceinline__ Place placed(Origin o, float p, float q, float u, float v, int size) {
  float first = float(-o.whole), last = float(size - 1 - o.whole);
  float position = fminf(fmaxf(p * u + q * v + o.rest, first), last);
  float before = floorf(position);
  return {int(before) + o.whole, position - before, before < last};
}

// The offset of tap k of n along one side of an output pixel, from its centre
__device__ __forceinline__ float tap_offset(int k, float apart) { return (k + 0.5f) * apart - 0.5f; }
