// Pictures are stored as float, __half or __nv_bfloat16 (-DTYPE=...) and computed in float.
#pragma once
#include <cuda_bf16.h>
#include <cuda_fp16.h>

__device__ __forceinline__ float from(float x) { return x; }
__device__ __forceinline__ float from(__half x) { return __half2float(x); }
__device__ __forceinline__ float from(__nv_bfloat16 x) { return __bfloat162float(x); }

__device__ __forceinline__ void put(float* p, float x) { *p = x; }
__device__ __forceinline__ void put(__half* p, float x) { *p = __float2half_rn(x); }
__device__ __forceinline__ void put(__nv_bfloat16* p, float x) { *p = __float2bfloat16_rn(x); }
