/* The least margin of a window of steps over its open bits, by best first splitting; see certify/bits/splitting.py.

   A node fixes some bits, and, where asked, spikes before the last layer; one that holds no run is worth infinity. What its neurons may do is the interval recursion of intervals.py over the window, from
   potentials in boxes: bits and spikes that are open count as both. Where no layer forgets and all subtract, it is
   how often they may have fired. All sums are in double; the caller pays for their rounding in
   `widening`. Only neurons that are open at some step of the window are here. */

#include "shared.h"

#define MOST_LAYERS 8
enum { MAY = 1, MUST = 2, UNSEEN = 4 }; /* UNSEEN: the node's own potentials leave the spike open */

typedef struct {
    long steps, bits, layers, words, capacity; /* words: of a node's mask; capacity: nodes that the heap holds */
    long spikes;                               /* whether the spikes before the last layer are split, too */
    long sizes[MOST_LAYERS];                   /* neurons of each layer */
    double decay[MOST_LAYERS], surely[MOST_LAYERS], perhaps[MOST_LAYERS], drop[MOST_LAYERS];
    int reset[MOST_LAYERS];
    double constant; /* what the margin has besides the costs of spikes that are open */
} Sizes;

typedef struct {
    const long *step;               /* of each bit, (bits,) */
    const double *columns;          /* what a bit adds to the first layer's currents, (bits, n) */
    const long *lower, *upper;      /* the bit that is 1 where this one is, the bit that is 0 where this one is; or -1 */
    const double *base;             /* of each layer: the currents without what is open, (steps, n) each */
    const double *matrix;           /* of each layer but the first: (n before, n) each */
    const double *factor;           /* a[t] of each layer, (layers, steps) */
    const double *low, *high;       /* of each layer: potentials before the window, (n,) each */
    const double *widening;         /* of each layer, (n,) each */
    const unsigned char *known;     /* of each layer: MAY and MUST, (steps, n) each */
    const double *costs;            /* of the last layer's spikes, (steps, n) */
    const double *fewest, *greatest; /* of each layer: spikes up to a step, (steps, n) each; or null: step by step */
} Window;

/* The heap: what is open, least bound first, of equal ones that with most bits fixed, so that a bound which no split
   raises is known for one after as many nodes as there are bits; a slot holds the words of bits that are fixed, then of
   their values. */
typedef struct {
    double *bound; /* (capacity,) */
    int *slot;     /* (capacity,) */
    uint64_t *masks; /* (capacity, 2 * words) */
    short *bit;      /* of each slot: where it is split, (capacity,) */
    short *depth;    /* of each slot: how many bits are fixed, (capacity,) */
    long *state;     /* nodes that are open, that were bounded, slots that were ever used; the slot of `closed` */
    double *closed;  /* the least bound of a node that no bit moves */
} Heap;

INLINE int has(const uint64_t *mask, long bit) { return (mask[bit >> 6] >> (bit & 63)) & 1; }
INLINE void put(uint64_t *mask, long bit) { mask[bit >> 6] |= (uint64_t)1 << (bit & 63); }

typedef struct {
    long total;
    double *low, *high, *middle, *radius, *pull; /* (total,) each */
    double *least, *most;                        /* spikes up to now, (total,) each */
    unsigned char *found;                        /* (steps * total,) */
} Work;

static long lay_work(const Sizes *sizes, char *memory, Work *work) {
    char *next = memory;
    work->total = 0;
    for (long l = 0; l < sizes->layers; l++) work->total += sizes->sizes[l];
    double **each[] = {&work->low, &work->high, &work->middle, &work->radius, &work->pull, &work->least, &work->most};
    for (int k = 0; k < 7; k++) *each[k] = take(&next, work->total, sizeof(double));
    work->found = take(&next, sizes->steps * work->total, 1);
    return next - memory;
}

/* One step of one layer whose currents are in work->middle and radius; returns what its spikes cost at least. */
static double fire(const Sizes *sizes, const Window *window, Work *work, long t, long l, long at, const uint64_t *mask,
                   const double *costs) {
    long n = sizes->sizes[l];
    double decay = sizes->decay[l], surely = sizes->surely[l], perhaps = sizes->perhaps[l], drop = sizes->drop[l];
    const unsigned char *known = window->known + sizes->steps * at + t * n;
    unsigned char *found = work->found + sizes->steps * at + t * n;
    const double *widening = window->widening + at;
    long first = sizes->bits + sizes->steps * at + t * n; /* of the spikes in a mask */
    double *low = work->low + at, *high = work->high + at, cost = 0.0;
    double *middle = work->middle + at, *radius = work->radius + at;
    for (long j = 0; j < n; j++) {
        double below = decay * low[j] + middle[j] - radius[j] - widening[j];
        double above = decay * high[j] + middle[j] + radius[j] + widening[j];
        int sure = below > surely, never = above < perhaps, told = known[j];
        if (sizes->spikes && has(mask, first + j)) told = has(mask + sizes->words, first + j) ? MAY | MUST : 0;
        if ((sure && !(told & MAY)) || (never && (told & MUST))) return INFINITY; /* no run is here */
        int may = !never && (told & MAY), must = sure || (told & MUST);
        found[j] = (unsigned char)((may ? MAY : 0) | (must ? MUST : 0) | (sure || never ? 0 : UNSEEN));
        if (costs && (must || (may && costs[j] < 0.0))) cost += costs[j];
        double silent = lesser(above, surely), fired = greater(below, perhaps); /* what a known spike says of v */
        if (sizes->reset[l] == NONE) {
            low[j] = below, high[j] = above;
        } else if (must) {
            low[j] = sizes->reset[l] == ZERO ? 0.0 : fired - drop;
            high[j] = sizes->reset[l] == ZERO ? 0.0 : greater(above, perhaps) - drop;
        } else if (!may) {
            low[j] = lesser(below, surely), high[j] = silent;
        } else if (sizes->reset[l] == ZERO) {
            low[j] = lesser(below, 0.0);
            high[j] = greater(silent, 0.0);
        } else {
            low[j] = lesser(below, fired - drop);
            high[j] = greater(silent, above - drop);
        }
    }
    return cost;
}

/* Start with the currents of step t of a layer without what is open: in place of what is there, or on top of it. */
static void begin(const Sizes *sizes, const Window *window, Work *work, long t, long l, long at, int more) {
    long n = sizes->sizes[l];
    const double *base = window->base + sizes->steps * at + t * n;
    for (long j = at; j < at + n; j++) {
        work->middle[j] = (more ? work->middle[j] : 0.0) + base[j - at];
        work->radius[j] = more ? work->radius[j] : 0.0;
    }
}

/* Add what the bits of step t are to the currents of the first layer. */
static void drive(const Sizes *sizes, const Window *window, Work *work, long t, const uint64_t *mask) {
    long n = sizes->sizes[0];
    double *middle = work->middle, *radius = work->radius;
    for (long bit = 0; bit < sizes->bits; bit++) {
        if (window->step[bit] != t) continue;
        const double *column = window->columns + bit * n;
        if (!has(mask, bit))
            for (long j = 0; j < n; j++) middle[j] += 0.5 * column[j], radius[j] += 0.5 * fabs(column[j]);
        else if (has(mask + sizes->words, bit))
            for (long j = 0; j < n; j++) middle[j] += column[j];
    }
}

/* Add the spikes of step t that are found of the layer before to the currents of layer l. */
static void pass(const Sizes *sizes, const Window *window, Work *work, long t, long l, long before, long at,
                 const double *matrix) {
    long m = sizes->sizes[l - 1], n = sizes->sizes[l];
    double factor = window->factor[l * sizes->steps + t];
    const unsigned char *found = work->found + sizes->steps * before + t * m;
    double *middle = work->middle + at, *radius = work->radius + at;
    for (long j = 0; j < m; j++) {
        const double *row = matrix + j * n;
        if (found[j] & MUST)
            for (long i = 0; i < n; i++) middle[i] += factor * row[i];
        else if (found[j] & MAY)
            for (long i = 0; i < n; i++) {
                double half = 0.5 * factor * row[i];
                middle[i] += half;
                radius[i] += fabs(half);
            }
    }
}

/* Return the bit that moves most of what open spikes cost; -1 where none moves any. */
static long choose(const Sizes *sizes, const Window *window, Work *work, const uint64_t *mask) {
    long best = -1;
    double record = 0.0, *pull = work->pull;
    memset(pull, 0, (size_t)work->total * sizeof(double));
    for (long t = sizes->steps - 1; t >= 0; t--) {
        long at = work->total;
        const double *matrix = window->matrix;
        for (long l = 1; l < sizes->layers; l++) matrix += sizes->sizes[l - 1] * sizes->sizes[l];
        for (long l = sizes->layers - 1; l >= 0; l--) {
            long n = sizes->sizes[l], behind = at;
            at -= n;
            const unsigned char *found = work->found + sizes->steps * at + t * n;
            int last = l == sizes->layers - 1;
            double factor = last ? 0.0 : fabs(window->factor[(l + 1) * sizes->steps + t]);
            for (long j = 0; j < n; j++) {
                double own = 0.0;
                long spike = sizes->bits + sizes->steps * at + t * n + j;
                int is_open = (found[j] & (MAY | MUST)) == MAY, is_set = sizes->spikes && (last || has(mask, spike));
                int is_claimed = is_set && (found[j] & UNSEEN); /* whether runs have it is still to be seen */
                if (is_open || is_claimed) {
                    if (last) own = fabs(window->costs[t * n + j]);
                    else
                        for (long i = 0, m = sizes->sizes[l + 1]; i < m; i++)
                            own += pull[behind + i] * fabs(matrix[j * m + i]) * factor;
                    if (is_claimed && !last) own += 1e-6; /* looked at last */
                    double moved = own + sizes->decay[l] * pull[at + j] * sizes->surely[l];
                    if (sizes->spikes && is_open && !last && moved > record) record = moved, best = spike;
                }
                pull[at + j] = sizes->decay[l] * pull[at + j] + own;
            }
            if (l > 0) matrix -= sizes->sizes[l - 1] * n;
        }
        for (long bit = 0; bit < sizes->bits; bit++) {
            if (window->step[bit] != t || has(mask, bit)) continue;
            double moved = 0.0;
            for (long j = 0; j < sizes->sizes[0]; j++) moved += pull[j] * fabs(window->columns[bit * sizes->sizes[0] + j]);
            if (moved > record) record = moved, best = bit;
        }
    }
    return best;
}

/* One step of one layer that counts: `low` and `high` are what came in before the window, currents what came since. */
static void count(const Sizes *sizes, const Window *window, Work *work, long t, long l, long at) {
    long n = sizes->sizes[l];
    const double *fewest = window->fewest + sizes->steps * at + t * n;
    const double *greatest = window->greatest + sizes->steps * at + t * n;
    unsigned char *found = work->found + sizes->steps * at + t * n;
    for (long j = at; j < at + n; j++) {
        double widening = (double)(t + 1) * window->widening[j];
        double below = work->low[j] + work->middle[j] - work->radius[j] - widening;
        double above = work->high[j] + work->middle[j] + work->radius[j] + widening;
        work->least[j] += below - sizes->drop[l] * work->least[j] > sizes->surely[l];
        work->most[j] += above - sizes->drop[l] * work->most[j] >= sizes->perhaps[l];
        work->least[j] = greater(work->least[j], fewest[j - at]);
        work->most[j] = lesser(work->most[j], greatest[j - at]);
        found[j - at] = work->least[j] < work->most[j] ? MAY : 0;
    }
}

/* Set the currents of layer l up to step t, for the spikes up to then of the one before. */
static void gather(const Sizes *sizes, Work *work, long l, long before, long at, const double *matrix, double *base) {
    long m = sizes->sizes[l - 1], n = sizes->sizes[l];
    memcpy(work->middle + at, base, (size_t)n * sizeof(double));
    memset(work->radius + at, 0, (size_t)n * sizeof(double));
    for (long j = 0; j < m; j++) {
        double middle = 0.5 * (work->most[before + j] + work->least[before + j]);
        double radius = 0.5 * fabs(work->most[before + j] - work->least[before + j]);
        const double *row = matrix + j * n;
        if (middle != 0.0 || radius != 0.0)
            for (long i = 0; i < n; i++) {
                work->middle[at + i] += middle * row[i];
                work->radius[at + i] += radius * fabs(row[i]);
            }
    }
}

/* Return the bound of a node whose neurons count; costs are the same at each step. */
static double counted(const Sizes *sizes, const Window *window, Work *work, const uint64_t *mask) {
    double *base = work->pull; /* not needed before a bit is chosen */
    memset(base, 0, (size_t)work->total * sizeof(double));
    memset(work->middle, 0, (size_t)sizes->sizes[0] * sizeof(double));
    memset(work->radius, 0, (size_t)sizes->sizes[0] * sizeof(double));
    memset(work->least, 0, (size_t)work->total * sizeof(double));
    memset(work->most, 0, (size_t)work->total * sizeof(double));
    for (long t = 0; t < sizes->steps; t++) {
        long at = 0, before = 0;
        const double *matrix = window->matrix;
        for (long l = 0; l < sizes->layers; l++) {
            long n = sizes->sizes[l];
            if (l == 0) {
                begin(sizes, window, work, t, l, at, 1);
                drive(sizes, window, work, t, mask);
            } else {
                const double *own = window->base + sizes->steps * at + t * n;
                for (long i = 0; i < n; i++) base[at + i] += own[i];
                gather(sizes, work, l, before, at, matrix, base + at);
                matrix += sizes->sizes[l - 1] * n;
            }
            count(sizes, window, work, t, l, at);
            before = at;
            at += n;
        }
    }
    long n = sizes->sizes[sizes->layers - 1], at = work->total - n;
    double found = sizes->constant;
    for (long i = 0; i < n; i++)
        found += window->costs[i] * (window->costs[i] < 0.0 ? work->most[at + i] : work->least[at + i]);
    return found;
}

/* Return the bound of a node, and the bit where it is split best. */
static double bound(const Sizes *sizes, const Window *window, Work *work, const uint64_t *mask, long *bit) {
    double found = sizes->constant;
    memcpy(work->low, window->low, (size_t)work->total * sizeof(double));
    memcpy(work->high, window->high, (size_t)work->total * sizeof(double));
    if (window->fewest) {
        found = counted(sizes, window, work, mask);
        *bit = choose(sizes, window, work, mask);
        return found;
    }
    for (long t = 0; t < sizes->steps; t++) {
        long at = 0, before = 0;
        const double *matrix = window->matrix;
        for (long l = 0; l < sizes->layers; l++) {
            int last = l == sizes->layers - 1;
            begin(sizes, window, work, t, l, at, 0);
            if (l == 0) drive(sizes, window, work, t, mask);
            else {
                pass(sizes, window, work, t, l, before, at, matrix);
                matrix += sizes->sizes[l - 1] * sizes->sizes[l];
            }
            found += fire(sizes, window, work, t, l, at, mask, last ? window->costs + t * sizes->sizes[l] : 0);
            if (found == INFINITY) {
                *bit = -1;
                return found;
            }
            before = at;
            at += sizes->sizes[l];
        }
    }
    *bit = choose(sizes, window, work, mask);
    return found;
}


/* Fix a bit, and those of its chain that it decides. */
static void fix(const Sizes *sizes, const Window *window, uint64_t *mask, long bit, int value) {
    const long *links = value ? window->lower : window->upper;
    while (bit >= 0 && !has(mask, bit)) {
        put(mask, bit);
        if (value) put(mask + sizes->words, bit);
        bit = bit < sizes->bits ? links[bit] : -1; /* spikes have no chain */
    }
}

INLINE int precedes(const Heap *heap, double value, int slot, long place) {
    return value < heap->bound[place]
        || (value == heap->bound[place] && heap->depth[slot] > heap->depth[heap->slot[place]]);
}

INLINE void put_at(Heap *heap, long place, double value, int slot) { heap->bound[place] = value, heap->slot[place] = slot; }

static void push(Heap *heap, double value, int slot) {
    long place = heap->state[0]++;
    for (long above; place > 0 && precedes(heap, value, slot, above = (place - 1) / 2); place = above)
        put_at(heap, place, heap->bound[above], heap->slot[above]);
    put_at(heap, place, value, slot);
}

static int pop(Heap *heap, double *value) {
    int top = heap->slot[0];
    *value = heap->bound[0];
    long count = --heap->state[0], place = 0;
    double moved = heap->bound[count];
    int slot = heap->slot[count];
    for (long child; (child = 2 * place + 1) < count; place = child) {
        if (child + 1 < count && precedes(heap, heap->bound[child + 1], heap->slot[child + 1], child)) child++;
        if (!precedes(heap, heap->bound[child], heap->slot[child], count)) break;
        put_at(heap, place, heap->bound[child], heap->slot[child]);
    }
    put_at(heap, place, moved, slot);
    return top;
}

/* Split up to `nodes` nodes, until the least bound is `enough` or no bit moves it: 1 for memory that is not there. */
int split(const Sizes *sizes, const Window *window, Heap *heap, long nodes, double enough) {
    Work work;
    char *memory = aligned(lay_work(sizes, 0, &work));
    if (!memory) return 1;
    lay_work(sizes, memory, &work);
    long words = sizes->words;
    if (heap->state[1] == 0) { /* the root */
        long bit;
        memset(heap->masks, 0, (size_t)(2 * words) * sizeof(uint64_t));
        double value = bound(sizes, window, &work, heap->masks, &bit);
        heap->state[1] = heap->state[2] = 1;
        heap->bit[0] = (short)bit;
        heap->depth[0] = 0;
        push(heap, value, 0);
    }
    while (nodes-- > 0 && heap->state[0] && heap->bound[0] < lesser(*heap->closed, enough)) {
        if (heap->state[2] + 1 > sizes->capacity) break;
        double value;
        int parent = pop(heap, &value);
        if (heap->bit[parent] < 0) {
            if (value < *heap->closed) {
                *heap->closed = value;
                heap->state[3] = parent;
            }
            continue;
        }
        int slots[2] = {parent, (int)heap->state[2]++};
        heap->depth[slots[1]] = ++heap->depth[parent];
        uint64_t *mask = heap->masks + parent * 2 * words, *other = heap->masks + slots[1] * 2 * words;
        memcpy(other, mask, (size_t)(2 * words) * sizeof(uint64_t));
        fix(sizes, window, mask, heap->bit[parent], 0);
        fix(sizes, window, other, heap->bit[parent], 1);
        for (int side = 0; side < 2; side++) {
            long bit;
            double own = greater(value, bound(sizes, window, &work, heap->masks + slots[side] * 2 * words, &bit));
            heap->state[1]++;
            heap->bit[slots[side]] = (short)bit;
            push(heap, own, slots[side]);
        }
    }
    free_aligned(memory);
    return 0;
}
