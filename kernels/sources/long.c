/* The trains of certify/bounds/long_trains.py behind a table of trains and a dense layer, sample by sample: windows
   of the table's rows, their products, and the labels by age, in one pass that stays in cache.

   REAL is double. It does what torch does there, but for the order in which sums of products are added up and for
   fused products: what is paid for rounding, a multiple of u times the sum of moduli, holds in any order (F1, F2, F5).
   Arrays over neurons are padded to P, a multiple of LANES. */

#include "shared.h"

#define SOME (1L << 17) /* ends of windows that are found before samples take their steps, so that a sample stays in cache */

/* B samples, T steps, W labels; the layer before has n neurons with rows of R, U different ranges of them. Asked for are
   samples from..to − 1. */
typedef struct {
    double decay, surely, perhaps;
    long steps, labels, samples, neurons, sources, rows, ranges, from, to;
    int threads;
} Sizes;

typedef struct {
    const REAL *weights, *bias;                 /* (neurons, sources), (neurons) */
    const REAL *trains;                         /* (R, T) */
    const long *first, *last;                   /* rows of each range, (U) */
    const long *range;                          /* of each source, (B, sources) */
    const REAL *ages, *factors;                 /* (W), (T) */
    const REAL *slack, *widening;               /* of a unit of weight: of the product, of the recursion, (B, neurons) */
    const REAL *lower, *upper;                  /* currents of each step, widened, (T, B, neurons) */
} Given;

typedef struct {
    unsigned char *edges, *stays, *waits, *ends; /* (T + W, W + 1, B, n), (2, T + 1, B, n), (T, B, n), (W + 1, B, n) */
    REAL *certain, *possible;                    /* (T, B, n) each */
} Found;

/* The least and the greatest sum over each range of the windows that end at one step, (U, C) each. */
typedef struct {
    REAL *least, *most;
    long columns; /* C: windows, rounded up to WIDE */
} Ends;

/* Ranges by the level of minima that tells them: from starts[level] to starts[level + 1] − 1. */
typedef struct {
    long *ranges, starts[65], levels;
} Order;

/* What all samples share: of W and of |W|, (sources, P), and b, (P). */
typedef struct {
    REAL *weights, *moduli, *bias;
} Matrix;

/* One sample: the labels in W + 1 slots, that of the node of step t in t mod (W + 1), (W + 1, P); what is older. */
typedef struct {
    REAL *bottom, *top, *alive;
    REAL *old_bottom, *old_top, *old_alive, *slack, *widening; /* (P) */
    REAL *heard;       /* W·x of the sources that have one row, of steps t in slots t mod (W + 1) */
    long *open, *sure; /* sources with several rows, and with one */
    long count, known;
} Sample;

/* What a thread works on. */
typedef struct {
    REAL *middle, *radius;                         /* of the sources' windows, (sources, C) */
    REAL *low, *high;                              /* of the windows, (C + 1, P): at C what excludes nothing */
    REAL *cap, *fired, *edge, *current, *ceiling, *sum; /* (P) */
} Work;

static long windows_of(const Sizes *sizes, long t) { return least(t + 1, sizes->labels); }

/* The ends of all windows that end at step t (from 0), of each range, WIDE windows at a time: sums of rows, then minima
   over 2, 4, 8, … rows in their place, which stay in cache. `low` and `high` hold (R, WIDE), `sums` R. */
static void find_ends(const Sizes *sizes, const Given *given, const Order *order, long t, REAL *sums, Ends *ends) {
    long R = sizes->rows, C = ends->columns, count = windows_of(sizes, t);
    REAL *low = sums + R, *high = low + R * WIDE;
    for (long r = 0; r < R; r++) sums[r] = 0;
    for (long i = 0; i < C; i += WIDE) {
        long some = count - i < WIDE ? count - i : WIDE;
        memset(low, 0, sizeof(REAL) * (size_t)(R * WIDE));
        for (long r = 0; r < R; r++)
            for (long l = 0; l < some; l++) {
                long k = t - i - l;
                low[r * WIDE + l] = sums[r] += given->ages[i + l] * given->factors[k] * given->trains[r * sizes->steps + k];
            }
        memcpy(high, low, sizeof(REAL) * (size_t)(R * WIDE));
        for (long level = 0; level < order->levels; level++) {
            long half = 1L << level;
            for (long at = order->starts[level]; at < order->starts[level + 1]; at++) {
                long u = order->ranges[at], one = given->first[u] * WIDE, other = (given->last[u] + 1 - half) * WIDE;
                REAL *least = ends->least + u * C + i, *most = ends->most + u * C + i;
                OVER(l, WIDE) least[l] = lesser(low[one + l], low[other + l]);
                OVER(l, WIDE) most[l] = greater(high[one + l], high[other + l]);
            }
            for (long at = 0; at < (R - 2 * half + 1) * WIDE; at++) {
                low[at] = lesser(low[at], low[at + half * WIDE]);
                high[at] = greater(high[at], high[at + half * WIDE]);
            }
        }
    }
}

/* Order the ranges by the greatest power of 2 that is not above what they hold, from `levels` of them. */
static void put_in_order(const Given *given, long count, Order *order) {
    long n = 0;
    for (order->levels = 0; n < count; order->levels++) {
        order->starts[order->levels] = n;
        for (long u = 0; u < count; u++) {
            long size = given->last[u] - given->first[u] + 1;
            if (63 - __builtin_clzll((uint64_t)size) == order->levels) order->ranges[n++] = u;
        }
    }
    order->starts[order->levels] = n;
}

/* Keep what the sources say that have one row: windows of it are sums over steps, as W is linear. */
static void hear(const Sizes *sizes, const Given *given, const Matrix *matrix, long t, long b, Sample *sample) {
    long P = rounded(sizes->neurons, LANES), m = sizes->sources;
    REAL *heard = sample->heard + t % (sizes->labels + 1) * P;
    OVER(j, P) heard[j] = 0;
    for (long k = 0; k < sample->known; k++) {
        REAL x = given->trains[given->first[given->range[b * m + sample->sure[k]]] * sizes->steps + t];
        const REAL *weights = matrix->weights + sample->sure[k] * P;
        if (x != 0) OVER(j, P) heard[j] += x * weights[j];
    }
}

/* The windows that end at step t: W·x + b and |W|·r + slack, then what the run's recursion adds. */
static void find_windows(const Sizes *sizes, const Given *given, const Ends *ends, const Matrix *matrix, long t, long b,
                         Sample *sample, Work *work) {
    long C = ends->columns, P = rounded(sizes->neurons, LANES), m = sizes->sources, count = windows_of(sizes, t);
    hear(sizes, given, matrix, t, b, sample);
    for (long o = 0; o < sample->count; o++) {
        long k = sample->open[o], u = given->range[b * m + k];
        const REAL *least = ends->least + u * C, *most = ends->most + u * C;
        REAL *middle = work->middle + k * C, *radius = work->radius + k * C;
        OVER(i, C) middle[i] = (least[i] + most[i]) * (REAL)0.5, radius[i] = (most[i] - least[i]) * (REAL)0.5;
    }
    product(matrix->weights, sample->open, work->middle, sample->open, sample->count, C, P, C, work->low);
    product(matrix->moduli, sample->open, work->radius, sample->open, sample->count, C, P, C, work->high);
    REAL total = 0, moduli = 0, weight = 0, *sum = work->sum;
    OVER(j, P) sum[j] = 0;
    for (long i = 0; i < count; i++) {
        REAL age = given->ages[i], part = age * given->factors[t - i], *low = work->low + i * P, *high = work->high + i * P;
        const REAL *heard = sample->heard + (t - i) % (sizes->labels + 1) * P;
        total += part, moduli += fabs(part), weight += age;
        OVER(j, P) {
            sum[j] += part * heard[j];
            REAL middle = low[j] + sum[j] + matrix->bias[j] * total, radius = high[j] + sample->slack[j] * moduli;
            REAL widening = sample->widening[j] * weight;
            low[j] = (middle - radius) - widening, high[j] = (middle + radius) + widening;
        }
    }
}

/* Take in a step's current, cut what a window and the cap exclude, and note who may fire; `silent` is θ·λ^age. */
static void fire(const Sizes *sizes, long P, REAL *bottom, REAL *top, REAL *alive, const REAL *low, const REAL *high,
                 REAL silent, Work *work) {
    REAL surely = (REAL)sizes->surely, perhaps = (REAL)sizes->perhaps, decay = (REAL)sizes->decay;
    OVER(j, P) {
        REAL least = greater(work->current[j] + decay * bottom[j], low[j]);
        REAL most = lesser(lesser(work->ceiling[j] + decay * top[j], high[j]), work->cap[j]);
        REAL there = least <= most ? alive[j] : 0, fires = most >= perhaps ? there : 0;
        work->cap[j] = lesser(work->cap[j], high[j] + silent);
        bottom[j] = least, top[j] = lesser(most, surely), alive[j] = least <= surely ? there : 0;
        work->fired[j] = greater(work->fired[j], fires), work->edge[j] = fires;
    }
}

static void write_bytes(const REAL *from, long n, unsigned char *to) {
    for (long j = 0; j < n; j++) to[j] = (unsigned char)from[j];
}

/* Join the oldest label with what is older. */
static void join(long P, const REAL *bottom, const REAL *top, const REAL *alive, Sample *sample) {
    REAL *old_bottom = sample->old_bottom, *old_top = sample->old_top, *old = sample->old_alive;
    OVER(j, P) {
        REAL low = lesser(alive[j] > 0 ? bottom[j] : INFINITE, old[j] > 0 ? old_bottom[j] : INFINITE);
        REAL high = greater(alive[j] > 0 ? top[j] : -INFINITE, old[j] > 0 ? old_top[j] : -INFINITE);
        old[j] = greater(old[j], alive[j]);
        old_bottom[j] = old[j] > 0 ? low : 0, old_top[j] = old[j] > 0 ? high : 0;
    }
}

/* One step of one sample. */
static void step(const Sizes *sizes, const Given *given, const Ends *ends, const Matrix *matrix, const Found *found, long t,
                 long b, Sample *sample, Work *work) {
    long T = sizes->steps, W = sizes->labels, n = sizes->neurons, size = sizes->samples * n, P = rounded(n, LANES);
    long count = windows_of(sizes, t), at = t * size + b * n;
    REAL power = (REAL)sizes->decay, *certain = found->certain + at, *nothing = work->low + ends->columns * P;
    REAL *everything = work->high + ends->columns * P;
    find_windows(sizes, given, ends, matrix, t, b, sample, work);
    for (long j = 0; j < n; j++) work->current[j] = given->lower[at + j], work->ceiling[j] = given->upper[at + j];
    OVER(j, P) work->cap[j] = INFINITE, work->fired[j] = 0, nothing[j] = -INFINITE, everything[j] = INFINITE;
    for (long j = 0; j < n; j++) certain[j] = 1;
    for (long i = 0; i <= W; i++) {
        long slot = (t - i + W + 1) % (W + 1) * P;
        REAL *alive = i < W ? sample->alive + slot : sample->old_alive;
        if (i == W) fire(sizes, P, sample->old_bottom, sample->old_top, alive, nothing, everything, INFINITE, work);
        else if (i < count)
            fire(sizes, P, sample->bottom + slot, sample->top + slot, alive, work->low + i * P, work->high + i * P,
                 (REAL)sizes->surely * power, work);
        else OVER(j, P) work->edge[j] = 0; /* a node before the first one */
        power *= (REAL)sizes->decay;
        write_bytes(work->edge, n, found->edges + (t * (W + 1) + i) * size + b * n);
        if (i == W || i < count)
            for (long j = 0; j < n; j++) certain[j] = alive[j] > 0 ? 0 : certain[j];
    }
    for (long j = 0; j < n; j++) found->possible[at + j] = work->fired[j];
    write_bytes(sample->old_alive, n, found->waits + at);
    long last = (t + 2) % (W + 1) * P, next = (t + 1) % (W + 1) * P; /* nodes t + 1 − W and t + 1 */
    if (t + 1 >= W) join(P, sample->bottom + last, sample->top + last, sample->alive + last, sample);
    OVER(j, P) sample->bottom[next + j] = 0, sample->top[next + j] = 0, sample->alive[next + j] = work->fired[j];
    if (t + 1 < W) return;
    write_bytes(sample->alive + last, n, found->stays + (t + 1 - W) * size + b * n);
    write_bytes(sample->old_alive, n, found->stays + (T + 1 + t + 1 - W) * size + b * n);
}

/* All samples, from step `start` on to the one before `behind`. */
typedef struct {
    const Sizes *sizes;
    const Given *given;
    const Found *found;
    Matrix matrix;
    Sample *samples;
    Ends ends; /* of each of these steps */
    Order order;
    REAL *sums; /* (2·WIDE + 1, R) */
    long start, behind;
} Search;

static long lay_out(Search *search, long each, char *memory) {
    const Sizes *sizes = search->sizes;
    Matrix *matrix = &search->matrix;
    char *next = memory;
    long P = rounded(sizes->neurons, LANES), m = sizes->sources, slots = sizes->labels + 1, real = sizeof(REAL);
    long U = sizes->ranges, C = search->ends.columns = rounded(sizes->labels, WIDE);
    matrix->weights = take(&next, m * P, real), matrix->moduli = take(&next, m * P, real);
    matrix->bias = take(&next, P, real), search->sums = take(&next, (2 * WIDE + 1) * sizes->rows, real);
    search->ends.least = take(&next, each * U * C, real), search->ends.most = take(&next, each * U * C, real);
    search->order.ranges = take(&next, U, sizeof(long));
    search->samples = take(&next, sizes->to - sizes->from, sizeof(Sample));
    for (long b = 0; b < sizes->to - sizes->from; b++) {
        Sample counted, *sample = memory ? search->samples + b : &counted;
        sample->bottom = take(&next, slots * P, real), sample->top = take(&next, slots * P, real);
        sample->alive = take(&next, slots * P, real), sample->old_bottom = take(&next, P, real);
        sample->old_top = take(&next, P, real), sample->old_alive = take(&next, P, real);
        sample->slack = take(&next, P, real), sample->widening = take(&next, P, real);
        sample->heard = take(&next, slots * P, real);
        sample->open = take(&next, m, sizeof(long)), sample->sure = take(&next, m, sizeof(long));
    }
    return next - memory;
}

static long lay_work(const Sizes *sizes, long C, char *memory, Work *work) {
    char *next = memory;
    long P = rounded(sizes->neurons, LANES), m = sizes->sources, real = sizeof(REAL);
    work->middle = take(&next, m * C, real), work->radius = take(&next, m * C, real);
    work->low = take(&next, (C + 1) * P, real), work->high = take(&next, (C + 1) * P, real);
    work->cap = take(&next, P, real), work->fired = take(&next, P, real), work->edge = take(&next, P, real);
    work->current = take(&next, P, real), work->ceiling = take(&next, P, real), work->sum = take(&next, P, real);
    return next - memory;
}

/* The ends of step t, of those that are found at once. */
static Ends ends_at(const Search *search, long t) {
    long C = search->ends.columns, at = (t - search->start) * search->sizes->ranges * C;
    return (Ends){search->ends.least + at, search->ends.most + at, C};
}

static int take_steps(const Item *item) {
    const Search *search = item->given;
    long b = search->sizes->from + item->start;
    Work work;
    lay_work(search->sizes, search->ends.columns, item->room, &work);
    OVER(j, rounded(search->sizes->neurons, LANES)) work.current[j] = work.ceiling[j] = 0;
    for (long t = search->start; t < search->behind; t++) {
        Ends ends = ends_at(search, t);
        step(search->sizes, search->given, &ends, &search->matrix, search->found, t, b, search->samples + item->start, &work);
    }
    return 0;
}

static void begin(const Sizes *sizes, const Given *given, Matrix *matrix, Sample *samples) {
    long n = sizes->neurons, m = sizes->sources, P = rounded(n, LANES);
    memcpy(matrix->bias, given->bias, sizeof(REAL) * (size_t)n);
    turn(given->weights, n, m, P, matrix->weights, matrix->moduli);
    for (long b = sizes->from; b < sizes->to; b++) {
        Sample *sample = samples + b - sizes->from;
        for (long j = 0; j < n; j++)
            sample->slack[j] = given->slack[b * n + j], sample->widening[j] = given->widening[b * n + j];
        for (long k = 0; k < m; k++) {
            long u = given->range[b * m + k];
            if (given->first[u] < given->last[u]) sample->open[sample->count++] = k;
            else sample->sure[sample->known++] = k;
        }
        for (long j = 0; j < P; j++) sample->alive[j] = 1; /* node 0: no spike yet counts as one at step 0 */
    }
}

/* At the end the last spike is at T − i, or before those. */
static void end(const Sizes *sizes, const Found *found, const Sample *samples) {
    long n = sizes->neurons, size = sizes->samples * n, W = sizes->labels, P = rounded(n, LANES);
    for (long b = sizes->from; b < sizes->to; b++) {
        const Sample *sample = samples + b - sizes->from;
        for (long i = 0; i < W; i++) {
            long slot = (sizes->steps - i + W + 1) % (W + 1) * P;
            write_bytes(sample->alive + slot, n, found->ends + i * size + b * n);
        }
        write_bytes(sample->old_alive, n, found->ends + W * size + b * n);
    }
}

/* Returns whether memory failed. */
int age_trains(const Sizes *sizes, const Given *given, const Found *found) {
    long C = rounded(sizes->labels, WIDE), U = sizes->ranges, each = SOME / (2 * U * C) + 1;
    Search search = {.sizes = sizes, .given = given, .found = found};
    Work work;
    long size = lay_out(&search, each, 0);
    char *memory = aligned(size);
    if (!memory) return 1;
    lay_out(&search, each, memset(memory, 0, (size_t)size));
    begin(sizes, given, &search.matrix, search.samples), put_in_order(given, U, &search.order);
    int failed = 0;
    for (search.start = 0; !failed && search.start < sizes->steps; search.start = search.behind) {
        search.behind = least(search.start + each, sizes->steps);
        for (long t = search.start; t < search.behind; t++) {
            Ends ends = ends_at(&search, t);
            find_ends(sizes, given, &search.order, t, search.sums, &ends);
        }
        failed = for_each(sizes->to - sizes->from, 1, sizes->threads, lay_work(sizes, C, 0, &work), take_steps, &search);
    }
    if (!failed) end(sizes, found, search.samples);
    free_aligned(memory);
    return failed;
}

/* Paths of trains by age, n neurons beside each other; asked for are neurons from..to − 1. */
typedef struct {
    long steps, labels, neurons, rows, from, to;
} Walk;

#define BLOCK 64 /* neurons that walk together */

/* The least and the greatest sums of paths. */
typedef struct {
    REAL *least, *most;
} Lengths;

INLINE void take_way(Lengths to, Lengths from, const unsigned char *exists, long n) {
    OVER(j, n) {
        to.least[j] = lesser(to.least[j], exists[j] ? from.least[j] : INFINITE);
        to.most[j] = greater(to.most[j], exists[j] ? from.most[j] : -INFINITE);
    }
}

/* The least and the greatest Σ_t cost[t]·s[t] over all paths of some neurons: those of each label, in W + 1 slots as
   above, of what is older, and of what has just fired. `memory` holds 2·(W + 3)·BLOCK. */
static void walk(const Walk *sizes, const Found *found, const REAL *cost, long from, long n, REAL *memory, Lengths sums) {
    long T = sizes->steps, W = sizes->labels, size = sizes->neurons, all = (W + 3) * BLOCK;
#define LABEL(slot) ((Lengths){memory + (slot) * BLOCK, memory + all + (slot) * BLOCK})
    Lengths old = LABEL(W + 1), fired = LABEL(W + 2);
    for (long j = 0; j < all; j++) memory[j] = j < BLOCK ? 0 : INFINITE, memory[all + j] = -memory[j];
    for (long t = 0; t <= T; t++) {
        const unsigned char *edges = (t < T ? found->edges + t * (W + 1) * size : found->ends) + from;
        OVER(j, BLOCK) fired.least[j] = INFINITE, fired.most[j] = -INFINITE;
        for (long i = 0; i < W && i <= t; i++) take_way(fired, LABEL((t - i) % (W + 1)), edges + i * size, n);
        take_way(fired, old, edges + W * size, n);
        if (t == T) break;
        const unsigned char *waits = found->waits + t * size + from;
        OVER(j, n) old.least[j] = waits[j] ? old.least[j] : INFINITE, old.most[j] = waits[j] ? old.most[j] : -INFINITE;
        long node = t + 1 - W;
        if (node >= 0) take_way(old, LABEL(node % (W + 1)), found->stays + node * size + from, n);
        Lengths next = LABEL((t + 1) % (W + 1));
        for (long j = 0; j < n; j++) next.least[j] = fired.least[j] + cost[t], next.most[j] = fired.most[j] + cost[t];
    }
    for (long j = 0; j < n; j++) sums.least[from + j] = fired.least[j], sums.most[from + j] = fired.most[j];
}

/* Fill the least and the greatest sum of each row of costs, (rows, T), over the paths of each neuron, (rows, n) each.
   Returns whether memory failed. */
int path_sums(const Walk *sizes, const Found *found, const REAL *costs, REAL *least, REAL *most) {
    REAL *memory = malloc((size_t)(2 * (sizes->labels + 3) * BLOCK) * sizeof(REAL));
    for (long from = sizes->from; memory && from < sizes->to; from += BLOCK)
        for (long r = 0; r < sizes->rows; r++) {
            long n = sizes->to - from < BLOCK ? sizes->to - from : BLOCK, at = r * sizes->neurons;
            walk(sizes, found, costs + r * sizes->steps, from, n, memory, (Lengths){least + at, most + at});
        }
    free(memory);
    return !memory;
}
