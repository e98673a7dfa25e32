// Colour match by histograms, in whole numbers: what _triton_histogram.py does, with shared memory in place of matrices.
#include "cuda/storage.cuh"
#include "match_colour/samples.cuh"

constexpr int THREADS = 256, BINS = 256, COPIES = 4;

// The bin of a value in 0..1: a product by a power of two is exact.
__device__ __forceinline__ int level(TYPE value) {
  return int(fminf(fmaxf(from(value) * BINS, 0.0f), float(BINS - 1)));
}

// face, target [N, 3, pixels], mask [N, pixels] -> parts [N, gridDim.x, 6, BINS]. The additions are of whole numbers: their
// order does not matter. Warps share COPIES of each histogram, for they would wait for each other where a face is flat.
extern "C" __global__ void __launch_bounds__(THREADS) count(
    const TYPE* __restrict__ face, const TYPE* __restrict__ target, const TYPE* __restrict__ mask,
    int* __restrict__ parts, int pixels) {
  __shared__ int counts[COPIES][6][BINS];
  for (int i = threadIdx.x; i < COPIES * 6 * BINS; i += THREADS) (&counts[0][0][0])[i] = 0;
  __syncthreads();
  size_t n = blockIdx.y, plane = n * 3 * pixels;
  auto& own = counts[threadIdx.x / 32 % COPIES];
  for (int i = (blockIdx.x * THREADS + threadIdx.x) * SAMPLES; i < pixels; i += gridDim.x * THREADS * SAMPLES) {
    Pack m = load(mask + n * pixels + i);
    int any = 0;
#pragma unroll
    for (int k = 0; k < SAMPLES; ++k) any |= level(m.at[k]);
    if (!any) continue;
    Planes a = load_planes(face + plane + i, pixels), b = load_planes(target + plane + i, pixels);
#pragma unroll
    for (int k = 0; k < SAMPLES; ++k) {
      int steps = level(m.at[k]);
      if (!steps) continue;
      atomicAdd(&own[0][level(a.r.at[k])], steps);
      atomicAdd(&own[1][level(a.g.at[k])], steps);
      atomicAdd(&own[2][level(a.b.at[k])], steps);
      atomicAdd(&own[3][level(b.r.at[k])], steps);
      atomicAdd(&own[4][level(b.g.at[k])], steps);
      atomicAdd(&own[5][level(b.b.at[k])], steps);
    }
  }
  __syncthreads();
  for (int i = threadIdx.x; i < 6 * BINS; i += THREADS) {
    int sum = 0;
    for (int copy = 0; copy < COPIES; ++copy) sum += (&counts[copy][0][0])[i];
    parts[(n * gridDim.x + blockIdx.x) * 6 * BINS + i] = sum;
  }
}

// What every bin holds, what all bins before it hold twice with its own half (twice the weight below its centre), and the
// nearest occupied bins at or below it and at or above it, which are the same beyond the ends.
struct Cumulated { long long held[BINS], below[BINS]; int before[BINS], after[BINS]; };

// Three scans over the bins at once (Hillis, Steele: "Data parallel algorithms", 1986); a thread a bin.
__device__ void cumulate(Cumulated& c, int bin) {
  long long held = c.held[bin];
  c.below[bin] = held;
  c.before[bin] = held > 0 ? bin : -1;
  c.after[bin] = held > 0 ? bin : BINS;
  __syncthreads();
  for (int by = 1; by < BINS; by *= 2) {
    long long more = bin >= by ? c.below[bin - by] : 0;
    int lower = bin >= by ? c.before[bin - by] : -1, higher = bin + by < BINS ? c.after[bin + by] : BINS;
    __syncthreads();
    c.below[bin] += more;
    c.before[bin] = max(c.before[bin], lower);
    c.after[bin] = min(c.after[bin], higher);
    __syncthreads();
  }
  int before = c.before[bin], after = c.after[bin];
  c.below[bin] = 2 * c.below[bin] - held;
  c.before[bin] = min(before < 0 ? after : before, BINS - 1);
  c.after[bin] = max(after == BINS ? before : after, 0);
  __syncthreads();
}

// parts [N, programs, 6, BINS] -> shift [N, 3, BINS]: what to add at the centre of each bin, NaN where the mask is empty.
// Both pictures weigh the same, so cumulated weights compare as whole numbers. Block (2, BINS): face and target.
extern "C" __global__ void tables(const int* __restrict__ parts, float* __restrict__ shift, int programs) {
  __shared__ Cumulated pictures[2];
  __shared__ float moved[BINS];
  int bin = threadIdx.x, which = threadIdx.y, channel = blockIdx.x;
  size_t n = blockIdx.y;
  long long held = 0;
  for (int p = 0; p < programs; ++p) held += parts[((n * programs + p) * 6 + which * 3 + channel) * BINS + bin];
  pictures[which].held[bin] = held;
  cumulate(pictures[which], bin);
  const Cumulated &face = pictures[0], &target = pictures[1];
  if (which == 0) {
    int above = 0;  // the first of the target's bins with more below it than this bin of the face has
    for (int step = BINS; step > 0; step /= 2)
      if (above + step <= BINS && target.below[above + step - 1] <= face.below[bin]) above += step;
    int left = target.before[max(above - 1, 0)], right = target.after[min(above, BINS - 1)];
    long long width = max(target.below[right] - target.below[left], 1LL);
    float part = __saturatef(float(face.below[bin] - target.below[left]) / float(width));
    moved[bin] = (left - bin + part * (right - left)) / BINS;
  }
  __syncthreads();
  if (which == 0) {
    int before = face.before[bin], after = face.after[bin];
    float part = __saturatef(float(bin - before) / max(after - before, 1));
    bool empty = face.below[BINS - 1] + face.held[BINS - 1] < 2LL * EMPTY;
    shift[(n * 3 + channel) * BINS + bin] =
        empty ? __int_as_float(0x7FC00000) : moved[before] + part * (moved[after] - moved[before]);
  }
}

// planes [3 N, pixels], shift [3 N, BINS] -> out, as planes.
extern "C" __global__ void __launch_bounds__(THREADS) remap(
    const TYPE* __restrict__ planes, const float* __restrict__ shift, TYPE* __restrict__ out, int pixels) {
  __shared__ float table[BINS];
  size_t plane = blockIdx.y;
  table[threadIdx.x] = shift[plane * BINS + threadIdx.x];
  __syncthreads();
  bool empty = table[0] != table[0];
  for (int i = (blockIdx.x * THREADS + threadIdx.x) * SAMPLES; i < pixels; i += gridDim.x * THREADS * SAMPLES) {
    Pack pack = load(planes + plane * pixels + i);
    if (!empty) {
#pragma unroll
      for (int k = 0; k < SAMPLES; ++k) {
        float x = from(pack.at[k]), place = x * BINS - 0.5f;
        int low = int(fminf(fmaxf(place, 0.0f), float(BINS - 2)));
        float moved = table[low] + __saturatef(place - low) * (table[low + 1] - table[low]);
        put(&pack.at[k], __saturatef(x + moved));
      }
    }
    store(out + plane * pixels + i, pack);
  }
}
