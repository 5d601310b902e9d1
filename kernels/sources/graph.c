/* The graph of certify/bounds/trains/train_graph.py behind a table of trains and a dense layer, sample by sample: sums
   over windows of the table's rows, their products with W and |W|, and the potentials since each spike, in one pass that
   stays in cache.

   REAL is double. It does what torch does there, but for the order in which sums of products are added up and for
   fused products: what is paid for rounding, a multiple of u times the sum of moduli, holds in any order (F1, F2, F5).
   What a NaN excludes is nothing: of `lesser` and `greater` it comes first. Window (a, t] and edge a → t have place t(t − 1)/2 + a. Arrays over neurons are padded
   to P, a multiple of LANES. */

#include "shared.h"

/* B samples, T steps; the layer before has m neurons with rows of R. */
typedef struct {
    double surely, perhaps;
    long steps, samples, neurons, sources, rows;
    int threads;
} Sizes;

typedef struct {
    const REAL *weights, *bias;   /* (n, m), (n) */
    const REAL *trains;           /* (R, T) */
    const long *first, *last;     /* rows of each source, (B, m) */
    const REAL *ages, *factors;   /* λ^age, (T + 1), and a, (T) */
    const REAL *slack, *widening; /* of a unit of weight: of the product, of the recursion, (B, n) */
    const REAL *lower, *upper;    /* currents of each step, widened, (T, B, n) */
} Given;

/* E = T(T + 1)/2. */
typedef struct {
    unsigned char *edges, *ends; /* (E, B, n), (T + 1, B, n) */
    REAL *low, *high;            /* potentials since the last spike, before they are cut, (E, B, n) */
    REAL *certain, *possible;    /* (T, B, n) each */
    REAL *lower, *upper;         /* currents cut to the windows of one step, (T, B, n) */
} Found;

/* What all samples share: the middles and radii of all windows for each range of rows, (R, R, C), Wᵀ and its moduli,
   (m, P), and b, (P). */
typedef struct {
    REAL *middle, *radius, *weights, *moduli, *bias;
    long columns, padded; /* C: windows, rounded up to WIDE; P */
} Shared;

/* What a thread works on. */
typedef struct {
    long *some, *open;                /* sources whose windows' middles, and radii, are not 0, (m) each */
    long *middle, *radius;            /* their ranges of rows, (m) each */
    REAL *low, *high;                 /* of the windows, (C, P) */
    REAL *past_low, *past_high;       /* potentials before each step, (E + T + 1, P): those of step t from t(t + 1)/2 on */
    REAL *bottom, *top, *alive;       /* now, (T + 1, P) */
    REAL *slack, *widening, *fires;   /* (P) */
} Work;

INLINE long edges_of(long t) { return t * (t + 1) / 2; } /* where those into step t (from 0) start */

/* The windows' sums of each row, then of each range of rows: its middle and radius. */
static void sum_windows(const Sizes *sizes, const Given *given, const Shared *shared) {
    long T = sizes->steps, R = sizes->rows, C = shared->columns;
    for (long r = 0; r < R; r++)
        for (long t = 0; t < T; t++) {
            REAL sum = 0, *row = shared->middle + (r * R + r) * C + edges_of(t);
            for (long a = t; a >= 0; a--)
                row[a] = sum += given->ages[t - a] * given->factors[a] * given->trains[r * T + a];
        }
    memcpy(shared->radius, shared->middle, sizeof(REAL) * (size_t)(R * R * C));
    for (long r = 0; r < R; r++)
        for (long q = r + 1; q < R; q++) {
            long here = (r * R + q) * C, before = here - C, last = (q * R + q) * C;
            OVER(i, C) {
                shared->middle[here + i] = lesser(shared->middle[last + i], shared->middle[before + i]);
                shared->radius[here + i] = greater(shared->radius[last + i], shared->radius[before + i]);
            }
        }
    for (long i = 0; i < R * R * C; i++) {
        REAL least = shared->middle[i], most = shared->radius[i];
        shared->middle[i] = (least + most) * (REAL)0.5, shared->radius[i] = (most - least) * (REAL)0.5;
    }
}

/* Where each window of one sample's currents lies: W·m + b ± (|W|·r + slack), and what the run's recursion adds. */
static void find_windows(const Sizes *sizes, const Given *given, const Shared *shared, long b, Work *work) {
    long T = sizes->steps, R = sizes->rows, C = shared->columns, P = shared->padded, some = 0, open = 0;
    for (long k = 0; k < sizes->sources; k++) {
        long first = given->first[b * sizes->sources + k], last = given->last[b * sizes->sources + k];
        long range = first * R + last;
        int silent = 1, settled = 1;
        for (long i = range * C; i < (range + 1) * C; i++)
            silent &= shared->middle[i] == 0, settled &= shared->radius[i] == 0;
        if (!silent) work->some[some] = k, work->middle[some++] = range;
        if (!settled) work->open[open] = k, work->radius[open++] = range;
    }
    product(shared->weights, work->some, shared->middle, work->middle, some, C, P, C, work->low);
    product(shared->moduli, work->open, shared->radius, work->radius, open, C, P, C, work->high);
    for (long t = 0; t < T; t++) {
        REAL total = 0, moduli = 0, weight = 0;
        for (long a = t; a >= 0; a--) {
            REAL age = given->ages[t - a], part = age * given->factors[a];
            REAL *low = work->low + (edges_of(t) + a) * P, *high = work->high + (edges_of(t) + a) * P;
            total += part, moduli += fabs(part), weight += age;
            OVER(j, P) {
                REAL middle = low[j] + shared->bias[j] * total, radius = high[j] + work->slack[j] * moduli;
                REAL widening = work->widening[j] * weight;
                low[j] = (middle - radius) - widening, high[j] = (middle + radius) + widening;
            }
        }
    }
}

/* Take in a step's current since each last spike, and cut what a window that ends there excludes. */
static void integrate(const Sizes *sizes, const Given *given, const Shared *shared, const Found *found, long t, long b,
                      Work *work) {
    long n = sizes->neurons, P = shared->padded, at = (t * sizes->samples + b) * n;
    REAL decay = given->ages[1];
    memcpy(work->past_low + edges_of(t) * P, work->bottom, sizeof(REAL) * (size_t)((t + 1) * P));
    memcpy(work->past_high + edges_of(t) * P, work->top, sizeof(REAL) * (size_t)((t + 1) * P));
    const REAL *alone_low = work->low + (edges_of(t) + t) * P, *alone_high = work->high + (edges_of(t) + t) * P;
    for (long j = 0; j < n; j++) {
        found->lower[at + j] = greater(alone_low[j], given->lower[at + j]);
        found->upper[at + j] = lesser(alone_high[j], given->upper[at + j]);
    }
    for (long from = 0; from <= t; from++) {
        REAL *bottom = work->bottom + from * P, *top = work->top + from * P;
        for (long j = 0; j < n; j++) {
            bottom[j] = found->lower[at + j] + decay * bottom[j];
            top[j] = found->upper[at + j] + decay * top[j];
        }
        for (long a = from; a <= t; a++) {
            const REAL *low = work->low + (edges_of(t) + a) * P, *high = work->high + (edges_of(t) + a) * P;
            const REAL *past_low = work->past_low + (edges_of(a) + from) * P;
            const REAL *past_high = work->past_high + (edges_of(a) + from) * P;
            REAL weight = given->ages[t + 1 - a];
            OVER(j, P) {
                bottom[j] = greater(low[j] + weight * past_low[j], bottom[j]);
                top[j] = lesser(high[j] + weight * past_high[j], top[j]);
            }
        }
    }
}

/* Note who may fire at a step, since which spike, and which silences go on. */
static void fire(const Sizes *sizes, const Shared *shared, const Found *found, long t, long b, Work *work) {
    long n = sizes->neurons, B = sizes->samples, P = shared->padded, at = (t * B + b) * n;
    REAL surely = (REAL)sizes->surely, perhaps = (REAL)sizes->perhaps, *silent = work->widening; /* no longer needed */
    OVER(j, P) work->fires[j] = silent[j] = 0;
    for (long from = 0; from <= t; from++) {
        long place = ((edges_of(t) + from) * B + b) * n;
        REAL *bottom = work->bottom + from * P, *top = work->top + from * P, *alive = work->alive + from * P;
        memcpy(found->low + place, bottom, sizeof(REAL) * (size_t)n);
        memcpy(found->high + place, top, sizeof(REAL) * (size_t)n);
        for (long j = 0; j < n; j++) {
            int there = alive[j] != 0 && !(bottom[j] > top[j]), fires = there && !(top[j] < perhaps);
            found->edges[place + j] = (unsigned char)fires;
            work->fires[j] = fires ? 1 : work->fires[j];
            alive[j] = there && !(bottom[j] > surely);
            silent[j] = alive[j] != 0 ? 1 : silent[j];
            top[j] = lesser(surely, top[j]);
        }
    }
    REAL *next = work->alive + (t + 1) * P;
    for (long j = 0; j < n; j++) {
        next[j] = found->possible[at + j] = work->fires[j];
        found->certain[at + j] = 1 - silent[j];
    }
}

static void find_graph(const Sizes *sizes, const Given *given, const Shared *shared, const Found *found, long b, Work *work) {
    long T = sizes->steps, n = sizes->neurons, P = shared->padded;
    size_t all = sizeof(REAL) * (size_t)((T + 1) * P), own = sizeof(REAL) * (size_t)n;
    memset(work->slack, 0, sizeof(REAL) * (size_t)P), memset(work->widening, 0, sizeof(REAL) * (size_t)P);
    memcpy(work->slack, given->slack + b * n, own), memcpy(work->widening, given->widening + b * n, own);
    find_windows(sizes, given, shared, b, work);
    memset(work->bottom, 0, all), memset(work->top, 0, all), memset(work->alive, 0, all);
    for (long j = 0; j < n; j++) work->alive[j] = 1;
    for (long t = 0; t < T; t++) {
        integrate(sizes, given, shared, found, t, b, work);
        fire(sizes, shared, found, t, b, work);
    }
    for (long t = 0; t <= T; t++)
        for (long j = 0; j < n; j++) found->ends[(t * sizes->samples + b) * n + j] = work->alive[t * P + j] != 0;
}

/* What all samples are given, with what they share. */
typedef struct {
    const Sizes *sizes;
    const Given *given;
    const Found *found;
    Shared shared;
    Work work; /* a thread's own */
} Search;

static long lay_shared(const Sizes *sizes, char *memory, Shared *shared) {
    char *next = memory;
    long R = sizes->rows, m = sizes->sources, real = sizeof(REAL);
    long P = shared->padded = rounded(sizes->neurons, LANES);
    long C = shared->columns = rounded(edges_of(sizes->steps), WIDE);
    shared->middle = take(&next, R * R * C, real), shared->radius = take(&next, R * R * C, real);
    shared->weights = take(&next, m * P, real), shared->moduli = take(&next, m * P, real);
    shared->bias = take(&next, P, real);
    return next - memory;
}

static long lay_work(const Sizes *sizes, const Shared *shared, char *memory, Work *work) {
    char *next = memory;
    long T = sizes->steps, m = sizes->sources, P = shared->padded, C = shared->columns, real = sizeof(REAL);
    work->middle = take(&next, m, sizeof(long)), work->radius = take(&next, m, sizeof(long));
    work->some = take(&next, m, sizeof(long)), work->open = take(&next, m, sizeof(long));
    work->low = take(&next, C * P, real), work->high = take(&next, C * P, real);
    work->past_low = take(&next, edges_of(T) * P, real), work->past_high = take(&next, edges_of(T) * P, real);
    work->bottom = take(&next, (T + 1) * P, real), work->top = take(&next, (T + 1) * P, real);
    work->alive = take(&next, (T + 1) * P, real), work->slack = take(&next, P, real);
    work->widening = take(&next, P, real), work->fires = take(&next, P, real);
    return next - memory;
}

static int search_sample(const Item *item) {
    Search own = *(const Search *)item->given;
    lay_work(own.sizes, &own.shared, item->room, &own.work);
    find_graph(own.sizes, own.given, &own.shared, own.found, item->start, &own.work);
    return 0;
}

/* Returns whether memory failed. */
int graphs(const Sizes *sizes, const Given *given, const Found *found) {
    Search search = {.sizes = sizes, .given = given, .found = found};
    Shared *shared = &search.shared;
    long size = lay_shared(sizes, 0, shared);
    char *memory = aligned(size);
    if (!memory) return 1;
    lay_shared(sizes, memset(memory, 0, (size_t)size), shared);
    memcpy(shared->bias, given->bias, sizeof(REAL) * (size_t)sizes->neurons);
    turn(given->weights, sizes->neurons, sizes->sources, shared->padded, shared->weights, shared->moduli);
    sum_windows(sizes, given, shared);
    int failed = for_each(sizes->samples, 1, sizes->threads, lay_work(sizes, shared, 0, &search.work), search_sample, &search);
    free_aligned(memory);
    return failed;
}
