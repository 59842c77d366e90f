/* to[j, i] = from[i, j] of 8 x 8 floats or 4 x 4 doubles, with the instructions of AVX2. */
#include <immintrin.h>
#include <stddef.h>

static inline void transpose_f(const float *from, ptrdiff_t step, float *to, ptrdiff_t to_step)
{
    __m256 row[8], pair[8];
    for (int i = 0; i < 8; i++)
        row[i] = _mm256_loadu_ps(from + i * step);
    for (int i = 0; i < 8; i += 2) {
        pair[i] = _mm256_unpacklo_ps(row[i], row[i + 1]);
        pair[i + 1] = _mm256_unpackhi_ps(row[i], row[i + 1]);
    }
    for (int i = 0; i < 8; i += 4)
        for (int j = 0; j < 2; j++) {
            row[i + 2 * j] = _mm256_shuffle_ps(pair[i + j], pair[i + j + 2], 0x44);
            row[i + 2 * j + 1] = _mm256_shuffle_ps(pair[i + j], pair[i + j + 2], 0xEE);
        }
    for (int i = 0; i < 4; i++) {
        _mm256_storeu_ps(to + i * to_step, _mm256_permute2f128_ps(row[i], row[i + 4], 0x20));
        _mm256_storeu_ps(to + (i + 4) * to_step, _mm256_permute2f128_ps(row[i], row[i + 4], 0x31));
    }
}

static inline void transpose_d(const double *from, ptrdiff_t step, double *to, ptrdiff_t to_step)
{
    __m256d row[4], pair[4];
    for (int i = 0; i < 4; i++)
        row[i] = _mm256_loadu_pd(from + i * step);
    for (int i = 0; i < 4; i += 2) {
        pair[i] = _mm256_unpacklo_pd(row[i], row[i + 1]);
        pair[i + 1] = _mm256_unpackhi_pd(row[i], row[i + 1]);
    }
    for (int i = 0; i < 2; i++) {
        _mm256_storeu_pd(to + i * to_step, _mm256_permute2f128_pd(pair[i], pair[i + 2], 0x20));
        _mm256_storeu_pd(to + (i + 2) * to_step, _mm256_permute2f128_pd(pair[i], pair[i + 2], 0x31));
    }
}
