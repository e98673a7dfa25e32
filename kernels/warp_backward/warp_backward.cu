// The gradient of `warp`: the tiles of the forward pass, each pixel's gradient added to the four pixels of each of its
// taps. What binds it and why it scatters: _triton.py. -DTYPE: the type of the gradient; sums are float.
#include "cuda/storage.cuh"
#include "affine/affine.cuh"

#ifndef TYPE
#define TYPE float
#endif

extern "C" __global__ void warp_backward(const TYPE* gradient, const float* matrix, const long long* frame, float* out,
                                         int frames, int channels, int height, int width, long long face_step,
                                         long long channel_step, int row_step, int column_step, int size, int across,
                                         int tiles, float scale) {
  Tile tile(across, tiles);
  Face f = face_of(matrix, frame, frames, tile.n);
  Origin ox = origin(f.a, f.b, f.tx, tile.x, tile.y), oy = origin(f.c, f.d, f.ty, tile.x, tile.y);
  int taps = tap_count(f.larger), u = threadIdx.x;
  float apart = 1.0f / taps, share = apart * apart * scale;
  if (!f.usable || tile.x + u >= size) return;
  for (int v = threadIdx.y; v < min(TILE_HEIGHT, size - tile.y); v += TILE_THREADS) {
    const TYPE* from_here = gradient + tile.n * face_step + (tile.y + v) * row_step + (tile.x + u) * column_step;
    for (int tap = 0; tap < taps * taps; ++tap) {
      float at_u = u + tap_offset(tap % taps, apart), at_v = v + tap_offset(tap / taps, apart);
      Place x = placed(ox, f.a, f.b, at_u, at_v, width), y = placed(oy, f.c, f.d, at_u, at_v, height);
      float* to = out + f.frame * channels * height * width + y.before * width + x.before;
      for (int c = 0; c < channels; ++c, to += (long long)height * width) {
        float value = from(from_here[c * channel_step]) * share, below = value * y.weight, above = value - below;
        atomicAdd(to, above - above * x.weight);
        atomicAdd(to + x.after, above * x.weight);
        atomicAdd(to + y.after * width, below - below * x.weight);
        atomicAdd(to + y.after * width + x.after, below * x.weight);
      }
    }
  }
}
