// SAMPLES neighbouring samples of a plane, read and written at once: 16 bytes, or one sample where planes are unaligned.
#pragma once

struct alignas(sizeof(TYPE) * SAMPLES) Pack { TYPE at[SAMPLES]; };
struct Planes { Pack r, g, b; };

__device__ __forceinline__ Pack load(const TYPE* p) { return *reinterpret_cast<const Pack*>(p); }
__device__ __forceinline__ void store(TYPE* p, const Pack& pack) { *reinterpret_cast<Pack*>(p) = pack; }

__device__ __forceinline__ Planes load_planes(const TYPE* p, size_t pixels) {
  return {load(p), load(p + pixels), load(p + 2 * pixels)};
}

__device__ __forceinline__ void store_planes(TYPE* p, size_t pixels, const Planes& planes) {
  store(p, planes.r);
  store(p + pixels, planes.g);
  store(p + 2 * pixels, planes.b);
}
