// REDUCE and EXPAND along one line, borders mirrored, and how lines are read and written, two samples at a time where
// they lie so.
#pragma once
#include "cuda/storage.cuh"

namespace {

template <class T> struct alignas(2 * sizeof(T)) Pair {
  T x, y;
};
template <int BYTES> struct Word { using type = unsigned; };
template <> struct Word<8> { using type = unsigned long long; };

// -1 is 1, size is size - 2; for i in -2 .. size + 1
__device__ __forceinline__ int mirrored(int i, int size) {
  i = abs(i);
  return i < size ? i : abs(2 * (size - 1) - i);
}

// The same for the coarser level's samples, which lie on every second one of `size`
__device__ __forceinline__ int mirrored_coarse(int i, int size) { return mirrored(2 * i, size) / 2; }

__device__ __forceinline__ float five(float a, float b, float c, float d, float e) {
  return 1 / 16.0f * (a + e) + 4 / 16.0f * (b + d) + 6 / 16.0f * c;
}
__device__ __forceinline__ float even(float a, float b, float c) { return 1 / 8.0f * (a + c) + 6 / 8.0f * b; }
__device__ __forceinline__ float odd(float b, float c) { return 0.5f * (b + c); }

// With G = alpha, D = difference, M = mixed: exactly D where G is 1 and M is D below, exactly 0 where G and M are 0
__device__ __forceinline__ float correction(float alpha, float wide_mixed, float wide_difference) {
  return fmaf(-alpha, wide_difference, wide_mixed);
}

template <class T> __device__ __forceinline__ bool in_pairs(const T* p, int size) {
  return size % 2 == 0 && reinterpret_cast<size_t>(p) % sizeof(Pair<T>) == 0;
}

template <class T> __device__ __forceinline__ void read_five(const T* row, int x, int size, bool pairs, float (&v)[5]) {
  if (pairs && x >= 2 && x + 2 < size) {
    Pair<T> a = *reinterpret_cast<const Pair<T>*>(row + x - 2), b = *reinterpret_cast<const Pair<T>*>(row + x);
    v[0] = from(a.x), v[1] = from(a.y), v[2] = from(b.x), v[3] = from(b.y), v[4] = from(row[x + 2]);
  } else {
#pragma unroll
    for (int i = 0; i < 5; ++i) v[i] = from(row[mirrored(x + i - 2, size)]);
  }
}

template <class T> __device__ __forceinline__ void read_pair(const T* row, int x, int size, bool pairs, float (&v)[2]) {
  if (pairs) {
    Pair<T> a = *reinterpret_cast<const Pair<T>*>(row + x);
    v[0] = from(a.x), v[1] = from(a.y);
  } else {
    v[0] = from(row[x]), v[1] = from(row[min(x + 1, size - 1)]);
  }
}

template <class T> __device__ __forceinline__ void write_pair(T* row, int x, int size, bool pairs, const float (&v)[2]) {
  if (pairs) {
    Pair<T> a;
    put(&a.x, v[0]), put(&a.y, v[1]);
    typename Word<sizeof a>::type word;  // as a Pair it would be two stores, shared with the other branch
    memcpy(&word, &a, sizeof a);
    *reinterpret_cast<decltype(word)*>(row + x) = word;
  } else {
    put(row + x, v[0]);
    if (x + 1 < size) put(row + x + 1, v[1]);
  }
}

}  // namespace
