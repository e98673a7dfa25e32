// `paste`: a block of 32 x 8 threads owns a tile of 64 x 16 pixels of one frame, luma and chroma, and lays over it the
// faces that reach it, in their order. A thread makes four luma samples and one of Cb and Cr, each read and written once
// for up to 256 faces, by nobody else: no order of blocks or threads shows in the result.
//
// -DFACE, -DALPHA: the types of face and alpha; -DSAMPLE: of a frame's sample; -DSTEP and -DLIMIT: codes are STEP apart
// and at most LIMIT. Bytes and operations are those of _triton.py. Here each thread of a block looks at one face and
// prepares it for all, so that a block which no face reaches leaves after one load of matrices.
#include "cuda/storage.cuh"
#include "affine/affine.cuh"

#ifndef FACE
#define FACE float
#define ALPHA float
#define SAMPLE unsigned char
#define STEP 1
#define LIMIT 255
#endif

#define WIDE 64
#define HIGH 16
#define THREADS 256  // and as many faces are looked at together

// A face as a tile sees it: where its corner lies in the face, and the steps from pixel to pixel
struct Seen {
  float a, b, u, c, d, v, larger;
};

struct Faces {
  const FACE* face;
  const ALPHA* alpha;
  long long face_step, alpha_step;  // from face to face
  int face_c, face_y, face_x, alpha_y, alpha_x, side;
};

struct Sums {
  float red, green, blue, weight;  // rgb times alpha, and alpha
};

// From rgb to codes: three rows of four
struct FromRgb {
  float numbers[12];

  __device__ __forceinline__ int blended(int word, const Sums& s, int row) const {  // halves up
    const float* k = numbers + 4 * row;
    float colour = k[0] * s.red + k[1] * s.green + k[2] * s.blue + k[3] * s.weight;
    float value = floorf(word * (1.0f / STEP) * (1.0f - s.weight) + colour + 0.5f);
    return int(fminf(fmaxf(value, 0.0f), float(LIMIT))) * STEP;
  }
};

// The samples round (u, v), which lies within one sample of the square; outside of it alpha is 0
__device__ __forceinline__ void add_sample(const Faces& f, const FACE* face, const ALPHA* alpha, float u, float v, Sums& s) {
  float left = floorf(u), upper = floorf(v), right = u - left, lower = v - upper;
  int x = int(left), y = int(upper);
  face += y * f.face_y + x * f.face_x;
  alpha += y * f.alpha_y + x * f.alpha_x;
#pragma unroll
  for (int corner = 0; corner < 4; ++corner) {
    int i = corner & 1, j = corner >> 1;
    if (x + i < 0 || x + i >= f.side || y + j < 0 || y + j >= f.side) continue;
    const FACE* here = face + j * f.face_y + i * f.face_x;
    float part = from(alpha[j * f.alpha_y + i * f.alpha_x]) * (i ? right : 1 - right) * (j ? lower : 1 - lower);
    s.red += part * from(here[0]);
    s.green += part * from(here[f.face_c]);
    s.blue += part * from(here[2 * f.face_c]);
    s.weight += part;
  }
}

// Means over the taps of sample (x, y) of the tile, in a plane whose samples lie `pitch` pixels apart
__device__ __forceinline__ Sums means(const Faces& f, const Seen& seen, long long n, int x, int y, float pitch,
                                      float siting_x, float siting_y) {
  float a = seen.a * pitch, b = seen.b * pitch, c = seen.c * pitch, d = seen.d * pitch, side = f.side;
  float u0 = seen.u + (seen.a * siting_x + seen.b * siting_y), v0 = seen.v + (seen.c * siting_x + seen.d * siting_y);
  int taps = tap_count(seen.larger * pitch);
  float apart = 1.0f / taps, share = apart * apart;
  const FACE* face = f.face + n * f.face_step;
  const ALPHA* alpha = f.alpha + n * f.alpha_step;
  Sums s = {0, 0, 0, 0};
  for (int j = 0; j < taps; ++j)
    for (int i = 0; i < taps; ++i) {
      float across = x + tap_offset(i, apart), down = y + tap_offset(j, apart);
      add_sample(f, face, alpha, fminf(fmaxf(a * across + b * down + u0, -1.0f), side),
                 fminf(fmaxf(c * across + d * down + v0, -1.0f), side), s);
    }
  return {s.red * share, s.green * share, s.blue * share, s.weight * share};
}

// The faces of the 256 that reach this block's tile, in their order, over one sample: CHANNELS words from `at` on
template <int CHANNELS, int FIRST>
__device__ __forceinline__ void lay_over(SAMPLE* at, const Faces& f, const Seen* seen, const unsigned* reaching,
                                         int start, const FromRgb& from_rgb, int x, int y, float pitch, float siting_x,
                                         float siting_y) {
  int words[CHANNELS];
  bool written = false;
#pragma unroll
  for (int k = 0; k < CHANNELS; ++k) words[k] = at[k];
  for (int group = 0; group < THREADS / 32; ++group)
    for (unsigned left = reaching[group]; left; left &= left - 1) {
      int n = group * 32 + __ffs(left) - 1;
      Sums s = means(f, seen[n], start + n, x, y, pitch, siting_x, siting_y);
      if (!(s.weight > 0)) continue;
      written = true;
#pragma unroll
      for (int k = 0; k < CHANNELS; ++k) words[k] = from_rgb.blended(words[k], s, FIRST + k);
    }
  if (!written) return;
#pragma unroll
  for (int k = 0; k < CHANNELS; ++k) at[k] = (SAMPLE)words[k];
}

// Whether a face shows in the tile from (x, y) on. A chroma sample's siting and taps lie up to 2 pixels outside
__device__ __forceinline__ bool reaches(const Seen& s, int side) {
  const float half_x = WIDE * 0.5f + 2, half_y = HIGH * 0.5f + 2, to_x = (WIDE - 1) * 0.5f, to_y = (HIGH - 1) * 0.5f;
  float u = s.a * to_x + s.b * to_y + s.u, reach_u = fabsf(s.a) * half_x + fabsf(s.b) * half_y + 1;
  float v = s.c * to_x + s.d * to_y + s.v, reach_v = fabsf(s.c) * half_x + fabsf(s.d) * half_y + 1;
  return u + reach_u >= 0 && u - reach_u <= side && v + reach_v >= 0 && v - reach_v <= side;
}

__device__ __forceinline__ float place(Origin o) { return o.whole + o.rest; }

// first: luma [M, H, W], or RGB [M, H, W, 3] where `native` is 0; second: chroma [M, h, w, 2]. Four blocks on a
// multiprocessor, 64 registers a thread: left to itself ptxas spills some to fit a fifth
extern "C" __global__ void __launch_bounds__(THREADS, 4)
    paste(SAMPLE* first, SAMPLE* second, int native, int frames, int height, int width, int x0, int y0, const FACE* face,
          const ALPHA* alpha, const float* matrix, const long long* frame, int count, int side, long long face_step,
          int face_c, int face_y, int face_x, long long alpha_step, int alpha_y, int alpha_x, float siting_x,
          float siting_y, float k0, float k1, float k2, float k3, float k4, float k5, float k6, float k7, float k8,
          float k9, float k10, float k11) {
  __shared__ Seen seen[THREADS];
  __shared__ unsigned reaching[THREADS / 32];
  FromRgb from_rgb = {{k0, k1, k2, k3, k4, k5, k6, k7, k8, k9, k10, k11}};
  Faces f = {face, alpha, face_step, alpha_step, face_c, face_y, face_x, alpha_y, alpha_x, side};
  int tx = threadIdx.x, ty = threadIdx.y, thread = ty * 32 + tx, m = blockIdx.z;
  int x = x0 + blockIdx.x * WIDE, y = y0 + blockIdx.y * HIGH, half_width = (width + 1) / 2;
  for (int start = 0; start < count; start += THREADS) {
    if (thread < THREADS / 32) reaching[thread] = 0;
    __syncthreads();
    if (start + thread < count) {
      Face g = face_of(matrix, frame, frames, start + thread);
      Origin u = origin(g.a, g.b, g.tx, x, y), v = origin(g.c, g.d, g.ty, x, y);
      Seen s = {g.a, g.b, place(u), g.c, g.d, place(v), g.larger};
      seen[thread] = s;
      if (g.usable && g.frame == m && reaches(s, side)) atomicOr(&reaching[thread / 32], 1u << thread % 32);
    }
    __syncthreads();
    for (int part = 0; part < 4; ++part) {
      int i = tx + part % 2 * 32, j = ty + part / 2 * 8;
      if (x + i >= width || y + j >= height) continue;
      long long at = ((long long)m * height + y + j) * width + x + i;
      if (native) lay_over<1, 0>(first + at, f, seen, reaching, start, from_rgb, i, j, 1, 0, 0);
      else lay_over<3, 0>(first + 3 * at, f, seen, reaching, start, from_rgb, i, j, 1, 0, 0);
    }
    if (native && x / 2 + tx < half_width && y / 2 + ty < (height + 1) / 2) {
      long long at = ((long long)m * ((height + 1) / 2) + y / 2 + ty) * half_width + x / 2 + tx;
      lay_over<2, 1>(second + 2 * at, f, seen, reaching, start, from_rgb, tx, ty, 2, siting_x, siting_y);
    }
    __syncthreads();
  }
}
