// CUDA C on the CPU, for tests: what g++ needs to compile a kernel, and a scheduler that runs its threads.
//
// Blocks run one after the other and the threads of a block in turns, each as a fiber that gives way where it waits
// (__syncthreads, __syncwarp, shuffles). The turns go forwards or backwards: a kernel without races gives the same result
// either way. Threads that wait for each other for ever are told. Not emulated: dynamic shared memory, textures.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>
#include <ucontext.h>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __noinline__
#define __launch_bounds__(...)
#define __shared__ static
#define __constant__ static const
#define __CUDA_EMULATED__ 1

struct uint3 { unsigned x, y, z; };
using dim3 = uint3;
#define VECTOR(name, type)                                                              \
  struct name##2 { type x, y; };                                                        \
  struct name##3 { type x, y, z; };                                                     \
  struct alignas(4 * sizeof(type) > 16 ? 16 : 4 * sizeof(type)) name##4 { type x, y, z, w; }; \
  inline name##2 make_##name##2(type x, type y) { return {x, y}; }                      \
  inline name##3 make_##name##3(type x, type y, type z) { return {x, y, z}; }           \
  inline name##4 make_##name##4(type x, type y, type z, type w) { return {x, y, z, w}; }
VECTOR(float, float)
VECTOR(double, double)
VECTOR(int, int)
VECTOR(uchar, unsigned char)
VECTOR(ushort, unsigned short)
VECTOR(short, short)
struct uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

static uint3 threadIdx, blockIdx, blockDim, gridDim;
static const int warpSize = 32;

// Storage types: arithmetic on them is done in float, as the kernels do

struct __half { uint16_t bits; };
struct __nv_bfloat16 { uint16_t bits; };

template <class To, class From> inline To emulate_bits(From from) {
  static_assert(sizeof(To) == sizeof(From), "");
  To to;
  std::memcpy(&to, &from, sizeof to);
  return to;
}

inline float __half2float(__half h) {
  unsigned sign = (h.bits & 0x8000u) << 16, exponent = h.bits >> 10 & 31, part = h.bits & 1023;
  if (exponent == 31) return emulate_bits<float>(sign | 0x7F800000u | part << 13);
  float size = exponent ? std::ldexp(1024.0f + part, int(exponent) - 25) : std::ldexp(float(part), -24);
  return sign ? -size : size;
}

inline __half __float2half_rn(float f) {  // to the nearest, ties to even, as nearbyint does by default
  uint16_t sign = emulate_bits<uint32_t>(f) >> 16 & 0x8000;
  float size = std::fabs(f);
  if (std::isnan(f)) return {uint16_t(sign | 0x7E00)};
  if (size >= 65520.0f) return {uint16_t(sign | 0x7C00)};
  int exponent = 0;
  std::frexp(size, &exponent);
  exponent = exponent < -13 || size == 0 ? -13 : exponent;
  unsigned steps = unsigned(std::nearbyint(std::ldexp(size, 11 - exponent)));
  return {uint16_t(sign | (steps + (unsigned(exponent + 13) << 10)))};
}

inline float __bfloat162float(__nv_bfloat16 b) { return emulate_bits<float>(uint32_t(b.bits) << 16); }

inline __nv_bfloat16 __float2bfloat16_rn(float f) {
  uint32_t bits = emulate_bits<uint32_t>(f);
  if (std::isnan(f)) return {uint16_t(bits >> 16 | 0x40)};
  return {uint16_t((bits + 0x7FFF + (bits >> 16 & 1)) >> 16)};
}

inline __half __float2half(float f) { return __float2half_rn(f); }
inline __nv_bfloat16 __float2bfloat16(float f) { return __float2bfloat16_rn(f); }

// Arithmetic

using std::abs;
template <class A, class B> inline std::common_type_t<A, B> min(A a, B b) {
  std::common_type_t<A, B> x = a, y = b;
  return y < x ? y : x;
}
template <class A, class B> inline std::common_type_t<A, B> max(A a, B b) {
  std::common_type_t<A, B> x = a, y = b;
  return x < y ? y : x;
}
inline float __saturatef(float x) { return fminf(fmaxf(x, 0.0f), 1.0f); }
inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __frcp_rn(float x) { return 1.0f / x; }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline float __expf(float x) { return expf(x); }
inline float __logf(float x) { return logf(x); }
inline float __log2f(float x) { return log2f(x); }
inline float __powf(float x, float y) { return powf(x, y); }
inline int __float2int_rn(float x) { return int(std::nearbyint(x)); }
inline int __float2int_rd(float x) { return int(std::floor(x)); }
inline int __float2int_rz(float x) { return int(x); }
inline unsigned __float2uint_rn(float x) { return unsigned(std::nearbyint(x)); }
inline float __int2float_rn(int x) { return float(x); }
inline float __uint2float_rn(unsigned x) { return float(x); }
inline unsigned __float_as_uint(float x) { return emulate_bits<unsigned>(x); }
inline float __uint_as_float(unsigned x) { return emulate_bits<float>(x); }
inline int __float_as_int(float x) { return emulate_bits<int>(x); }
inline float __int_as_float(int x) { return emulate_bits<float>(x); }
inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned(uint64_t(a) * b >> 32); }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __clz(int x) { return x ? __builtin_clz(x) : 32; }
inline int __ffs(int x) { return __builtin_ffs(x); }
template <class T> inline T __ldg(const T* p) { return *p; }

inline unsigned __byte_perm(unsigned a, unsigned b, unsigned select) {
  uint64_t bytes = uint64_t(b) << 32 | a;
  unsigned out = 0;
  for (int i = 0; i < 4; ++i) out |= unsigned(bytes >> 8 * (select >> 4 * i & 7) & 255) << 8 * i;
  return out;
}

template <class T, class V> inline T atomicAdd(T* p, V v) { T old = *p; *p = old + T(v); return old; }
template <class T, class V> inline T atomicMax(T* p, V v) { T old = *p; *p = max(old, T(v)); return old; }
template <class T, class V> inline T atomicMin(T* p, V v) { T old = *p; *p = min(old, T(v)); return old; }
template <class T, class V> inline T atomicOr(T* p, V v) { T old = *p; *p = old | T(v); return old; }
template <class T, class V> inline T atomicExch(T* p, V v) { T old = *p; *p = T(v); return old; }
inline void __threadfence() {}
inline void __threadfence_block() {}

// The scheduler

namespace emulate {

enum Wait { none, warp, block, done };

struct Fiber {
  ucontext_t context;
  std::vector<char> stack;
  Wait wait;
};

static std::vector<Fiber> fibers;
static ucontext_t scheduler;
static size_t current;
static void (*body)(void*);
static void* body_data;
static uint64_t slots[1024];  // what the lanes of a warp show each other

inline void yield(Wait wait) {
  fibers[current].wait = wait;
  swapcontext(&fibers[current].context, &scheduler);
}

inline void enter() {
  body(body_data);
  fibers[current].wait = done;
}

inline void place(size_t thread) {
  unsigned i = unsigned(thread);
  threadIdx = {i % blockDim.x, i / blockDim.x % blockDim.y, i / (blockDim.x * blockDim.y)};
  current = thread;
}

// Lets go on who need not wait any longer. Returns false where nobody can.
inline bool release() {
  bool any = false, all_at_block = true;
  for (size_t first = 0; first < fibers.size(); first += 32) {
    size_t last = first + 32 < fibers.size() ? first + 32 : fibers.size();
    bool at_warp = false, elsewhere = false;
    for (size_t i = first; i < last; ++i) {
      at_warp |= fibers[i].wait == warp;
      elsewhere |= fibers[i].wait == block;
      all_at_block &= fibers[i].wait == block || fibers[i].wait == done;
    }
    if (at_warp && !elsewhere) {
      for (size_t i = first; i < last; ++i) if (fibers[i].wait == warp) fibers[i].wait = none;
      any = true;
    }
  }
  if (any) return true;
  for (auto& fiber : fibers) if (all_at_block && fiber.wait == block) { fiber.wait = none; any = true; }
  return any;
}

inline bool run_block(size_t threads, bool backwards) {
  if (fibers.size() != threads) fibers = std::vector<Fiber>(threads);
  for (auto& fiber : fibers) {
    fiber.stack.resize(1 << 16);
    fiber.wait = none;
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.data();
    fiber.context.uc_stack.ss_size = fiber.stack.size();
    fiber.context.uc_link = &scheduler;
    makecontext(&fiber.context, enter, 0);
  }
  for (;;) {
    size_t left = 0;
    for (size_t k = 0; k < threads; ++k) {
      size_t i = backwards ? threads - 1 - k : k;
      if (fibers[i].wait == none) {
        place(i);
        swapcontext(&scheduler, &fibers[i].context);
      }
      left += fibers[i].wait != done;
    }
    if (!left) return true;
    if (!release()) return false;
  }
}

template <class... A, size_t... I>
inline void call(void (*kernel)(A...), void** values, std::index_sequence<I...>) {
  kernel(*static_cast<std::remove_const_t<A>*>(values[I])...);
}

template <class... A>
int run(void (*kernel)(A...), const unsigned* shape, void** values, const int* sizes, int count, bool backwards) {
  if (count != int(sizeof...(A))) return -1;
  const int expected[] = {int(sizeof(A))..., 0};
  for (int i = 0; i < count; ++i) if (expected[i] != sizes[i]) return i + 1;
  gridDim = {shape[0], shape[1], shape[2]};
  blockDim = {shape[3], shape[4], shape[5]};
  size_t threads = size_t(shape[3]) * shape[4] * shape[5], blocks = size_t(shape[0]) * shape[1] * shape[2];
  auto thread = [&] { call(kernel, values, std::index_sequence_for<A...>()); };
  body = [](void* data) { (*static_cast<decltype(thread)*>(data))(); };
  body_data = &thread;
  for (size_t k = 0; k < blocks; ++k) {
    unsigned b = unsigned(backwards ? blocks - 1 - k : k);
    blockIdx = {b % gridDim.x, b / gridDim.x % gridDim.y, b / (gridDim.x * gridDim.y)};
    if (!run_block(threads, backwards)) return -2;
  }
  return 0;
}

template <class T> inline T exchange(T value, unsigned lane) {
  static_assert(sizeof(T) <= 8, "");
  size_t me = current, from = me / 32 * 32 + lane;
  std::memcpy(&slots[me], &value, sizeof value);
  yield(warp);
  T other = value;
  if (from < fibers.size()) std::memcpy(&other, &slots[from], sizeof other);
  yield(warp);
  return other;
}

}  // namespace emulate

inline void __syncthreads() { emulate::yield(emulate::block); }
inline void __syncwarp(unsigned = ~0u) { emulate::yield(emulate::warp); }
template <class T> inline T __shfl_sync(unsigned, T v, int lane) { return emulate::exchange(v, unsigned(lane) & 31); }
template <class T> inline T __shfl_xor_sync(unsigned, T v, int mask) {
  return emulate::exchange(v, (unsigned(emulate::current) & 31) ^ unsigned(mask));
}
template <class T> inline T __shfl_down_sync(unsigned, T v, unsigned by) {
  unsigned lane = unsigned(emulate::current) & 31;
  return emulate::exchange(v, lane + by < 32 ? lane + by : lane);
}
template <class T> inline T __shfl_up_sync(unsigned, T v, unsigned by) {
  unsigned lane = unsigned(emulate::current) & 31;
  return emulate::exchange(v, lane >= by ? lane - by : lane);
}

#define EMULATE(kernel)                                                                                       \
  extern "C" int emulate_##kernel(const unsigned* shape, void** values, const int* sizes, int n, int backwards) { \
    return emulate::run(kernel, shape, values, sizes, n, backwards != 0);                                     \
  }
