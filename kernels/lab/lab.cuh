// sRGB to CIELAB and back, a pixel at a time, in float. The curves are those of _numba.py: polynomials in x or in its
// fourth root, within 2e-6, in place of powf and cbrtf, which take three times as long. There and back: within 1e-4 of 0..1.
#pragma once

struct Colour { float x, y, z; };  // R, G, B in 0..1, or L in 0..100, a and b

namespace lab {

constexpr float DELTA = 6.0f / 29, SLOPE = 3 * DELTA * DELTA, OFFSET = 4.0f / 29;

// Linear light of an sRGB value in 0..1.
__device__ __forceinline__ float linear(float x) {
  float p = -0.277564817f + x * 0.0621646944f;
  p = 0.804599312f + x * (-0.663258111f + x * (0.544278579f + x * p));
  p = 0.000870136042f + x * (0.0346638349f + x * (0.494248075f + x * p));
  return x <= 0.04045f ? x * (1 / 12.92f) : p;
}

// CIELAB's f: the cube root, and its tangent near black.
__device__ __forceinline__ float curve(float t) {
  float z = sqrtf(sqrtf(fmaxf(t, 0.0f)));
  float p = 0.70069298f + z * (-0.32510106f + z * 0.0661907363f);
  p = -0.0108664633f + z * (0.467037731f + z * (1.01419337f + z * (-0.912147308f + z * p)));
  return t > DELTA * DELTA * DELTA ? p : t * (1 / SLOPE) + OFFSET;
}

__device__ __forceinline__ float inverse_curve(float f) { return f > DELTA ? f * f * f : (f - OFFSET) * SLOPE; }

// The sRGB value, 0..1, of linear light, which is clamped to 0..1 first.
__device__ __forceinline__ float gamma(float x) {
  x = fminf(fmaxf(x, 0.0f), 1.0f);
  float z = sqrtf(sqrtf(x));
  float p = 0.657165903f + z * (-0.318400755f + z * 0.0682038274f);
  p = -0.059546718f + z * (0.139605501f + z * (1.36591432f + z * (-0.852940677f + z * p)));
  return x <= 0.0031308f ? x * 12.92f : fminf(p, 1.0f);
}

// The rows of the matrices are reference.py's: each is divided by D65's white.
__device__ __forceinline__ Colour from_rgb(Colour rgb) {
  float r = linear(rgb.x), g = linear(rgb.y), b = linear(rgb.z);
  float fx = curve(0.43395275f * r + 0.37621942f * g + 0.18982783f * b);
  float fy = curve(0.212671f * r + 0.71516f * g + 0.072169f * b);
  float fz = curve(0.017757915f * r + 0.10947652f * g + 0.87276554f * b);
  return {116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)};
}

__device__ __forceinline__ Colour to_rgb(Colour lab) {
  float fy = (lab.x + 16) * (1 / 116.0f);
  float x = inverse_curve(fy + lab.y * (1 / 500.0f)), y = inverse_curve(fy), z = inverse_curve(fy - lab.z * (1 / 200.0f));
  return {gamma(3.0799348f * x - 1.5371516f * y - 0.5427834f * z),
          gamma(-0.9212342f * x + 1.87599f * y + 0.04524418f * z),
          gamma(0.05288968f * x - 0.20404133f * y + 1.1511517f * z)};
}

}  // namespace lab
