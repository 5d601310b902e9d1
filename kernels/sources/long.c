/* The labels by age of certify/bounds/long_trains.py, sums over the trains that they tell, and windows of currents behind a
   table of trains and a dense layer, sample by sample: sums over windows of the table's rows, and their products.

   REAL is double. What is paid for rounding, a multiple of u times the sum of moduli, holds for sums of products in any
   order and for fused products (F1, F2, F5). Arrays over neurons are padded to P, a multiple of LANES. */

#include "shared.h"

#define SOME (1L << 17) /* ends of windows of the table's rows that are held at once */

#define HEARD 32 /* from so many steps on, what sources say that have one row is summed up step by step */

/* T steps of B samples of a dense layer, which reads n neurons with rows of R, U different ranges of them. Asked for are the
   windows of at most `longest` steps that end at start..stop − 1, from 0. */
typedef struct {
    long steps, longest, samples, neurons, sources, rows, ranges, start, stop;
    int kept, threads;
} Sizes;

/* What a neuron does over T steps, with W labels, of `size` beside each other. */
typedef struct {
    double decay, surely, perhaps;
    long steps, labels, size;
} Limits;

typedef struct {
    const REAL *weights, *bias;                 /* (neurons, sources), (neurons) */
    const REAL *trains;                         /* (R, T) */
    const long *first, *last;                   /* rows of each range, (U) */
    const long *range;                          /* of each source, (B, sources) */
    const REAL *ages, *factors;                 /* (longest), (T) */
    const REAL *slack, *widening;               /* of a unit of weight: of moduli, of ages, (B, neurons); or none of these */
    REAL *heard;                                /* (B, longest + 1, P), of the steps before `start` where it is `kept` */
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

/* Some labels, or one: where potentials lie since the last spike, and whether any path is there, (…, P); where L is known
   the ends of B, what earlier spikes took. */
typedef struct {
    REAL *bottom, *top, *alive, *least, *most;
} Labels;

/* One sample. */
typedef struct {
    REAL *slack, *widening; /* (P) */
    REAL *heard;       /* W·x of the sources that have one row, of steps t in slots t mod (longest + 1) */
    long *open, *sure; /* sources with several rows, and with one */
    long count, known;
} Sample;

/* What a thread works on that finds windows. */
typedef struct {
    REAL *middle, *radius; /* of the sources' windows, (sources, C) */
    REAL *low, *high;      /* of the windows, (C, P) */
    REAL *sum;             /* (P) */
} Room;

/* What a thread works on that takes steps. */
typedef struct {
    REAL *cap, *fired, *edge;                  /* (P) */
    const REAL *current, *ceiling;             /* the ends of what comes in, (P) */
    const REAL *inflow, *outmost; /* the ends of L now, (P); none where it is not known */
    REAL *taken, *given;          /* the ends of L behind a spike, (P) */
} Work;

static long windows_of(const Sizes *sizes, long t) { return least(t + 1, sizes->longest); }

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
    REAL *heard = sample->heard + t % (sizes->longest + 1) * P;
    OVER(j, P) heard[j] = 0;
    for (long k = 0; k < sample->known; k++) {
        REAL x = given->trains[given->first[given->range[b * m + sample->sure[k]]] * sizes->steps + t];
        const REAL *weights = matrix->weights + sample->sure[k] * P;
        if (x != 0) OVER(j, P) heard[j] += x * weights[j];
    }
}

/* The windows that end at step t, one behind the other in rows of all samples: W·x + b and |W|·r + slack, then what the
   run's recursion adds. */
static void find_windows(const Sizes *sizes, const Given *given, const Ends *ends, const Matrix *matrix, long t, long b,
                         Sample *sample, Room *room, REAL *bottom, REAL *top) {
    long C = ends->columns, n = sizes->neurons, P = rounded(n, LANES), m = sizes->sources, count = windows_of(sizes, t);
    hear(sizes, given, matrix, t, b, sample);
    for (long o = 0; o < sample->count; o++) {
        long k = sample->open[o], u = given->range[b * m + k];
        const REAL *least = ends->least + u * C, *most = ends->most + u * C;
        REAL *middle = room->middle + k * C, *radius = room->radius + k * C;
        OVER(i, C) middle[i] = (least[i] + most[i]) * (REAL)0.5, radius[i] = (most[i] - least[i]) * (REAL)0.5;
    }
    product(matrix->weights, sample->open, room->middle, sample->open, sample->count, C, P, C, room->low);
    product(matrix->moduli, sample->open, room->radius, sample->open, sample->count, C, P, C, room->high);
    REAL total = 0, moduli = 0, weight = 0, *sum = room->sum;
    OVER(j, P) sum[j] = 0;
    for (long i = 0; i < count; i++) {
        REAL part = given->ages[i] * given->factors[t - i], *low = bottom + i * sizes->samples * n;
        REAL *high = top + i * sizes->samples * n, *middles = room->low + i * P, *radii = room->high + i * P;
        const REAL *heard = sample->heard + (t - i) % (sizes->longest + 1) * P;
        total += part, moduli += fabs(part), weight += given->ages[i];
        OVER(j, n) {
            sum[j] += part * heard[j];
            REAL middle = middles[j] + sum[j] + matrix->bias[j] * total, radius = radii[j] + sample->slack[j] * moduli;
            REAL widening = sample->widening[j] * weight;
            low[j] = (middle - radius) - widening, high[j] = (middle + radius) + widening;
        }
    }
}

INLINE Labels label_at(Labels all, long at) {
    Labels one = {all.bottom + at, all.top + at, all.alive + at, 0, 0};
    if (all.least) one.least = all.least + at, one.most = all.most + at;
    return one;
}

/* Take in a step's current, cut what a window and the cap exclude where `cuts`, and what L does where it `carries`, and note
   who may fire; `silent` is θ·λ^age. Where L is known B fades by a step, v + B = L cuts each by the other, a spike takes L
   of those who may fire, and of those who are silent L says what B may be. */
INLINE void fire_as(const Limits *limits, long n, Labels label, const REAL *restrict low, const REAL *restrict high,
                    REAL silent, Work *work, int cuts, int carries) {
    REAL surely = (REAL)limits->surely, perhaps = (REAL)limits->perhaps, decay = (REAL)limits->decay;
    OVER(j, n) {
        REAL bottom = work->current[j] + decay * label.bottom[j], top = work->ceiling[j] + decay * label.top[j];
        top = lesser(top, work->cap[j]);
        if (cuts) {
            bottom = greater(bottom, low[j]), top = lesser(top, high[j]);
            work->cap[j] = lesser(work->cap[j], high[j] + silent);
        }
        if (carries) {
            label.least[j] *= decay, label.most[j] *= decay;
            bottom = greater(bottom, work->inflow[j] - label.most[j]), top = lesser(top, work->outmost[j] - label.least[j]);
        }
        REAL there = bottom <= top ? label.alive[j] : 0, fires = top >= perhaps ? there : 0;
        if (carries) {
            REAL taken = greater(bottom, perhaps) + label.least[j], given = top + label.most[j];
            work->taken[j] = lesser(fires > 0 ? taken : INFINITE, work->taken[j]);
            work->given[j] = greater(fires > 0 ? given : -INFINITE, work->given[j]);
            label.least[j] = greater(label.least[j], work->inflow[j] - lesser(top, surely));
            label.most[j] = lesser(label.most[j], work->outmost[j] - bottom);
        }
        label.bottom[j] = bottom, label.top[j] = lesser(top, surely), label.alive[j] = bottom <= surely ? there : 0;
        work->fired[j] = greater(work->fired[j], fires), work->edge[j] = fires;
    }
}

/* Where `low` is none no window is known. */
static void fire(const Limits *limits, long n, Labels label, const REAL *low, const REAL *high, REAL silent, Work *work) {
    if (work->inflow && low) fire_as(limits, n, label, low, high, silent, work, 1, 1);
    else if (work->inflow) fire_as(limits, n, label, 0, 0, silent, work, 0, 1);
    else if (low) fire_as(limits, n, label, low, high, silent, work, 1, 0);
    else fire_as(limits, n, label, 0, 0, silent, work, 0, 0);
}

static void write_bytes(const REAL *from, long n, unsigned char *to) {
    for (long j = 0; j < n; j++) to[j] = (unsigned char)from[j];
}

/* Join the ends of one label's numbers with those of what is older. */
INLINE void join_ends(long n, const REAL *alive, const REAL *low, const REAL *high, const REAL *old, REAL *least,
                      REAL *most) {
    OVER(j, n) {
        REAL bottom = lesser(alive[j] > 0 ? low[j] : INFINITE, old[j] > 0 ? least[j] : INFINITE);
        REAL top = greater(alive[j] > 0 ? high[j] : -INFINITE, old[j] > 0 ? most[j] : -INFINITE);
        int some = (alive[j] > 0) | (old[j] > 0);
        least[j] = some ? bottom : 0, most[j] = some ? top : 0;
    }
}

/* Join the oldest label with what is older. */
static void join(long n, Labels last, Labels old) {
    join_ends(n, last.alive, last.bottom, last.top, old.alive, old.bottom, old.top);
    if (last.least) join_ends(n, last.alive, last.least, last.most, old.alive, old.least, old.most);
    OVER(j, n) old.alive[j] = greater(old.alive[j], last.alive[j]);
}

/* Begin the node of a step: who fires there is left with nothing, and with what it took. */
static void begin_node(long n, Labels node, const Work *work) {
    OVER(j, n) node.bottom[j] = 0, node.top[j] = 0, node.alive[j] = work->fired[j];
    if (work->inflow) OVER(j, n) {
        node.least[j] = work->fired[j] > 0 ? greater(work->taken[j], work->inflow[j]) : 0;
        node.most[j] = work->fired[j] > 0 ? lesser(work->given[j], work->outmost[j]) : 0;
    }
}

/* The windows that end at a step, the shortest first: `count` of them, in rows of `width`. */
typedef struct {
    const REAL *low, *high;
    long count, width;
} Windows;

/* One step of the n neurons from `from` on, of `size`, whose arrays have rows of P. */
static void advance(const Limits *limits, long t, long from, long n, long P, Labels young, Labels old, Windows windows,
                    const Found *found, Work *work) {
    long T = limits->steps, W = limits->labels, size = limits->size, at = t * size + from;
    REAL power = (REAL)limits->decay, *certain = found->certain + at;
    OVER(j, n) work->cap[j] = INFINITE, work->fired[j] = 0, work->taken[j] = INFINITE, work->given[j] = -INFINITE;
    for (long j = 0; j < n; j++) certain[j] = 1;
    for (long i = 0; i <= W; i++) {
        Labels label = i < W ? label_at(young, (t - i + W + 1) % (W + 1) * P) : old;
        const REAL *low = i < windows.count ? windows.low + i * windows.width : 0;
        const REAL *high = i < windows.count ? windows.high + i * windows.width : 0;
        if (i == W || i <= t) fire(limits, n, label, low, high, (REAL)limits->surely * power, work);
        else OVER(j, n) work->edge[j] = 0; /* a node before the first one */
        power *= (REAL)limits->decay;
        write_bytes(work->edge, n, found->edges + (t * (W + 1) + i) * size + from);
        if (i == W || i <= t)
            for (long j = 0; j < n; j++) certain[j] = label.alive[j] > 0 ? 0 : certain[j];
    }
    for (long j = 0; j < n; j++) found->possible[at + j] = work->fired[j];
    write_bytes(old.alive, n, found->waits + at);
    Labels last = label_at(young, (t + 2) % (W + 1) * P), next = label_at(young, (t + 1) % (W + 1) * P);
    if (t + 1 >= W) join(n, last, old); /* of node t + 1 − W */
    begin_node(n, next, work);
    if (t + 1 < W) return;
    write_bytes(last.alive, n, found->stays + (t + 1 - W) * size + from);
    write_bytes(old.alive, n, found->stays + (T + 1 + t + 1 - W) * size + from);
}

/* All samples, from step `start` on to the one before `behind`. */
typedef struct {
    const Sizes *sizes;
    const Given *given;
    REAL *low, *high; /* of the windows from `start` on, (…, B, neurons) */
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
    long P = rounded(sizes->neurons, LANES), m = sizes->sources, real = sizeof(REAL);
    long U = sizes->ranges, C = search->ends.columns = rounded(sizes->longest, WIDE);
    matrix->weights = take(&next, m * P, real), matrix->moduli = take(&next, m * P, real);
    matrix->bias = take(&next, P, real), search->sums = take(&next, (2 * WIDE + 1) * sizes->rows, real);
    search->ends.least = take(&next, each * U * C, real), search->ends.most = take(&next, each * U * C, real);
    search->order.ranges = take(&next, U, sizeof(long)), search->samples = take(&next, sizes->samples, sizeof(Sample));
    for (long b = 0; b < sizes->samples; b++) {
        Sample counted, *sample = memory ? search->samples + b : &counted;
        sample->slack = take(&next, P, real), sample->widening = take(&next, P, real);
        sample->open = take(&next, m, sizeof(long)), sample->sure = take(&next, m, sizeof(long));
    }
    return next - memory;
}

static long lay_room(const Sizes *sizes, long C, char *memory, Room *room) {
    char *next = memory;
    long P = rounded(sizes->neurons, LANES), m = sizes->sources, real = sizeof(REAL);
    room->middle = take(&next, m * C, real), room->radius = take(&next, m * C, real);
    room->low = take(&next, C * P, real), room->high = take(&next, C * P, real), room->sum = take(&next, P, real);
    return next - memory;
}

/* The ends of step t, of those that are found at once. */
static Ends ends_at(const Search *search, long t) {
    long C = search->ends.columns, at = (t - search->start) * search->sizes->ranges * C;
    return (Ends){search->ends.least + at, search->ends.most + at, C};
}

static int take_sample(const Item *item) {
    const Search *search = item->given;
    const Sizes *sizes = search->sizes;
    long b = item->start, at = b * sizes->neurons, size = sizes->samples * sizes->neurons;
    Sample *sample = search->samples + b;
    Room room;
    lay_room(sizes, search->ends.columns, item->room, &room);
    int begins = search->start == sizes->start && !sizes->kept;
    for (long t = most(0, sizes->start - sizes->longest); begins && t < sizes->start; t++)
        hear(sizes, search->given, &search->matrix, t, b, sample);
    for (long t = search->start; t < search->behind; t++) {
        Ends ends = ends_at(search, t);
        find_windows(sizes, search->given, &ends, &search->matrix, t, b, sample, &room, search->low + at, search->high + at);
        at += windows_of(sizes, t) * size;
    }
    return 0;
}

static void begin(const Sizes *sizes, const Given *given, Matrix *matrix, Sample *samples) {
    long n = sizes->neurons, m = sizes->sources, P = rounded(n, LANES);
    memcpy(matrix->bias, given->bias, sizeof(REAL) * (size_t)n);
    turn(given->weights, n, m, P, matrix->weights, matrix->moduli);
    for (long b = 0; b < sizes->samples; b++) {
        Sample *sample = samples + b;
        memcpy(sample->slack, given->slack + b * n, sizeof(REAL) * (size_t)n);
        if (given->widening) memcpy(sample->widening, given->widening + b * n, sizeof(REAL) * (size_t)n);
        sample->heard = given->heard + b * (sizes->longest + 1) * P;
        for (long k = 0; k < m; k++) {
            long u = given->range[b * m + k];
            if (given->first[u] < given->last[u] || sizes->steps < HEARD) sample->open[sample->count++] = k;
            else sample->sure[sample->known++] = k;
        }
    }
}

/* Fill the ends of all windows, end by end, the shortest first, (windows, B, neurons). Returns whether memory failed. */
int table_windows(const Sizes *sizes, const Given *given, REAL *low, REAL *high) {
    long C = rounded(sizes->longest, WIDE), U = sizes->ranges, each = SOME / (2 * U * C) + 1;
    Search search = {.sizes = sizes, .given = given, .low = low, .high = high};
    Room room;
    each = least(each, sizes->stop - sizes->start);
    long size = lay_out(&search, each, 0);
    char *memory = aligned(size);
    if (!memory) return 1;
    lay_out(&search, each, memset(memory, 0, (size_t)size));
    begin(sizes, given, &search.matrix, search.samples), put_in_order(given, U, &search.order);
    int failed = 0;
    for (search.start = sizes->start; !failed && search.start < sizes->stop; search.start = search.behind) {
        search.behind = least(search.start + each, sizes->stop);
        long found = 0;
        for (long t = search.start; t < search.behind; t++) {
            Ends ends = ends_at(&search, t);
            find_ends(sizes, given, &search.order, t, search.sums, &ends), found += windows_of(sizes, t);
        }
        failed = for_each(sizes->samples, 1, sizes->threads, lay_room(sizes, C, 0, &room), take_sample, &search);
        search.low += found * sizes->samples * sizes->neurons, search.high += found * sizes->samples * sizes->neurons;
    }
    free_aligned(memory);
    return failed;
}

#define BLOCK 64 /* neurons that walk together */

/* Steps start..stop − 1 of neurons whose windows are given, of at most `longest` steps; state is (blocks, 5·(W + 2), BLOCK):
   of each block the labels in slots as above and what is older, number by number. */
typedef struct {
    Limits limits;
    long start, stop, longest;
    int threads;
} Stepping;

typedef struct {
    const REAL *lower, *upper;      /* currents of these steps, widened, (steps, n) */
    const REAL *low, *high;         /* windows, end by end, the shortest first, (windows, n), or none */
    const REAL *inflow, *outmost;   /* L, (steps, n), or none */
    REAL *state;
} Stepped;

typedef struct {
    const Stepping *sizes;
    const Stepped *given;
    const Found *found;
} Step;

static int step_block(const Item *item) {
    const Step *step = item->given;
    const Stepping *sizes = step->sizes;
    const Stepped *given = step->given;
    long from = item->start, n = item->n, W = sizes->limits.labels, size = sizes->limits.size, all = (W + 2) * BLOCK;
    REAL room[5 * BLOCK], *state = given->state + from / BLOCK * 5 * all;
    Work work = {.cap = room, .fired = room + BLOCK, .edge = room + 2 * BLOCK, .taken = room + 3 * BLOCK};
    Labels young = {state, state + all, state + 2 * all, 0, 0};
    if (given->inflow) young.least = state + 3 * all, young.most = state + 4 * all;
    Windows windows = {0, 0, 0, size};
    if (given->low) windows.low = given->low + from, windows.high = given->high + from;
    work.given = room + 4 * BLOCK;
    for (long t = sizes->start; t < sizes->stop; t++) {
        long at = (t - sizes->start) * size + from, before = windows.count * size;
        work.current = given->lower + at, work.ceiling = given->upper + at;
        if (given->inflow) work.inflow = given->inflow + at, work.outmost = given->outmost + at;
        if (given->low) windows.low += before, windows.high += before, windows.count = least(t + 1, sizes->longest);
        advance(&sizes->limits, t, from, n, BLOCK, young, label_at(young, (W + 1) * BLOCK), windows, step->found, &work);
    }
    return 0;
}

/* Take steps. Returns 0. */
int age_steps(const Stepping *sizes, const Stepped *given, const Found *found) {
    Step step = {sizes, given, found};
    return for_each(sizes->limits.size, BLOCK, sizes->threads, 0, step_block, &step);
}

/* Paths of trains by age, n neurons beside each other; asked for are neurons from..to − 1. */
typedef struct {
    long steps, labels, neurons, rows, from, to;
} Walk;

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

/* Sums over windows, of the trains of n neurons beside each other over T steps: those that end at start..stop − 1, of at
   most `longest` steps. */
typedef struct {
    long steps, labels, neurons, longest, start, stop;
    int threads;
} Tails;

typedef struct {
    const unsigned char *edges;  /* as found, (T, W + 1, n) */
    const unsigned char *stays;  /* as found, of a node and of all nodes up to it, (2, T + 1, n) */
    const unsigned char *waits;  /* as found, (T, n); none where nothing gets old */
    const REAL *weights;         /* of each end and step, (stop − start, stop) */
} Followed;

#define TAIL 16 /* neurons whose sums are found together */

typedef struct {
    const Tails *sizes;
    const Followed *given;
    REAL *least, *most; /* (windows, n): end by end, the shortest first */
} Asked;

INLINE void take_bytes(unsigned char *to, const unsigned char *from, long n) {
    if (n == TAIL) memcpy(to, from, TAIL); /* of a size that is known */
    else memset(to, 0, TAIL), memcpy(to, from, (size_t)n);
}

/* Of n neurons, (2, T + 1, W + 1, TAIL) each: which spikes may follow the nodes that are asked for, and all nodes up to each
   (those of that age and older), and whether silence may last for i = 0..W steps behind them: what comes is later. */
static void gather(const Tails *sizes, const Followed *given, long from, long n, unsigned char *next,
                   unsigned char *silent) {
    long T = sizes->steps, W = sizes->labels, N = sizes->neurons, first = most(0, sizes->start - sizes->longest);
    long row = (W + 1) * TAIL, all = (T + 1) * row;
    unsigned char own[TAIL], together[TAIL];
    memset(next, 0, (size_t)(2 * all));
    for (long t = first; t < T; t++) {
        memset(together, 0, TAIL);
        for (long i = W; i >= 0; i--) {
            take_bytes(own, given->edges + (t * (W + 1) + i) * N + from, n);
            for (long j = 0; j < TAIL; j++) together[j] |= own[j];
            if (i == W || t - i < first) continue;
            memcpy(next + (t - i) * row + i * TAIL, own, TAIL);
            memcpy(next + all + (t - i) * row + i * TAIL, together, TAIL);
        }
    }
    for (long both = 0; both < 2; both++)
        for (long k = first; k < sizes->stop; k++) {
            unsigned char *follows = next + both * all + k * row, *lasts = silent + both * all + k * row;
            take_bytes(lasts + W * TAIL, given->stays + (both * (T + 1) + k) * N + from, n);
            for (long i = W - 1; i >= 0; i--)
                for (long j = 0; j < TAIL; j++) lasts[i * TAIL + j] = lasts[(i + 1) * TAIL + j] | follows[i * TAIL + j];
        }
}

typedef signed char Flags __attribute__((vector_size(LANES)));
typedef int64_t Mask __attribute__((vector_size(64)));

/* What is there of LANES numbers, and `rest` elsewhere. */
INLINE Row there(Flags flags, const REAL *numbers, REAL rest) {
    Mask mask = __builtin_convertvector(flags, Mask) != 0;
    Row row;
    *(Vector *)row.v = (Vector)(((Mask)(*(const Vector *)numbers) & mask) | ((Mask)((Vector){0} + rest) & ~mask));
    return row;
}

/* The least and the greatest ends of the ways of LANES neurons from k on: of `count` spikes that follow, and of silence. */
INLINE void follow(const unsigned char *follows, Lengths on, long count, const unsigned char *waits, Lengths waited,
                   REAL *least, REAL *most) {
    Row low, high;
    Flags flags;
    memcpy(&flags, waits, sizeof flags);
    low = there(flags, waited.least, INFINITE), high = there(flags, waited.most, -INFINITE);
    for (long i = 0; i < count; i++) {
        memcpy(&flags, follows + i * TAIL, sizeof flags);
        Row one = there(flags, on.least + i * TAIL, INFINITE), other = there(flags, on.most + i * TAIL, -INFINITE);
        EACH low.v[l] = lesser(one.v[l], low.v[l]);
        EACH high.v[l] = greater(other.v[l], high.v[l]);
    }
    memcpy(least, low.v, sizeof low), memcpy(most, high.v, sizeof high);
}

/* All windows that end at t, (k, t] from the longest's k on, by a walk back: in `memory` the least and the greatest of
   w[j] + g[j], and of what is old at j, for each j, (4, T + 2, TAIL). */
static void walk_back(const Asked *asked, long t, long at, long from, long n, const unsigned char *next,
                      const unsigned char *silent, REAL *memory) {
    const Tails *sizes = asked->sizes;
    const Followed *given = asked->given;
    long T = sizes->steps, W = sizes->labels, N = sizes->neurons, first = most(0, t - sizes->longest), all = (T + 2) * TAIL;
    const REAL *weights = given->weights + (t - sizes->start) * sizes->stop;
#define TAILS(part, j) ((Lengths){memory + 2 * (part) * all + (j) * TAIL, memory + (2 * (part) + 1) * all + (j) * TAIL})
    for (long k = t; k >= first; k--) {
        Lengths later = TAILS(0, k), old = TAILS(1, k), on = TAILS(0, k + 1), waited = TAILS(1, k + 1);
        OVER(j, TAIL) old.least[j] = k == t ? 0 : INFINITE, old.most[j] = k == t ? 0 : -INFINITE;
        if (k < t && given->waits) {
            take_way(old, waited, given->waits + k * N + from, n);
            take_way(old, on, given->edges + (k * (W + 1) + W) * N + from, n);
        }
        for (long both = k < t; both >= 0; both--) { /* of all nodes up to k, then of k */
            REAL low[TAIL], high[TAIL];
            long node = (both * (T + 1) + k) * (W + 1) * TAIL;
            const unsigned char *waits = silent + node + least(t - k, W) * TAIL, *follows = next + node;
            for (long j = 0; j < TAIL; j += LANES) {
                Lengths waited = t - k > W ? TAILS(1, k + W) : TAILS(1, t), here = {on.least + j, on.most + j};
                Lengths silence = {waited.least + j, waited.most + j};
                follow(follows + j, here, least(W, t - k), waits + j, silence, low + j, high + j);
            }
            if (both) {
                memcpy(asked->least + (at + t - k - 1) * N + from, low, sizeof(REAL) * (size_t)n);
                memcpy(asked->most + (at + t - k - 1) * N + from, high, sizeof(REAL) * (size_t)n);
            } else for (long j = 0; j < TAIL; j++) {
                later.least[j] = low[j] + weights[k], later.most[j] = high[j] + weights[k];
            }
        }
    }
}

static int sum_windows(const Item *item) {
    const Asked *asked = item->given;
    const Tails *sizes = asked->sizes;
    REAL *memory = item->room;
    unsigned char *next = (unsigned char *)(memory + 4 * (sizes->steps + 2) * TAIL);
    unsigned char *silent = next + 2 * (sizes->steps + 1) * (sizes->labels + 1) * TAIL;
    gather(sizes, asked->given, item->start, item->n, next, silent);
    for (long t = sizes->start, at = 0; t < sizes->stop; t++) {
        walk_back(asked, t, at, item->start, item->n, next, silent, memory);
        at += least(t, sizes->longest);
    }
    return 0;
}

/* Fill the least and the greatest sums over all windows. Returns whether memory failed. */
int window_sums(const Tails *sizes, const Followed *given, REAL *least, REAL *most) {
    Asked asked = {sizes, given, least, most};
    long bytes = 4 * TAIL * ((sizes->steps + 2) * (long)sizeof(REAL) + (sizes->steps + 1) * (sizes->labels + 1));
    return for_each(sizes->neurons, TAIL, sizes->threads, bytes, sum_windows, &asked);
}
