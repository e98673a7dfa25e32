// `warp`: N crops of M frames. A block of 32 x 8 threads makes a tile of 32 x 32 pixels of one crop, four a thread.
//
// -DOUT: the type of the crops; -DSRC: of a float source; -DSAMPLE and -DPAIR: of a luma sample and of Cb and Cr as one.
// Bytes and operations are those of _triton.py. A warp writes 32 neighbours: 64 bytes of fp16 a channel, whole sectors.
#include "cuda/storage.cuh"
#include "affine/affine.cuh"

#ifndef OUT
#define OUT float
#endif
#ifndef SRC
#define SRC float
#endif
#ifndef SAMPLE
#define SAMPLE unsigned char
#define PAIR unsigned short
#endif

struct Three {
  float x, y, z;
};

__device__ __forceinline__ float mixed(float a, float b, float c, float d, float right, float down) {
  float above = a + right * (b - a), below = c + right * (d - c);
  return above + down * (below - above);
}

// Packed RGB bytes: two neighbours are six bytes, cut out of three aligned words
struct Rgb {
  const unsigned* words;
  int lead, last, row;  // bytes before the frame in its first word; the last word that holds bytes of the frame

  __device__ Rgb(const unsigned char* frame, int height, int width, int row) : row(row) {
    lead = int(reinterpret_cast<unsigned long long>(frame) & 3);
    words = reinterpret_cast<const unsigned*>(frame - lead);
    last = (lead + (height - 1) * row + width * 3 - 1) >> 2;
  }

  __device__ __forceinline__ void six(int byte, unsigned& low, unsigned& high) const {
    int word = byte >> 2;
    unsigned from_byte = 0x3210 + 0x1111 * (byte & 3);
    unsigned a = __ldg(words + word), b = __ldg(words + min(word + 1, last)), c = __ldg(words + min(word + 2, last));
    low = __byte_perm(a, b, from_byte);
    high = __byte_perm(b, c, from_byte);
  }

  __device__ __forceinline__ Three operator()(Place x, Place y) const {
    unsigned a, b, c, d;
    int byte = lead + y.before * row + x.before * 3;
    six(byte, a, b);
    six(byte + y.after * row, c, d);
    return {mixed(a & 255, a >> 24, c & 255, c >> 24, x.weight, y.weight),
            mixed(a >> 8 & 255, b & 255, c >> 8 & 255, d & 255, x.weight, y.weight),
            mixed(a >> 16 & 255, b >> 8 & 255, c >> 16 & 255, d >> 8 & 255, x.weight, y.weight)};
  }
};

// One sample a pixel: luma
struct Single {
  const SAMPLE* plane;
  int row;

  __device__ __forceinline__ Three operator()(Place x, Place y) const {
    const SAMPLE* p = plane + y.before * row + x.before;
    const SAMPLE* q = p + y.after * row;
    return {mixed(__ldg(p), __ldg(p + x.after), __ldg(q), __ldg(q + x.after), x.weight, y.weight), 0, 0};
  }
};

// Cb and Cr, side by side, in one load
struct Pair {
  const PAIR* plane;
  int row;

  __device__ __forceinline__ Three operator()(Place x, Place y) const {
    const int bits = 8 * sizeof(SAMPLE);
    const unsigned mask = (1u << bits) - 1;
    const PAIR* p = plane + y.before * row + x.before;
    const PAIR* q = p + y.after * row;
    unsigned a = __ldg(p), b = __ldg(p + x.after), c = __ldg(q), d = __ldg(q + x.after);
    return {mixed(a & mask, b & mask, c & mask, d & mask, x.weight, y.weight),
            mixed(a >> bits, b >> bits, c >> bits, d >> bits, x.weight, y.weight), 0};
  }
};

// Up to three float planes, which share the arithmetic of their places
struct Planes {
  const SRC* plane;
  long long second, third;
  int row, column;
  bool three;

  __device__ __forceinline__ float of(const SRC* p, int right, int below, Place x, Place y) const {
    return mixed(from(p[0]), from(p[right]), from(p[below]), from(p[below + right]), x.weight, y.weight);
  }

  __device__ __forceinline__ Three operator()(Place x, Place y) const {
    const SRC* p = plane + y.before * row + x.before * column;
    int right = x.after * column, below = y.after * row;
    if (!three) return {of(p, right, below, x, y), 0, 0};
    return {of(p, right, below, x, y), of(p + second, right, below, x, y), of(p + third, right, below, x, y)};
  }
};

// The mean of the n x n taps of the pixel at (u, v) of the tile
template <class Source>
__device__ __forceinline__ Three mean_of(const Source& source, const Face& f, Origin ox, Origin oy, float u, float v,
                                         int taps, int height, int width) {
  float apart = 1.0f / taps, share = apart * apart;
  Three total = {0, 0, 0};
  for (int j = 0; j < taps; ++j) {
    Three row = {0, 0, 0};
    float at_v = v + tap_offset(j, apart);
    for (int i = 0; i < taps; ++i) {
      float at_u = u + tap_offset(i, apart);
      Three s = source(placed(ox, f.a, f.b, at_u, at_v, width), placed(oy, f.c, f.d, at_u, at_v, height));
      row = {row.x + s.x, row.y + s.y, row.z + s.z};
    }
    total = {total.x + row.x, total.y + row.y, total.z + row.z};
  }
  return {total.x * share, total.y * share, total.z * share};
}

struct Finish {
  float scale, shift;
  bool usable;
  __device__ __forceinline__ void store(OUT* out, float x) const { put(out, usable ? x * scale + shift : 0.0f); }
};

extern "C" __global__ void warp_rgb(const unsigned char* src, const float* matrix, const long long* frame, OUT* out,
                                    int frames, int height, int width, long long frame_step, int row, int size,
                                    int across, int tiles, long long channel_step, int pixel_step, float scale,
                                    float shift) {
  Tile tile(across, tiles);
  Face f = face_of(matrix, frame, frames, tile.n);
  Origin ox = origin(f.a, f.b, f.tx, tile.x, tile.y), oy = origin(f.c, f.d, f.ty, tile.x, tile.y);
  Rgb source(src + f.frame * frame_step, height, width, row);
  Finish finish = {scale, shift, f.usable};
  int taps = tap_count(f.larger), u = threadIdx.x;
  if (tile.x + u >= size) return;
  for (int v = threadIdx.y; v < min(TILE_HEIGHT, size - tile.y); v += TILE_THREADS) {
    Three rgb = mean_of(source, f, ox, oy, u, v, taps, height, width);
    OUT* to = out + tile.n * 3 * size * size + (long long)((tile.y + v) * size + tile.x + u) * pixel_step;
    finish.store(to, rgb.x);
    finish.store(to + channel_step, rgb.y);
    finish.store(to + 2 * channel_step, rgb.z);
  }
}

// to_rgb: three rows of four, from Y, Cb and Cr to 0..1
struct ToRgb {
  float numbers[12];
  __device__ __forceinline__ float of(int row, float y, float cb, float cr) const {
    const float* k = numbers + 4 * row;
    return __saturatef(k[0] * y + k[1] * cb + k[2] * cr + k[3]);
  }
};

extern "C" __global__ void warp_yuv(const SAMPLE* luma, const PAIR* chroma, const float* matrix, const long long* frame,
                                    OUT* out, int frames, int height, int width, long long frame_step, int row,
                                    long long pair_frame_step, int pair_row, float siting_x, float siting_y, int size,
                                    int across, int tiles, long long channel_step, int pixel_step, float scale,
                                    float shift, float r0, float r1, float r2, float r3, float g0, float g1, float g2,
                                    float g3, float b0, float b1, float b2, float b3) {
  Tile tile(across, tiles);
  Face f = face_of(matrix, frame, frames, tile.n);
  Face half = {f.a / 2, f.b / 2, f.tx / 2, f.c / 2, f.d / 2, f.ty / 2, f.frame, f.larger / 2, f.usable};
  Origin ox = origin(f.a, f.b, f.tx, tile.x, tile.y), oy = origin(f.c, f.d, f.ty, tile.x, tile.y);
  Origin half_ox = origin(half.a, half.b, half.tx, tile.x, tile.y);
  Origin half_oy = origin(half.c, half.d, half.ty, tile.x, tile.y);
  half_ox.rest -= siting_x / 2;  // off the rest, of a few pixels, where nothing is lost
  half_oy.rest -= siting_y / 2;
  Single light = {luma + f.frame * frame_step, row};
  Pair colour = {chroma + f.frame * pair_frame_step, pair_row};
  ToRgb to_rgb = {{r0, r1, r2, r3, g0, g1, g2, g3, b0, b1, b2, b3}};
  Finish finish = {scale, shift, f.usable};
  int taps = tap_count(f.larger), half_taps = tap_count(half.larger), u = threadIdx.x;
  if (tile.x + u >= size) return;
  for (int v = threadIdx.y; v < min(TILE_HEIGHT, size - tile.y); v += TILE_THREADS) {
    float y = mean_of(light, f, ox, oy, u, v, taps, height, width).x;
    Three c = mean_of(colour, half, half_ox, half_oy, u, v, half_taps, (height + 1) / 2, (width + 1) / 2);
    OUT* to = out + tile.n * 3 * size * size + (long long)((tile.y + v) * size + tile.x + u) * pixel_step;
    finish.store(to, to_rgb.of(0, y, c.x, c.y));
    finish.store(to + channel_step, to_rgb.of(1, y, c.x, c.y));
    finish.store(to + 2 * channel_step, to_rgb.of(2, y, c.x, c.y));
  }
}

extern "C" __global__ void warp_float(const SRC* src, const float* matrix, const long long* frame, OUT* out, int frames,
                                      int channels, int height, int width, long long frame_step, long long plane_step,
                                      int row, int column, int size, int across, int tiles, long long channel_step,
                                      int pixel_step, float scale, float shift) {
  Tile tile(across, tiles);
  Face f = face_of(matrix, frame, frames, tile.n);
  Origin ox = origin(f.a, f.b, f.tx, tile.x, tile.y), oy = origin(f.c, f.d, f.ty, tile.x, tile.y);
  Finish finish = {scale, shift, f.usable};
  int taps = tap_count(f.larger), u = threadIdx.x;
  if (tile.x + u >= size) return;
  for (int v = threadIdx.y; v < min(TILE_HEIGHT, size - tile.y); v += TILE_THREADS) {
    OUT* to = out + tile.n * channels * size * size + (long long)((tile.y + v) * size + tile.x + u) * pixel_step;
    for (int c = 0; c < channels; c += 3) {
      int second = min(c + 1, channels - 1) - c, third = min(c + 2, channels - 1) - c;
      const SRC* plane = src + f.frame * frame_step + c * plane_step;
      Planes source = {plane, second * plane_step, third * plane_step, row, column, channels > 1};
      Three s = mean_of(source, f, ox, oy, u, v, taps, height, width);
      finish.store(to + c * channel_step, s.x);
      if (second) finish.store(to + (c + 1) * channel_step, s.y);
      if (third > second) finish.store(to + (c + 2) * channel_step, s.z);
    }
  }
}
