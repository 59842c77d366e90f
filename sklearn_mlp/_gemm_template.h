/* One precision of the product of _gemm.h, for vectors of 32 bytes and 16 vector registers.

   The innermost loop multiplies a tile of ROWS rows of A with a panel of two vectors of columns of B
   and keeps the 6 x 2 vectors of C in registers. A panel is copied into a contiguous buffer that
   stays in the first-level cache (k is cut into blocks of at most DEPTH for that) while a block of A
   that stays in the second-level cache passes by. Rows of A are read in place where they are
   contiguous and otherwise copied, tile by tile.

   A product with very few columns is computed as its transpose, whose rows are then few: no lane of
   a vector is wasted. */
#include <string.h>

#ifndef ROWS
#define ROWS 6
#define DEPTH 256
#define LANES ((ptrdiff_t) (32 / sizeof(REAL)))
#define WIDTH (2 * LANES)
#endif

typedef REAL NAME(vector) __attribute__((vector_size(32)));
#define VECTOR NAME(vector)

static inline VECTOR NAME(load)(const REAL *from)
{
    VECTOR v;
    memcpy(&v, from, sizeof v);
    return v;
}

static inline void NAME(store)(REAL *to, VECTOR v) { memcpy(to, &v, sizeof v); }

/* c[0:rows, 0:WIDTH] (+)= a[0:rows, 0:depth] panel; `rows` is a constant wherever this is inlined. */
static inline __attribute__((always_inline)) void NAME(tile)(
    int rows, ptrdiff_t depth, const REAL *a, ptrdiff_t a_row, ptrdiff_t a_column,
    const REAL *panel, REAL *c, ptrdiff_t ldc, int accumulate)
{
    VECTOR sum[ROWS][2] = {{{0}}};
    if (accumulate) {
#pragma GCC unroll 6
        for (int i = 0; i < rows; i++) {
            sum[i][0] = NAME(load)(c + i * ldc);
            sum[i][1] = NAME(load)(c + i * ldc + LANES);
        }
    }
    for (ptrdiff_t p = 0; p < depth; p++) {
        VECTOR left = NAME(load)(panel + p * WIDTH), right = NAME(load)(panel + p * WIDTH + LANES);
#pragma GCC unroll 6
        for (int i = 0; i < rows; i++) {
            REAL factor = a[i * a_row + p * a_column];
            sum[i][0] += factor * left;
            sum[i][1] += factor * right;
        }
    }
#pragma GCC unroll 6
    for (int i = 0; i < rows; i++) {
        NAME(store)(c + i * ldc, sum[i][0]);
        NAME(store)(c + i * ldc + LANES, sum[i][1]);
    }
}

static void NAME(any_tile)(
    int rows, ptrdiff_t depth, const REAL *a, ptrdiff_t a_row, ptrdiff_t a_column,
    const REAL *panel, REAL *c, ptrdiff_t ldc, int accumulate)
{
    switch (rows) {
    case 6: NAME(tile)(6, depth, a, a_row, a_column, panel, c, ldc, accumulate); break;
    case 5: NAME(tile)(5, depth, a, a_row, a_column, panel, c, ldc, accumulate); break;
    case 4: NAME(tile)(4, depth, a, a_row, a_column, panel, c, ldc, accumulate); break;
    case 3: NAME(tile)(3, depth, a, a_row, a_column, panel, c, ldc, accumulate); break;
    case 2: NAME(tile)(2, depth, a, a_row, a_column, panel, c, ldc, accumulate); break;
    default: NAME(tile)(1, depth, a, a_row, a_column, panel, c, ldc, accumulate);
    }
}

/* panel[p, j] = b[p, j] for j < columns, and 0 for the rest of WIDTH. */
static void NAME(pack_panel)(
    const REAL *b, ptrdiff_t b_row, ptrdiff_t b_column, ptrdiff_t depth, ptrdiff_t columns,
    REAL *panel)
{
    if (b_column == 1 && columns == WIDTH) {
        for (ptrdiff_t p = 0; p < depth; p++, b += b_row, panel += WIDTH) {
            NAME(store)(panel, NAME(load)(b));
            NAME(store)(panel + LANES, NAME(load)(b + LANES));
            __builtin_prefetch(b + WIDTH); /* the next panel's row */
        }
        return;
    }
    for (ptrdiff_t j = 0; j < columns; j++)
        for (ptrdiff_t p = 0; p < depth; p++)
            panel[p * WIDTH + j] = b[p * b_row + j * b_column];
    for (ptrdiff_t j = columns; j < WIDTH; j++)
        for (ptrdiff_t p = 0; p < depth; p++)
            panel[p * WIDTH + j] = 0;
}

/* Tiles of ROWS rows of a, each as (depth, ROWS). */
static void NAME(pack_tiles)(
    const REAL *a, ptrdiff_t a_row, ptrdiff_t a_column, ptrdiff_t m, ptrdiff_t depth, REAL *tiles)
{
    for (ptrdiff_t i = 0; i < m; i += ROWS, tiles += ROWS * depth) {
        int rows = m - i < ROWS ? (int) (m - i) : ROWS;
        const REAL *from = a + i * a_row;
        if (a_row == 1 && rows == ROWS)
            for (ptrdiff_t p = 0; p < depth; p++)
                for (int r = 0; r < ROWS; r++)
                    tiles[p * ROWS + r] = from[p * a_column + r];
        else
            for (ptrdiff_t p = 0; p < depth; p++)
                for (int r = 0; r < rows; r++)
                    tiles[p * ROWS + r] = from[p * a_column + r * a_row];
    }
}

static void NAME(put_tile)(
    const REAL *tile, int rows, ptrdiff_t columns, REAL *c, ptrdiff_t c_row, ptrdiff_t c_column,
    int accumulate)
{
    for (int i = 0; i < rows; i++)
        for (ptrdiff_t j = 0; j < columns; j++) {
            REAL *to = c + i * c_row + j * c_column;
            *to = accumulate ? *to + tile[i * WIDTH + j] : tile[i * WIDTH + j];
        }
}

/* A block of rows of A times all of B, over one block of k. */
static void NAME(multiply_block)(
    ptrdiff_t m, ptrdiff_t n, ptrdiff_t depth, const REAL *a, ptrdiff_t a_row, ptrdiff_t a_column,
    ptrdiff_t tile_step, const REAL *b, ptrdiff_t b_row, ptrdiff_t b_column, REAL *c,
    ptrdiff_t c_row, ptrdiff_t c_column, int accumulate)
{
    REAL panel[DEPTH * WIDTH] __attribute__((aligned(64)));
    REAL edge[ROWS * WIDTH] __attribute__((aligned(64)));
    for (ptrdiff_t j = 0; j < n; j += WIDTH) {
        ptrdiff_t columns = n - j < WIDTH ? n - j : WIDTH;
        NAME(pack_panel)(b + j * b_column, b_row, b_column, depth, columns, panel);
        for (ptrdiff_t i = 0; i < m; i += ROWS) {
            int rows = m - i < ROWS ? (int) (m - i) : ROWS;
            const REAL *from = a + i / ROWS * tile_step;
            REAL *to = c + i * c_row + j * c_column;
            if (columns == WIDTH && c_column == 1) {
                NAME(any_tile)(rows, depth, from, a_row, a_column, panel, to, c_row, accumulate);
            } else {
                NAME(any_tile)(rows, depth, from, a_row, a_column, panel, edge, WIDTH, 0);
                NAME(put_tile)(edge, rows, columns, to, c_row, c_column, accumulate);
            }
        }
    }
}

void GEMM(GEMM_ARGUMENTS(REAL))
{
    ptrdiff_t c_row = ldc, c_column = 1, n_blocks = (k + DEPTH - 1) / DEPTH, depth, m_block;
    if (n < LANES && n < m) { /* C' = B' A' */
        const REAL *left = b;
        ptrdiff_t swap, left_row = b_column, left_column = b_row;
        b = a, b_row = a_column, b_column = a_row;
        a = left, a_row = left_row, a_column = left_column;
        swap = m, m = n, n = swap;
        c_row = 1, c_column = ldc;
    }
    depth = (k + n_blocks - 1) / n_blocks; /* blocks of k of about the same size */
    m_block = GEMM_WORK / depth / ROWS * ROWS;
    for (ptrdiff_t p = 0; p < k; p += depth, accumulate = 1) {
        ptrdiff_t block_depth = k - p < depth ? k - p : depth;
        for (ptrdiff_t i = 0; i < m; i += m_block) {
            ptrdiff_t rows = m - i < m_block ? m - i : m_block;
            const REAL *from = a + i * a_row + p * a_column;
            int packed = a_column != 1;
            if (packed)
                NAME(pack_tiles)(from, a_row, a_column, rows, block_depth, work);
            NAME(multiply_block)(
                rows, n, block_depth, packed ? work : from, packed ? 1 : a_row,
                packed ? ROWS : 1, ROWS * (packed ? block_depth : a_row), b + p * b_row, b_row,
                b_column, c + i * c_row, c_row, c_column, accumulate);
        }
    }
}

#undef VECTOR
