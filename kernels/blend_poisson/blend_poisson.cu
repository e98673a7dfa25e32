// Poisson blending: what stands before, between and behind the products of the sine transforms. See _cupy.py.
//
// The planes between are __half [3 N, p, p]: p is the side of the square rounded up to what tensor cores take, and pixel
// (y, x) of the square lies at [y, x]. The correction is zero on border and padding: so are the sines there.
#include "cuda/storage.cuh"

// v - dt of the reference, from pixel p to its neighbour q
__device__ __forceinline__ float wanted(const TYPE* face, const TYPE* target, float weight, int p, int q) {
  float of_face = from(face[q]) - from(face[p]), of_target = from(target[q]) - from(target[p]);
#if MIXED
  if (!(fabsf(of_face) > fabsf(of_target) + TIE)) return 0.0f;
#endif
  return weight * (of_face - of_target);
}

// What is wanted beyond the target's differences: from each pixel to the next in its row, [0], and in its column, [1].
// A thread does one pixel's three channels, so that the mask is read once.
extern "C" __global__ void differences(
    const TYPE* __restrict__ face, const TYPE* __restrict__ target, const TYPE* __restrict__ mask,
    __half* __restrict__ out, int size, int padded) {
  int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y, n = blockIdx.z;
  if (x >= padded || y >= padded) return;
  bool has_right = x + 1 < size && y < size, has_below = x < size && y + 1 < size;
  size_t area = size_t(size) * size, padded_area = size_t(padded) * padded;
  const TYPE* m = mask + n * area;
  int p = y * size + x;
  float weight_right = has_right ? fminf(from(m[p]), from(m[p + 1])) : 0.0f;
  float weight_below = has_below ? fminf(from(m[p]), from(m[p + size])) : 0.0f;
  for (int c = 0; c < 3; c++) {
    size_t plane = size_t(n) * 3 + c;
    const TYPE *f = face + plane * area, *t = target + plane * area;
    __half* o = out + plane * padded_area + size_t(y) * padded + x;
    put(o, has_right ? wanted(f, t, weight_right, p, p + 1) : 0.0f);
    put(o + 3 * gridDim.z * padded_area, has_below ? wanted(f, t, weight_below, p, p + size) : 0.0f);
  }
}

// The coefficients of the correction from those of the right side, in place: divided by the Laplacian's eigenvalues,
// and made `scale` times smaller so that __half holds them.
extern "C" __global__ void divide(
    __half* __restrict__ waves, const float* __restrict__ eigenvalues, float scale, int padded) {
  int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
  if (x >= padded || y >= padded) return;
  __half* wave = waves + (size_t(blockIdx.z) * padded + y) * padded + x;
  put(wave, from(*wave) / (scale * (eigenvalues[y] + eigenvalues[x])));
}

extern "C" __global__ void finish(
    const __half* __restrict__ correction, const TYPE* __restrict__ target, TYPE* __restrict__ out, float scale,
    int size, int padded) {
  int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
  if (x >= size || y >= size) return;
  size_t i = (size_t(blockIdx.z) * size + y) * size + x;
  float c = from(correction[(size_t(blockIdx.z) * padded + y) * padded + x]);
  put(out + i, fminf(fmaxf(from(target[i]) + scale * c, 0.0f), 1.0f));
}
