// Monge-Kantorovich's 3x3 map, on one thread: see _triton_transport.py for the formula and why it is this one.
#pragma once

struct Matrix { float at[3][3]; };

// Of a covariance, its upper triangle by rows.
struct Covariance { float xx, xy, xz, yy, yz, zz; };

__device__ __forceinline__ float length(const Matrix& m, int c) {
  return sqrtf(m.at[0][c] * m.at[0][c] + m.at[1][c] * m.at[1][c] + m.at[2][c] * m.at[2][c]);
}

__device__ __forceinline__ void turn(Matrix& m, int p, int q, float cosine, float tangent) {
#pragma unroll
  for (int k = 0; k < 3; ++k) {
    float a = m.at[k][p], b = m.at[k][q];
    m.at[k][p] = cosine * (a - tangent * b);
    m.at[k][q] = cosine * (b + tangent * a);
  }
}

// Turns columns p and q of m until they are orthogonal, and v with them (Rutishauser's smaller angle).
__device__ __forceinline__ void turn(Matrix& m, Matrix& v, int p, int q) {
  float across = 0, more = 0;
#pragma unroll
  for (int k = 0; k < 3; ++k) {
    across += m.at[k][p] * m.at[k][q];
    more += m.at[k][q] * m.at[k][q] - m.at[k][p] * m.at[k][p];
  }
  if (across == 0) return;
  float ratio = more / (2 * across), tangent = (ratio < 0 ? -1 : 1) / (fabsf(ratio) + sqrtf(1 + ratio * ratio));
  float cosine = 1 / sqrtf(1 + tangent * tangent);
  turn(m, p, q, cosine, tangent);
  turn(v, p, q, cosine, tangent);
}

// Turns the columns of m until all are orthogonal; returns the rotation.
__device__ __forceinline__ Matrix orthogonal_columns(Matrix& m) {
  Matrix v = {{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}};
#pragma unroll 1
  for (int sweep = 0; sweep < 5; ++sweep) {  // float32's last digits do not change after four
    turn(m, v, 0, 1);
    turn(m, v, 0, 2);
    turn(m, v, 1, 2);
  }
  return v;
}

__device__ __forceinline__ Matrix cholesky(const Covariance& a) {
  const float least = LEAST_DEVIATION * LEAST_DEVIATION;
  Matrix l = {};
  l.at[0][0] = sqrtf(a.xx + least);
  l.at[1][0] = a.xy / l.at[0][0];
  l.at[2][0] = a.xz / l.at[0][0];
  l.at[1][1] = sqrtf(fmaxf(a.yy - l.at[1][0] * l.at[1][0], 0.0f) + least);
  l.at[2][1] = (a.yz - l.at[2][0] * l.at[1][0]) / l.at[1][1];
  l.at[2][2] = sqrtf(fmaxf(a.zz - l.at[2][0] * l.at[2][0] - l.at[2][1] * l.at[2][1], 0.0f) + least);
  return l;
}

// a^T b, or a b^T.
template <bool TRANSPOSED_A>
__device__ __forceinline__ Matrix product(const Matrix& a, const Matrix& b) {
  Matrix c = {};
#pragma unroll
  for (int i = 0; i < 3; ++i)
#pragma unroll
    for (int j = 0; j < 3; ++j)
#pragma unroll
      for (int k = 0; k < 3; ++k)
        c.at[i][j] += TRANSPOSED_A ? a.at[k][i] * b.at[k][j] : a.at[i][k] * b.at[j][k];
  return c;
}

// The symmetric T with T have T = want, its eigenvalues within 1 / MAX_GAIN..MAX_GAIN.
__device__ inline Matrix monge_kantorovich(const Covariance& have, const Covariance& want) {
  Matrix lower = cholesky(have), wanted = cholesky(want);
  Matrix m = product<true>(wanted, lower);
  Matrix v = orthogonal_columns(m);
  Matrix turned = {};  // the rotation nearest to G^T L, transposed
#pragma unroll
  for (int c = 0; c < 3; ++c) {
    float scale = 1 / length(m, c);
#pragma unroll
    for (int k = 0; k < 3; ++k) m.at[k][c] *= scale;
  }
  turned = product<false>(v, m);
  Matrix rest = product<false>(wanted, turned);  // G Q
#pragma unroll
  for (int c = 2; c >= 0; --c)  // times L^-1 from the right, by substitution
#pragma unroll
    for (int i = 0; i < 3; ++i) {
#pragma unroll
      for (int k = 2; k > c; --k) rest.at[i][c] -= rest.at[i][k] * lower.at[k][c];
      rest.at[i][c] /= lower.at[c][c];
    }
#pragma unroll
  for (int i = 0; i < 3; ++i)
#pragma unroll
    for (int j = 0; j < 3; ++j) m.at[i][j] = (rest.at[i][j] + rest.at[j][i]) / 2;
  v = orthogonal_columns(m);
  turned = v;
#pragma unroll
  for (int c = 0; c < 3; ++c) {
    float gain = fminf(fmaxf(length(m, c), 1 / MAX_GAIN), MAX_GAIN);
#pragma unroll
    for (int k = 0; k < 3; ++k) turned.at[k][c] *= gain;
  }
  return product<false>(turned, v);
}
