/* One precision and instruction set of the product of _gemm.h. The file that includes this defines
   REAL, the names NAME(function), vectors of LANES values with their operations, and how many of them
   REGISTERS hold.

   The innermost loop multiplies a tile of up to ROWS rows of A with a panel of two vectors of columns of
   B and keeps the sums in registers; an odd number of vectors begins with a panel of WIDEST. A panel is
   copied into a contiguous buffer that stays in the first-level cache (k is cut into blocks of at most
   DEPTH for that) while a block of A that stays in the second-level cache passes by. A B that fits that
   cache as it is, or is read only once, and needs no filling up, is read in place, and so is an A with
   contiguous rows.

   Products with fewer columns than a vector has lanes take other ways, and so do the last columns of others
   where they fill no more than half a vector: a row of C at a time as dot products, or C' = B' A' with few
   rows. */
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define WIDTH (WIDEST * LANES)
#define LINE ((int) (64 / sizeof(REAL)))
#define BLOCK_ROWS ((ptrdiff_t) (GEMM_WORK / DEPTH * sizeof(float) / sizeof(REAL)))
#define FETCH_FROM 400000 /* bytes of B that do not stay in the second-level cache beside A */
#define MOST_FEW 3
#define WITH_ROW(finish, ldc) ((finish) >= GEMM_SLOPES ? (ldc) : 0)
#define DEEP 64
#ifdef __clang__ /* which unrolls by a number too late to keep sums in registers */
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

/* sum = a[0:rows, 0:depth] panel[0:depth], the panel in rows of `step`; constants where inlined are
   `rows`, `vectors`, and whether the last vector has `rest` < LANES values. */
INLINE void NAME(multiply_tile)(
    int rows, int vectors, int partial, int rest, ptrdiff_t depth, const REAL *a, ptrdiff_t a_row,
    ptrdiff_t a_column, const REAL *panel, ptrdiff_t step, VECTOR *sum)
{
    UNROLL for (int s = 0; s < rows * vectors; s++) sum[s] = ZERO;
    for (ptrdiff_t p = 0; p < depth; p++) {
        VECTOR right[MOST_VECTORS];
        UNROLL for (int v = 0; v < vectors; v++)
        {
            const REAL *from = panel + p * step + v * LANES;
            right[v] = partial && v == vectors - 1 ? LOAD_PART(from, rest) : LOAD(from);
        }
        UNROLL for (int i = 0; i < rows; i++)
        {
            VECTOR left = SPREAD(a[i * a_row + p * a_column]);
            UNROLL for (int v = 0; v < vectors; v++)
                sum[i * vectors + v] = FMA(left, right[v], sum[i * vectors + v]);
        }
    }
}

INLINE VECTOR NAME(finished)(int finish, VECTOR x, VECTOR with)
{
    if (finish == GEMM_SLOPES)
        return MULTIPLY(x, with);
    if (finish == GEMM_RELU_SLOPES)
        return ZERO_WHERE_ZERO(with, x);
    x = ADD(x, with);
    return finish == GEMM_RELU ? NOT_BELOW_ZERO(x) : x;
}

/* A value at a time, and without a branch, which would go either way. */
INLINE REAL NAME(finished_value)(int finish, REAL x, REAL with)
{
    return NAME(finished)(finish, SPREAD(x), SPREAD(with))[0];
}

/* What comes after the sums of C, where they were stored without it. */
static __attribute__((noinline)) void NAME(finish_all)(
    ptrdiff_t m, ptrdiff_t n, REAL *c, ptrdiff_t ldc, int finish, const REAL *with)
{
    for (ptrdiff_t i = 0; i < m; i++, c += ldc, with += WITH_ROW(finish, ldc))
        for (ptrdiff_t j = 0; j < n; j++)
            c[j] = NAME(finished_value)(finish, c[j], with[j]);
}

#define EACH_SUM                                                                                   \
    UNROLL for (int i = 0; i < rows; i++)                                                          \
        UNROLL for (int v = 0; v < vectors; v++)
#define PART(v) (v == vectors - 1 && rest < LANES) /* a masked store is slow */
#define LOAD_VECTOR(from, v) (PART(v) ? LOAD_PART(from, rest) : LOAD(from))
#define FINISH(step)                                                                               \
    case step:                                                                                     \
        EACH_SUM sum[i * vectors + v] = NAME(finished)(                                            \
            step, sum[i * vectors + v], LOAD_VECTOR(with + i * with_row + v * LANES, v));          \
        break;

/* c[0:rows, 0:(vectors - 1) * LANES + rest] (+)= a[0:rows, 0:depth] panel, finished */
INLINE void NAME(tile)(
    int rows, int vectors, int rest, ptrdiff_t depth, const REAL *a, ptrdiff_t a_row,
    ptrdiff_t a_column, const REAL *panel, ptrdiff_t step, REAL *c, ptrdiff_t ldc, int accumulate,
    int finish, const REAL *with)
{
    VECTOR sum[REGISTERS];
    const ptrdiff_t with_row = WITH_ROW(finish, ldc);
    if (depth >= DEEP) /* C is wanted at the end, which is long enough to fetch it */
        UNROLL for (int i = 0; i < rows; i++)
            for (int j = 0; j < vectors * LANES; j += LINE)
                __builtin_prefetch(c + i * ldc + j, 1);
    if (depth >= DEEP && finish >= GEMM_SLOPES)
        UNROLL for (int i = 0; i < rows; i++)
            for (int j = 0; j < vectors * LANES; j += LINE)
                __builtin_prefetch(with + i * with_row + j);
    NAME(multiply_tile)(rows, vectors, 0, 0, depth, a, a_row, a_column, panel, step, sum);
    if (accumulate)
        EACH_SUM sum[i * vectors + v] =
            ADD(LOAD_VECTOR(c + i * ldc + v * LANES, v), sum[i * vectors + v]);
    switch (finish) {
        FINISH(GEMM_INTERCEPTS)
        FINISH(GEMM_RELU)
        FINISH(GEMM_SLOPES)
        FINISH(GEMM_RELU_SLOPES)
    }
    EACH_SUM
    {
        REAL *to = c + i * ldc + v * LANES;
        if (PART(v))
            STORE_PART(to, rest, sum[i * vectors + v]);
        else
            STORE(to, sum[i * vectors + v]);
    }
}

#define CASE(r)                                                                                    \
    case r:                                                                                        \
        NAME(tile)(r, vectors, rest, depth, a, a_row, a_column, panel, step, c, ldc, accumulate,   \
                   finish, with);                                                                  \
        break;

/* The tiles of m rows along a panel. Tile i of A begins at a + i * tile. Meanwhile `ahead_rows` rows of the
   next panel are fetched. */
#define TILES_OF(name, vectors_)                                                                   \
    static __attribute__((noinline)) void NAME(name)(                                              \
        ptrdiff_t m, int rest, ptrdiff_t depth, const REAL *a, ptrdiff_t a_row, ptrdiff_t a_column, \
        ptrdiff_t tile, const REAL *panel, ptrdiff_t step, REAL *c, ptrdiff_t ldc, int accumulate, \
        int finish, const REAL *with, const REAL *ahead, ptrdiff_t ahead_step,                     \
        ptrdiff_t ahead_rows)                                                                      \
    {                                                                                              \
        enum { vectors = vectors_ };                                                               \
        ptrdiff_t share = ahead_rows * ROWS / m + 1, with_rows = ROWS * WITH_ROW(finish, ldc);     \
        for (; m >= ROWS; m -= ROWS, a += tile, c += ROWS * ldc, with += with_rows) {              \
            for (ptrdiff_t p = 0; p < share && ahead_rows > 0; p++, ahead_rows--, ahead += ahead_step) \
                for (int v = 0; v < 2 * LANES; v += LINE)                                          \
                    __builtin_prefetch(ahead + v);                                                 \
            NAME(tile)(ROWS, vectors, rest, depth, a, a_row, a_column, panel, step, c, ldc,        \
                       accumulate, finish, with);                                                  \
        }                                                                                          \
        switch (m) { LAST_ROWS(CASE) }                                                             \
    }

TILES_OF(narrow_tiles, 1)
TILES_OF(wide_tiles, 2)
#if WIDEST > 2
TILES_OF(widest_tiles, WIDEST)
#endif

typedef void (*NAME(tiles_function))(
    ptrdiff_t m, int rest, ptrdiff_t depth, const REAL *a, ptrdiff_t a_row, ptrdiff_t a_column,
    ptrdiff_t tile, const REAL *panel, ptrdiff_t step, REAL *c, ptrdiff_t ldc, int accumulate,
    int finish, const REAL *with, const REAL *ahead, ptrdiff_t ahead_step, ptrdiff_t ahead_rows);

static NAME(tiles_function) NAME(tiles_of)(ptrdiff_t vectors)
{
#if WIDEST > 2
    if (vectors == WIDEST)
        return NAME(widest_tiles);
#endif
    return vectors == 2 ? NAME(wide_tiles) : NAME(narrow_tiles);
}

/* panel[p, j] = b[p, j] for j < columns, in rows of `step`; what is beyond `columns` is 0. */
static void NAME(pack_rows)(
    const REAL *b, ptrdiff_t ldb, ptrdiff_t depth, ptrdiff_t columns, REAL *panel, ptrdiff_t step)
{
    if (columns == 2 * LANES) {
        for (ptrdiff_t p = 0; p < depth; p++, b += ldb, panel += 2 * LANES) {
            STORE(panel, LOAD(b));
            STORE(panel + LANES, LOAD(b + LANES));
        }
        return;
    }
    for (ptrdiff_t p = 0; p < depth; p++, b += ldb, panel += step)
        for (ptrdiff_t j = 0; j < columns; j += LANES)
            STORE(panel + j, columns - j < LANES ? LOAD_PART(b + j, columns - j) : LOAD(b + j));
}

/* The same of a B whose columns are contiguous: panel[p, j] = b[j, p]. */
static void NAME(pack_columns)(
    const REAL *b, ptrdiff_t ldb, ptrdiff_t depth, ptrdiff_t columns, REAL *panel, ptrdiff_t step)
{
    ptrdiff_t j = 0, p, end = step;
    for (; j + SIDE <= columns; j += SIDE) {
        for (p = 0; p + SIDE <= depth; p += SIDE)
            TRANSPOSE(b + j * ldb + p, ldb, panel + p * step + j, step);
        for (; p < depth; p++)
            for (int s = 0; s < SIDE; s++)
                panel[p * step + j + s] = b[(j + s) * ldb + p];
    }
    for (; j < columns; j++)
        for (p = 0; p < depth; p++)
            panel[p * step + j] = b[j * ldb + p];
    for (; j < end; j++)
        for (p = 0; p < depth; p++)
            panel[p * step + j] = 0;
}

/* Tiles of ROWS rows of a, each as (depth, ROWS). */
static void NAME(pack_tiles)(
    const REAL *a, ptrdiff_t a_row, ptrdiff_t a_column, ptrdiff_t m, ptrdiff_t depth, REAL *tiles)
{
    for (ptrdiff_t i = 0; i < m; i += ROWS, a += ROWS * a_row, tiles += ROWS * depth) {
        ptrdiff_t p = 0, rows = m - i < ROWS ? m - i : ROWS;
        if (rows == ROWS && a_row == 1)
            for (; p < depth; p++)
                memcpy(tiles + p * ROWS, a + p * a_column, ROWS * sizeof(REAL));
        for (; p < depth; p++)
            for (ptrdiff_t r = 0; r < rows; r++)
                tiles[p * ROWS + r] = a[r * a_row + p * a_column];
    }
}

/* A block of rows of A times all of B, over one block of k. Tile i of A begins at a + i * tile. */
static void NAME(multiply_block)(
    ptrdiff_t m, ptrdiff_t n, ptrdiff_t depth, const REAL *a, ptrdiff_t a_row, ptrdiff_t a_column,
    ptrdiff_t tile, const REAL *b, ptrdiff_t b_row, ptrdiff_t b_column, REAL *c, ptrdiff_t ldc,
    int accumulate, int finish, const REAL *with)
{
    REAL packed[DEPTH * WIDTH] __attribute__((aligned(64)));
    ptrdiff_t bytes = depth * n * (ptrdiff_t) sizeof(REAL);
    int whole = b_column == 1 && (m <= ROWS || depth * b_row * (ptrdiff_t) sizeof(REAL) <= IN_PLACE);
    for (ptrdiff_t j = 0, columns; j < n; j += columns) {
        ptrdiff_t left = (n - j + LANES - 1) / LANES;
        ptrdiff_t vectors = left % 2 && left >= WIDEST ? WIDEST : left < 2 ? left : 2;
        ptrdiff_t step = vectors * LANES;
        const REAL *panel = packed;
        columns = n - j < step ? n - j : step;
        if (whole && columns == step)
            panel = b + j, step = b_row;
        else if (b_column == 1)
            NAME(pack_rows)(b + j, b_row, depth, columns, packed, step);
        else
            NAME(pack_columns)(b + j * b_column, b_column, depth, columns, packed, step);
        NAME(tiles_of)(vectors)(m, (int) ((columns - 1) % LANES + 1), depth, a, a_row, a_column, tile,
                                panel, step, c + j, ldc, accumulate, finish, with + j,
                                b + j + columns, b_row,
                                b_column == 1 && bytes > FETCH_FROM && j + columns < n ? depth : 0);
    }
}

/* c[0:rows, 0:n] (+)= a[0:rows, 0:depth] b, of so few rows that b, with contiguous rows, is read in place. */
INLINE void NAME(few_rows)(
    int rows, int vectors, ptrdiff_t n, ptrdiff_t depth, const REAL *a, ptrdiff_t a_row,
    ptrdiff_t a_column, const REAL *b, ptrdiff_t b_row, REAL *c, ptrdiff_t ldc, int accumulate)
{
    VECTOR sum[REGISTERS];
    ptrdiff_t j = 0;
    for (; j + vectors * LANES <= n; j += vectors * LANES) {
        NAME(multiply_tile)(rows, vectors, 0, 0, depth, a, a_row, a_column, b + j, b_row, sum);
        UNROLL for (int i = 0; i < rows; i++)
            UNROLL for (int v = 0; v < vectors; v++)
            {
                REAL *to = c + i * ldc + j + v * LANES;
                VECTOR x = sum[i * vectors + v];
                STORE(to, accumulate ? ADD(LOAD(to), x) : x);
            }
    }
    for (; j < n; j += LANES) {
        int rest = (int) (n - j < LANES ? n - j : LANES);
        NAME(multiply_tile)(rows, 1, 1, rest, depth, a, a_row, a_column, b + j, b_row, sum);
        UNROLL for (int i = 0; i < rows; i++)
        {
            REAL *to = c + i * ldc + j;
            STORE_PART(to, rest, accumulate ? ADD(LOAD_PART(to, rest), sum[i]) : sum[i]);
        }
    }
}

#define FEW_CASE(r)                                                                                \
    case r:                                                                                        \
        NAME(few_rows)(r, REGISTERS / (r + 1) < MOST_VECTORS ? REGISTERS / (r + 1) : MOST_VECTORS, \
                       n, depth, a, a_row, a_column, b, b_row, c, ldc, accumulate);                \
        break;

static void NAME(few)(
    ptrdiff_t m, ptrdiff_t n, ptrdiff_t depth, const REAL *a, ptrdiff_t a_row, ptrdiff_t a_column,
    const REAL *b, ptrdiff_t b_row, REAL *c, ptrdiff_t ldc, int accumulate)
{
    switch (m) { FEW_CASE(1) FEW_CASE(2) FEW_CASE(3) }
}

static void NAME(by_panels)(GEMM_ARGUMENTS(REAL))
{
    ptrdiff_t fits = b_column == 1 && a_column != 1 ? IN_PLACE / (b_row * (ptrdiff_t) sizeof(REAL)) : 0;
    ptrdiff_t most = fits >= DEEP && fits < DEPTH ? fits : DEPTH;
    ptrdiff_t n_blocks = (k + most - 1) / most;
    ptrdiff_t depth = (k + n_blocks - 1) / n_blocks; /* blocks of k of about the same size */
    int packed = a_column != 1 && n > PACK_FROM * LANES; /* A is read often enough, and not in order */
    for (ptrdiff_t p = 0; p < k; p += depth, accumulate = 1) {
        ptrdiff_t block_depth = k - p < depth ? k - p : depth;
        int last = p + depth < k ? GEMM_PLAIN : finish;
        for (ptrdiff_t i = 0; i < m; i += BLOCK_ROWS) {
            ptrdiff_t rows = m - i < BLOCK_ROWS ? m - i : BLOCK_ROWS;
            const REAL *from = a + i * a_row + p * a_column;
            if (m <= MOST_FEW && b_column == 1) {
                NAME(few)(m, n, block_depth, from, a_row, a_column, b + p * b_row, b_row, c, ldc,
                          accumulate);
                if (last != GEMM_PLAIN)
                    NAME(finish_all)(m, n, c, ldc, last, with);
                continue;
            }
            if (packed)
                NAME(pack_tiles)(from, a_row, a_column, rows, block_depth, work);
            NAME(multiply_block)(
                rows, n, block_depth, packed ? work : from, packed ? 1 : a_row,
                packed ? ROWS : a_column, ROWS * (packed ? block_depth : a_row), b + p * b_row,
                b_row, b_column, c + i * ldc, ldc, accumulate, last, with + i * WITH_ROW(finish, ldc));
        }
    }
}

static __attribute__((noinline)) void NAME(put_transposed)(
    const REAL *sums, int rows, int vectors, ptrdiff_t count, REAL *c, ptrdiff_t ldc, int accumulate)
{
    for (int j = 0; j < rows; j++, sums += vectors * LANES)
        for (ptrdiff_t i = 0; i < count; i++)
            c[i * ldc + j] = accumulate ? c[i * ldc + j] + sums[i] : sums[i];
}

/* C' = B' A' for an A whose columns are contiguous: c[i, j] for `vectors` vectors of i and `rows` of j. */
INLINE void NAME(transposed_tile)(
    int rows, int vectors, int partial, int rest, ptrdiff_t k, const REAL *a, ptrdiff_t a_column,
    const REAL *b, ptrdiff_t b_row, ptrdiff_t b_column, REAL *c, ptrdiff_t ldc, int accumulate)
{
    VECTOR sum[REGISTERS];
    REAL sums[REGISTERS * LANES];
    NAME(multiply_tile)(rows, vectors, partial, rest, k, b, b_column, b_row, a, a_column, sum);
    UNROLL for (int s = 0; s < rows * vectors; s++) STORE(sums + s * LANES, sum[s]);
    NAME(put_transposed)(sums, rows, vectors, partial ? rest : vectors * LANES, c, ldc, accumulate);
}

/* Few columns of B: the more vectors of A at a time, as far as there are. */
INLINE void NAME(transposed_rows)(int rows, int vectors, GEMM_ARGUMENTS(REAL))
{
    ptrdiff_t i = 0;
    for (; i + vectors * LANES <= m; i += vectors * LANES)
        NAME(transposed_tile)(rows, vectors, 0, 0, k, a + i, a_column, b, b_row, b_column,
                              c + i * ldc, ldc, accumulate);
    for (; vectors > 4 && i + 4 * LANES <= m; i += 4 * LANES)
        NAME(transposed_tile)(rows, 4, 0, 0, k, a + i, a_column, b, b_row, b_column, c + i * ldc, ldc,
                              accumulate);
    for (; vectors > 2 && i + 2 * LANES <= m; i += 2 * LANES)
        NAME(transposed_tile)(rows, 2, 0, 0, k, a + i, a_column, b, b_row, b_column, c + i * ldc, ldc,
                              accumulate);
    for (; i < m; i += LANES)
        NAME(transposed_tile)(rows, 1, 1, (int) (m - i < LANES ? m - i : LANES), k, a + i, a_column, b,
                              b_row, b_column, c + i * ldc, ldc, accumulate);
}

#define TRANSPOSED_FUNCTION(r)                                                                     \
    static __attribute__((noinline)) void NAME(transposed_##r)(GEMM_ARGUMENTS(REAL))               \
    {                                                                                              \
        NAME(transposed_rows)(r, REGISTERS / (r + 1) < MOST_VECTORS ? REGISTERS / (r + 1)          \
                                                                    : MOST_VECTORS,                \
                              m, n, k, a, a_row, a_column, b, b_row, b_column, c, ldc, accumulate, \
                              finish, with, work);                                                 \
    }
#define TRANSPOSED_CASE(r)                                                                         \
    case r:                                                                                        \
        NAME(transposed_##r)(m, n, k, a, a_row, a_column, b, b_row, b_column, c, ldc, accumulate,  \
                             finish, with, work);                                                  \
        break;

TRANSPOSED_CASES(TRANSPOSED_FUNCTION)

static void NAME(transposed)(GEMM_ARGUMENTS(REAL))
{
    switch (n) { TRANSPOSED_CASES(TRANSPOSED_CASE) }
}

/* c[0:rows, 0:columns] (+)= a (rows of a_row, contiguous) times the columns, contiguous in `packed`. A row is
   summed the same way whether `rows` is 1 or DOT_ROWS. */
INLINE void NAME(dots_tile)(
    int rows, int columns, ptrdiff_t depth, const REAL *a, ptrdiff_t a_row, const REAL *packed,
    REAL *c, ptrdiff_t ldc, int accumulate, int finish, const REAL *with)
{
    VECTOR sum[DOT_ROWS * MOST_DOTS];
    REAL total[DOT_ROWS * MOST_DOTS];
    const ptrdiff_t with_row = WITH_ROW(finish, ldc);
    ptrdiff_t padded = (depth + LANES - 1) / LANES * LANES;
    UNROLL for (int s = 0; s < rows * columns; s++) sum[s] = ZERO;
    for (ptrdiff_t p = 0; p < depth; p += LANES) {
        VECTOR left[DOT_ROWS];
        UNROLL for (int i = 0; i < rows; i++) left[i] =
            depth - p < LANES ? LOAD_PART(a + i * a_row + p, depth - p) : LOAD(a + i * a_row + p);
        UNROLL for (int j = 0; j < columns; j++)
        {
            VECTOR right = LOAD(packed + j * padded + p);
            UNROLL for (int i = 0; i < rows; i++)
                sum[i * columns + j] = FMA(left[i], right, sum[i * columns + j]);
        }
    }
    UNROLL for (int j = 0; j < columns; j++)
        SUM_4(total + j * DOT_ROWS, sum[j], rows > 1 ? sum[columns + j] : ZERO,
              rows > 1 ? sum[2 * columns + j] : ZERO, rows > 1 ? sum[3 * columns + j] : ZERO);
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns; j++) {
            REAL *to = c + i * ldc + j, x = total[j * DOT_ROWS + i];
            x = accumulate ? *to + x : x;
            *to = finish == GEMM_PLAIN
                ? x : NAME(finished_value)(finish, x, with[i * with_row + j]);
        }
}

INLINE void NAME(dots_columns)(int columns, GEMM_ARGUMENTS(REAL))
{
    REAL packed[DEPTH * WIDTH] __attribute__((aligned(64)));
    ptrdiff_t depth = DEPTH * WIDTH / columns / LANES * LANES;
    for (ptrdiff_t p = 0; p < k; p += depth, accumulate = 1) {
        ptrdiff_t i = 0, block = k - p < depth ? k - p : depth;
        ptrdiff_t with_row = WITH_ROW(finish, ldc);
        int last = p + depth < k ? GEMM_PLAIN : finish;
        ptrdiff_t padded = (block + LANES - 1) / LANES * LANES;
        for (ptrdiff_t q = 0; q < padded; q++)
            for (int j = 0; j < columns; j++)
                packed[j * padded + q] = q < block ? b[(p + q) * b_row + j * b_column] : 0;
        for (; i + DOT_ROWS <= m; i += DOT_ROWS)
            NAME(dots_tile)(DOT_ROWS, columns, block, a + i * a_row + p, a_row, packed, c + i * ldc,
                            ldc, accumulate, last, with + i * with_row);
        for (; i < m; i++)
            NAME(dots_tile)(1, columns, block, a + i * a_row + p, a_row, packed, c + i * ldc, ldc,
                            accumulate, last, with + i * with_row);
    }
}

#define DOTS_CASE(columns)                                                                         \
    case columns:                                                                                  \
        NAME(dots_columns)(columns, m, n, k, a, a_row, a_column, b, b_row, b_column, c, ldc,       \
                           accumulate, finish, with, work);                                        \
        break;

static void NAME(dots)(GEMM_ARGUMENTS(REAL))
{
    switch (n) { DOT_CASES(DOTS_CASE) }
}

/* A product with few columns, if this is one; returns whether it is. Which way it goes must not depend on m
   where rows of C may be computed apart: bits differ. */
static int NAME(few_columns)(GEMM_ARGUMENTS(REAL))
{
    if (a_column != 1 && n <= MOST_TRANSPOSED && n < LANES) {
        NAME(transposed)(m, n, k, a, a_row, a_column, b, b_row, b_column, c, ldc, accumulate, finish,
                         with, work);
        if (finish != GEMM_PLAIN)
            NAME(finish_all)(m, n, c, ldc, finish, with);
    } else if (a_column == 1 && n <= MOST_DOTS && n * (k / LANES + 8) < k)
        NAME(dots)(m, n, k, a, a_row, a_column, b, b_row, b_column, c, ldc, accumulate, finish, with,
                   work);
    else
        return 0;
    return 1;
}

void NAME(gemm)(GEMM_ARGUMENTS(REAL))
{
    ptrdiff_t rest = n % LANES, whole = n - rest;
    if (finish == GEMM_PLAIN)
        with = c; /* not read, but counted on */
    if (NAME(few_columns)(m, n, k, a, a_row, a_column, b, b_row, b_column, c, ldc, accumulate, finish,
                          with, work))
        return;
    if (whole > 0 && 0 < rest && rest <= LANES / 2
        && NAME(few_columns)(m, rest, k, a, a_row, a_column, b + whole * b_column, b_row, b_column,
                             c + whole, ldc, accumulate, finish, with + whole, work))
        n = whole;
    NAME(by_panels)(m, n, k, a, a_row, a_column, b, b_row, b_column, c, ldc, accumulate, finish, with,
                    work);
}

#undef INLINE
#undef WIDTH
#undef LINE
#undef BLOCK_ROWS
#undef FETCH_FROM
#undef MOST_FEW
#undef DEEP
#undef UNROLL
#undef CASE
#undef EACH_SUM
#undef PART
#undef LOAD_VECTOR
#undef FINISH
#undef WITH_ROW
#undef TRANSPOSED_FUNCTION
#undef TILES_OF
#undef TRANSPOSED_CASE
#undef FEW_CASE
#undef DOTS_CASE
