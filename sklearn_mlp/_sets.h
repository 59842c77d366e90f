/* Functions and tables that exist once per instruction set, under names that end in the set's. */
#ifndef SKLEARN_MLP_SETS_H
#define SKLEARN_MLP_SETS_H

/* `level` counts the sets: 0 is the compiler's baseline, 1 AVX2 and 2 AVX-512. */
#ifdef SKLEARN_MLP_AVX2
#define SETS_CHOOSE(name, level)                                                                   \
    ((level) == 2 ? name##_avx512 : (level) == 1 ? name##_avx2 : name##_portable)
#else
#define SETS_CHOOSE(name, level) ((void) (level), name##_portable)
#endif

#endif
