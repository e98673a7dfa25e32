// Colour match by moments: reinhard (-DLAB=1, in CIELAB) and covariance (-DLAB=0, in RGB). See _cupy.py.
//
// Every thread reads SAMPLES pixels of each plane at once (16 bytes; 1 where planes are not aligned to that).
#include "cuda/storage.cuh"
#include "lab/lab.cuh"
#include "match_colour/samples.cuh"
#include "match_colour/transport.cuh"

constexpr int THREADS = 256, WARPS = THREADS / 32, PARTS = 32, VALUES = 19;

// Weighted moments of the face and of the target: the means, and sums of products about them.
struct Picture { Colour mean; Covariance sum; };
struct Moments { float weight; Picture have, want; };
static_assert(sizeof(Moments) == VALUES * sizeof(float), "lanes and parts pass them on as VALUES floats");

__device__ __forceinline__ void merge(Picture& a, const Picture& b, float part, float both) {
  float x = b.mean.x - a.mean.x, y = b.mean.y - a.mean.y, z = b.mean.z - a.mean.z;
  a.mean = {a.mean.x + part * x, a.mean.y + part * y, a.mean.z + part * z};
  a.sum.xx += b.sum.xx + both * x * x;
  a.sum.yy += b.sum.yy + both * y * y;
  a.sum.zz += b.sum.zz + both * z * z;
#if !LAB
  a.sum.xy += b.sum.xy + both * x * y;
  a.sum.xz += b.sum.xz + both * x * z;
  a.sum.yz += b.sum.yz + both * y * z;
#endif
}

// Chan, Golub, LeVeque (1979): a small deviation on a large mean keeps its digits.
__device__ __forceinline__ void merge(Moments& a, const Moments& b) {
  float weight = a.weight + b.weight;
  if (weight <= 0) return;
  float part = b.weight / weight, both = a.weight * part;
  merge(a.have, b.have, part, both);
  merge(a.want, b.want, part, both);
  a.weight = weight;
}

__device__ __forceinline__ Colour colour(float r, float g, float b) {
#if LAB
  return lab::from_rgb({r, g, b});
#else
  return {r, g, b};
#endif
}

// Of a thread's SAMPLES pixels, about their own mean.
__device__ __forceinline__ Picture moments_of(const Planes& pixels, const Pack& mask, float share) {
  Colour seen[SAMPLES];
  Picture p = {};
#pragma unroll
  for (int i = 0; i < SAMPLES; ++i) {
    float m = from(mask.at[i]) * share;
    seen[i] = colour(from(pixels.r.at[i]), from(pixels.g.at[i]), from(pixels.b.at[i]));
    p.mean = {p.mean.x + m * seen[i].x, p.mean.y + m * seen[i].y, p.mean.z + m * seen[i].z};
  }
#pragma unroll
  for (int i = 0; i < SAMPLES; ++i) {
    float m = from(mask.at[i]), x = seen[i].x - p.mean.x, y = seen[i].y - p.mean.y, z = seen[i].z - p.mean.z;
    p.sum.xx += m * x * x;
    p.sum.yy += m * y * y;
    p.sum.zz += m * z * z;
#if !LAB
    p.sum.xy += m * x * y;
    p.sum.xz += m * x * z;
    p.sum.yz += m * y * z;
#endif
  }
  return p;
}

// Merges the moments of a warp's first `lanes` lanes into its first.
__device__ __forceinline__ void merge_lanes(Moments& m, int lanes) {
  for (int by = lanes / 2; by > 0; by /= 2) {
    Moments other;
    float* to = &other.weight;
    const float* own = &m.weight;
#pragma unroll
    for (int i = 0; i < VALUES; ++i) to[i] = __shfl_down_sync(~0u, own[i], by);
    merge(m, other);
  }
}

// face, target [N, 3, pixels], mask [N, pixels] -> parts [N, VALUES, PARTS], of which gridDim.x are written.
extern "C" __global__ void __launch_bounds__(THREADS, 2) moments(
    const TYPE* __restrict__ face, const TYPE* __restrict__ target, const TYPE* __restrict__ mask,
    float* __restrict__ parts, int pixels) {
  __shared__ Moments of_warp[WARPS];
  size_t n = blockIdx.y, plane = n * 3 * pixels;
  int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  Moments seen = {};
  for (int i = (blockIdx.x * THREADS + threadIdx.x) * SAMPLES; i < pixels; i += gridDim.x * THREADS * SAMPLES) {
    Pack m = load(mask + n * pixels + i);
    Moments group = {};
#pragma unroll
    for (int k = 0; k < SAMPLES; ++k) group.weight += from(m.at[k]);
    if (group.weight <= 0) continue;  // outside of the mask neither picture is read
    float share = 1 / group.weight;
    group.have = moments_of(load_planes(face + plane + i, pixels), m, share);
    group.want = moments_of(load_planes(target + plane + i, pixels), m, share);
    merge(seen, group);
  }
  merge_lanes(seen, 32);
  if (lane == 0) of_warp[warp] = seen;
  __syncthreads();
  if (warp > 0) return;
  seen = of_warp[lane % WARPS];
  merge_lanes(seen, WARPS);
  if (lane > 0) return;
  const float* values = &seen.weight;
#pragma unroll
  for (int k = 0; k < VALUES; ++k) parts[(n * VALUES + k) * PARTS + blockIdx.x] = values[k];
}

// How a face is mapped: gain * (colour - mean) + wanted, unless its mask is empty.
struct Map { Matrix gain; Colour mean, wanted; bool empty; };

__device__ inline Map map_of(const Moments& m) {
  Map map = {{}, m.have.mean, m.want.mean, !(m.weight >= LEAST_WEIGHT)};
  float share = 1 / fmaxf(m.weight, LEAST_WEIGHT);
  const float *have = &m.have.sum.xx, *want = &m.want.sum.xx;
  Covariance a = {have[0] * share, have[1] * share, have[2] * share, have[3] * share, have[4] * share, have[5] * share};
  Covariance b = {want[0] * share, want[1] * share, want[2] * share, want[3] * share, want[4] * share, want[5] * share};
#if LAB
  const float from_x[3] = {a.xx, a.yy, a.zz}, to_x[3] = {b.xx, b.yy, b.zz};
#pragma unroll
  for (int c = 0; c < 3; ++c) {
    float gain = (sqrtf(to_x[c]) + LEAST) / (sqrtf(from_x[c]) + LEAST);
    map.gain.at[c][c] = fminf(fmaxf(gain, 1 / MAX_GAIN), MAX_GAIN);
  }
#else
  map.gain = monge_kantorovich(a, b);
#endif
  return map;
}

__device__ __forceinline__ Colour mapped(const Map& map, float r, float g, float b) {
  Colour c = colour(r, g, b);
  float x = c.x - map.mean.x, y = c.y - map.mean.y, z = c.z - map.mean.z;
#if LAB
  return lab::to_rgb({map.gain.at[0][0] * x + map.wanted.x, map.gain.at[1][1] * y + map.wanted.y,
                      map.gain.at[2][2] * z + map.wanted.z});
#else
  const auto& k = map.gain.at;
  return {__saturatef(k[0][0] * x + k[0][1] * y + k[0][2] * z + map.wanted.x),
          __saturatef(k[1][0] * x + k[1][1] * y + k[1][2] * z + map.wanted.y),
          __saturatef(k[2][0] * x + k[2][1] * y + k[2][2] * z + map.wanted.z)};
#endif
}

// face [N, 3, pixels], parts [N, VALUES, PARTS], `used` of each -> out, as face.
extern "C" __global__ void __launch_bounds__(THREADS) apply(
    const TYPE* __restrict__ face, const float* __restrict__ parts, TYPE* __restrict__ out, int pixels, int used) {
  __shared__ Map shared;
  size_t n = blockIdx.y, plane = n * 3 * pixels;
  if (threadIdx.x < 32) {  // a part a lane
    Moments m = {};
    float* values = &m.weight;
    if (threadIdx.x < used) {
#pragma unroll
      for (int k = 0; k < VALUES; ++k) values[k] = parts[(n * VALUES + k) * PARTS + threadIdx.x];
    }
    merge_lanes(m, 32);
    if (threadIdx.x == 0) shared = map_of(m);
  }
  __syncthreads();
  Map map = shared;
  for (int i = (blockIdx.x * THREADS + threadIdx.x) * SAMPLES; i < pixels; i += gridDim.x * THREADS * SAMPLES) {
    Planes p = load_planes(face + plane + i, pixels);
    if (!map.empty) {
#pragma unroll
      for (int k = 0; k < SAMPLES; ++k) {
        Colour c = mapped(map, from(p.r.at[k]), from(p.g.at[k]), from(p.b.at[k]));
        put(&p.r.at[k], c.x);
        put(&p.g.at[k], c.y);
        put(&p.b.at[k], c.z);
      }
    }
    store_planes(out + plane + i, pixels, p);
  }
}
