/* How far weighted sums of events may rise, row by row: sums, or the `most` greatest, of changes times gains.

   See certify/bounds/events/moved_events.py. A row has few steps with gains, and a step few changes: all others are left
   out. Rows that follow each other, as windows of one end do, share their last gains: what these come to is kept,
   and each row adds what it has before. Outputs are taken in blocks, so that a block's changes stay in a core's own
   cache. */

#include "shared.h"

#define BLOCK 32
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
    double *changes; /* by pair, step and place, BLOCK each */
    long *used;      /* by pair and step */
} Block;

static void fill(const Sizes *sizes, const Pair *pairs, long start, Block *block) {
    long width = least(BLOCK, sizes->outputs - start);
    double *to = block->changes;
    memset(block->used, 0, sizeof(long) * sizes->pairs * sizes->steps);
    for (long p = 0; p < sizes->pairs; p++)
        for (long t = 0; t < sizes->steps; t++)
            for (long i = 0; i < pairs[p].count; i++, to += BLOCK) {
                const double *from = pairs[p].changes + (t * pairs[p].count + i) * sizes->outputs + start;
                int any = 0;
                for (long j = 0; j < BLOCK; j++) to[j] = j < width ? from[j] : 0.0;
                for (long j = 0; j < BLOCK; j++) any |= to[j] > 0.0;
                if (any) block->used[p * sizes->steps + t] = i + 1;
            }
}

INLINE void take_up(double *restrict kept, const double *restrict changes, double gain, long most) {
    if (most == 0) {
        for (long j = 0; j < BLOCK; j++) kept[j] += gain * changes[j];
    } else if (most == 1) {
        for (long j = 0; j < BLOCK; j++) kept[j] = gain * changes[j] > kept[j] ? gain * changes[j] : kept[j];
    } else {
        double next[BLOCK];
        int any = 0;
        for (long j = 0; j < BLOCK; j++) next[j] = gain * changes[j];
        for (long j = 0; j < BLOCK; j++) any |= next[j] > kept[(most - 1) * BLOCK + j];
        for (long m = 0; any && m < most; m++)
            for (long j = 0; j < BLOCK; j++) {
                double one = kept[m * BLOCK + j], other = next[j];
                kept[m * BLOCK + j] = one > other ? one : other;
                next[j] = one > other ? other : one;
            }
    }
}

/* Of each row: its first step with a gain, and from which step on its gains are those of the row before. */
typedef struct {
    long *first, *shared;
} Rows;

static const double *gains_of(const Sizes *sizes, const Pair *pair, long row, long step) {
    return pair->gains + (row * sizes->steps + step) * pair->distances;
}

static void compare(const Sizes *sizes, const Pair *pairs, Rows *rows) {
    for (long row = 0; row < sizes->rows; row++) {
        rows->first[row] = sizes->steps;
        rows->shared[row] = row ? 0 : sizes->steps;
        for (long t = sizes->steps - 1; t >= 0; t--)
            for (long p = 0; p < sizes->pairs; p++) {
                const double *gains = gains_of(sizes, pairs + p, row, t);
                const double *before = row ? gains_of(sizes, pairs + p, row - 1, t) : gains;
                for (long d = 0; d < pairs[p].distances; d++) {
                    if (gains[d] != 0.0) rows->first[row] = t;
                    if (gains[d] != before[d] && rows->shared[row] <= t) rows->shared[row] = t + 1;
                }
            }
    }
}

INLINE void step(const Sizes *sizes, const Pair *pairs, const Block *block, long row, long t, double *kept) {
    const double *changes = block->changes;
    for (long p = 0; p < sizes->pairs; changes += sizes->steps * pairs[p++].count * BLOCK) {
        const double *gains = gains_of(sizes, pairs + p, row, t), *here = changes + t * pairs[p].count * BLOCK;
        for (long d = 0; d < pairs[p].distances; d++)
            for (long i = 0; gains[d] != 0.0 && i < block->used[p * sizes->steps + t]; i++)
                take_up(kept, here + i * BLOCK, gains[d], sizes->most);
    }
}

static void rise(const Sizes *sizes, const Pair *pairs, const Rows *rows, const Block *block, long start, double *found) {
    double later[MOST * BLOCK], kept[MOST * BLOCK];
    long width = least(BLOCK, sizes->outputs - start);
    long held = sizes->most ? sizes->most : 1, from = sizes->steps; /* `later` holds the steps from `from` on */
    size_t size = sizeof(double) * held * BLOCK;
    memset(later, 0, size);
    for (long row = 0; row < sizes->rows; row++) {
        if (rows->shared[row] > from) {
            memset(later, 0, size);
            from = sizes->steps;
        }
        while (row + 1 < sizes->rows && from > rows->shared[row + 1] && from > rows->first[row])
            step(sizes, pairs, block, row, --from, later);
        memcpy(kept, later, size);
        for (long t = from - 1; t >= rows->first[row]; t--) step(sizes, pairs, block, row, t, kept);
        for (long m = 1; m < held; m++)
            for (long j = 0; j < BLOCK; j++) kept[j] += kept[m * BLOCK + j];
        memcpy(found + row * sizes->outputs + start, kept, sizeof(double) * width);
    }
}

typedef struct {
    const Sizes *sizes;
    const Pair *pairs;
    const Rows *rows;
    double *found;
    long each; /* changes of an output */
} Search;

static int rise_block(const Item *item) {
    const Search *search = item->given;
    Block block = {item->room, (long *)((double *)item->room + search->each * BLOCK)};
    fill(search->sizes, search->pairs, item->start, &block);
    rise(search->sizes, search->pairs, search->rows, &block, item->start, search->found);
    return 0;
}

/* Fill `found`, (rows, outputs); return 1 where there is no memory. */
int rises(const Sizes *sizes, const Pair *pairs, double *found) {
    Rows rows = {malloc(sizeof(long) * (2 * sizes->rows + 1)), NULL};
    if (rows.first == NULL) return 1;
    Search search = {sizes, pairs, &rows, found, 0};
    rows.shared = rows.first + sizes->rows;
    compare(sizes, pairs, &rows);
    for (long p = 0; p < sizes->pairs; p++) search.each += sizes->steps * pairs[p].count;
    long room = (search.each * BLOCK + sizes->pairs * sizes->steps) * (long)sizeof(double);
    int failed = for_each(sizes->outputs, BLOCK, sizes->threads, room, rise_block, &search);
    free(rows.first);
    return failed;
}
