/* How far weighted sums of events may rise, row by row: sums, or the `most` greatest, of changes times gains.

   See certify/bounds/events/shifts.py. A row has few steps with gains, and a step few changes: all others are left
   out. Outputs are taken in blocks, so that a block's changes stay in a core's own cache. */

#include <stdlib.h>
#include <string.h>

#define LANES 32
#define MOST 16 /* of the greatest that are kept: the caller asks for no more */

typedef struct {
    long rows, steps, outputs, pairs, most; /* most: 0 for the sum of all */
    int threads;
} Sizes;

/* `gains`: (rows, steps, distances), ≥ 0; `changes`: (steps, count, outputs), ≥ 0. */
typedef struct {
    const double *gains, *changes;
    long distances, count;
} Pair;

/* The changes of a block, and how many of each step are to be looked at. */
typedef struct {
    double *changes; /* by pair, step and place, LANES each */
    long *used;      /* by pair and step */
} Block;

static void fill(const Sizes *sizes, const Pair *pairs, long start, Block *block) {
    long width = sizes->outputs - start < LANES ? sizes->outputs - start : LANES;
    double *to = block->changes;
    memset(block->used, 0, sizeof(long) * sizes->pairs * sizes->steps);
    for (long p = 0; p < sizes->pairs; p++)
        for (long t = 0; t < sizes->steps; t++)
            for (long i = 0; i < pairs[p].count; i++, to += LANES) {
                const double *from = pairs[p].changes + (t * pairs[p].count + i) * sizes->outputs + start;
                int any = 0;
                for (long j = 0; j < LANES; j++) to[j] = j < width ? from[j] : 0.0;
                for (long j = 0; j < LANES; j++) any |= to[j] > 0.0;
                if (any) block->used[p * sizes->steps + t] = i + 1;
            }
}

static inline void take(double *restrict kept, const double *restrict changes, double gain, long most) {
    if (most == 0) {
        for (long j = 0; j < LANES; j++) kept[j] += gain * changes[j];
    } else if (most == 1) {
        for (long j = 0; j < LANES; j++) kept[j] = gain * changes[j] > kept[j] ? gain * changes[j] : kept[j];
    } else {
        double next[LANES];
        int any = 0;
        for (long j = 0; j < LANES; j++) next[j] = gain * changes[j];
        for (long j = 0; j < LANES; j++) any |= next[j] > kept[(most - 1) * LANES + j];
        for (long m = 0; any && m < most; m++)
            for (long j = 0; j < LANES; j++) {
                double one = kept[m * LANES + j], other = next[j];
                kept[m * LANES + j] = one > other ? one : other;
                next[j] = one > other ? other : one;
            }
    }
}

static void rise(const Sizes *sizes, const Pair *pairs, const Block *block, long row, long start, double *found) {
    double kept[MOST * LANES];
    long width = sizes->outputs - start < LANES ? sizes->outputs - start : LANES;
    long held = sizes->most ? sizes->most : 1;
    const double *changes = block->changes;
    memset(kept, 0, sizeof(double) * held * LANES);
    for (long p = 0; p < sizes->pairs; p++) {
        long distances = pairs[p].distances;
        const double *gains = pairs[p].gains + row * sizes->steps * distances;
        for (long t = 0; t < sizes->steps; t++, gains += distances, changes += pairs[p].count * LANES)
            for (long d = 0; d < distances; d++) {
                if (gains[d] == 0.0) continue;
                for (long i = 0; i < block->used[p * sizes->steps + t]; i++)
                    take(kept, changes + i * LANES, gains[d], sizes->most);
            }
    }
    for (long m = 1; m < held; m++)
        for (long j = 0; j < LANES; j++) kept[j] += kept[m * LANES + j];
    memcpy(found + row * sizes->outputs + start, kept, sizeof(double) * width);
}

/* Fill `found`, (rows, outputs); return 1 where there is no memory. */
int rises(const Sizes *sizes, const Pair *pairs, double *found) {
    long each = 0, failed = 0;
    for (long p = 0; p < sizes->pairs; p++) each += sizes->steps * pairs[p].count;
#pragma omp parallel num_threads(sizes->threads) reduction(| : failed)
    {
        Block block = {malloc(sizeof(double) * (each * LANES + 1)), malloc(sizeof(long) * (sizes->pairs * sizes->steps + 1))};
        failed = block.changes == NULL || block.used == NULL;
#pragma omp for
        for (long start = 0; start < sizes->outputs; start += LANES) {
            if (failed) continue;
            fill(sizes, pairs, start, &block);
            for (long row = 0; row < sizes->rows; row++) rise(sizes, pairs, &block, row, start, found);
        }
        free(block.changes), free(block.used);
    }
    return failed != 0;
}
