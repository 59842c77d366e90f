/* Random numbers for dropout, by counting: the number of a unit is a function of (seed, epoch, row of
   the data set, layer, unit) alone, so that neither threads nor the layout of batches change it.

   A key of 64 bits is made for every row and layer with the finaliser of SplitMix64 (Steele, Lea and
   Flood 2014), a bijection that lets each bit of its argument reach every bit of the result. The units
   of a row are then numbered from it by a 32-bit mixer of two multiplications, into which the second
   half of the key goes between the two; the loop of _rows.h is vectorised by any compiler, with the same
   bits. */
#ifndef SKLEARN_MLP_DROPOUT_H
#define SKLEARN_MLP_DROPOUT_H

#include <stddef.h>
#include <stdint.h>

static inline uint64_t dropout_mix(uint64_t x)
{
    x += 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

static inline uint64_t dropout_epoch_key(uint64_t seed, uint64_t epoch)
{
    return dropout_mix(dropout_mix(seed) + epoch);
}

static inline uint64_t dropout_row_key(uint64_t epoch_key, uint64_t row, uint64_t layer)
{
    return dropout_mix(dropout_mix(epoch_key + row) + layer);
}

static inline uint32_t dropout_number(uint64_t row_key, uint32_t unit)
{
    uint32_t x = (uint32_t) row_key + unit * 0x9E3779B9u;
    x = (x ^ (x >> 16)) * 0x7FEB352Du;
    x += (uint32_t) (row_key >> 32);
    x = (x ^ (x >> 15)) * 0x846CA68Bu;
    return x ^ (x >> 16);
}

#endif
