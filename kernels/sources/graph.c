/* The graph of certify/bounds/trains/train_graph.py: the potentials since each spike, cut by windows of the current, in
   one pass that stays in cache.

   What a NaN excludes is nothing: of `lesser` and `greater` it comes first. Window (a, t] and edge a → t have place
   t(t − 1)/2 + a. Arrays over neurons are padded to P, a multiple of LANES. */

#include "shared.h"

/* T steps of N pairs of a sample and a neuron. A neuron rests for `rest` steps behind a spike; node 0 starts at `start`.
   `windows`: of each pair of steps, of those from step 0 on, or none. */
typedef struct {
    double start;
    long steps, pairs, rest;
    int reset, windows, threads;
} Sizes;

enum { NO_WINDOWS, ALL_WINDOWS, FIRST_WINDOWS };

typedef struct {
    const REAL *ages;                              /* λ^age, (T + 1), of windows */
    const REAL *lower, *upper;                     /* currents of each step, widened, (T, N) */
    const REAL *decay, *surely, *perhaps, *drop;   /* (N) each */
    const REAL *low, *high;                        /* windows, by end, the shortest first, (E or T, N); or none */
} Given;

/* E = T(T + 1)/2; where there is none of the last two, and of the two before, they are not asked for. */
typedef struct {
    unsigned char *edges, *ends; /* (E, N), (T + 1, N) */
    REAL *certain, *possible;    /* (T, N) each */
    REAL *lower, *upper;         /* currents cut to the windows of one step, (T, N) */
    REAL *low, *high;            /* potentials since the last spike, before they are cut, (E, N) */
    REAL *low_left, *high_left;  /* what is left behind each node, (T + 1, N) */
} Found;

/* What a thread works on: n neurons from `start` on, of pairs. */
typedef struct {
    long start, n, padded;
    REAL *low, *high;                          /* of the windows, (C, P) */
    REAL *past_low, *past_high;                /* potentials before each step, (E, P): those of step t from t(t + 1)/2 on */
    REAL *bottom, *top, *alive;                /* now, (T + 1, P) */
    REAL *decay, *surely, *perhaps, *drop;     /* (P) */
    REAL *fires, *silent, *tops, *lowest, *highest; /* (P) */
} Work;

#define BLOCK (4 * LANES) /* pairs that are walked at once, where windows are given */

INLINE long edges_of(long t) { return t * (t + 1) / 2; } /* where those into step t (from 0) start */

/* Take in a step's current since each last spike, and cut what a window that ends there excludes. */
static void integrate(const Sizes *sizes, const Given *given, const Found *found, long t, Work *work) {
    long n = work->n, P = work->padded, at = t * sizes->pairs + work->start;
    int windows = sizes->windows;
    if (windows && (t == 0 || windows == ALL_WINDOWS)) {
        memcpy(work->past_low + edges_of(t) * P, work->bottom, sizeof(REAL) * (size_t)((t + 1) * P));
        memcpy(work->past_high + edges_of(t) * P, work->top, sizeof(REAL) * (size_t)((t + 1) * P));
    }
    const REAL *alone_low = work->low + (edges_of(t) + t) * P, *alone_high = work->high + (edges_of(t) + t) * P;
    OVER(j, n) {
        REAL low = given->lower[at + j], high = given->upper[at + j];
        found->lower[at + j] = windows == ALL_WINDOWS ? greater(alone_low[j], low) : low;
        found->upper[at + j] = windows == ALL_WINDOWS ? lesser(alone_high[j], high) : high;
    }
    const REAL *lower = found->lower + at, *upper = found->upper + at, *decay = work->decay;
    long until = windows == ALL_WINDOWS ? t : windows == FIRST_WINDOWS ? 0 : -1;
    for (long from = 0; from <= t; from++) {
        REAL *restrict bottom = work->bottom + from * P, *restrict top = work->top + from * P;
        long awake = from ? from + sizes->rest : 0;
        if (awake > t) /* who rests stays at 0 */
            memset(bottom, 0, sizeof(REAL) * (size_t)P), memset(top, 0, sizeof(REAL) * (size_t)P);
        else OVER(j, n) bottom[j] = lower[j] + decay[j] * bottom[j], top[j] = upper[j] + decay[j] * top[j];
        for (long a = awake; a <= until; a++) {
            const REAL *restrict low = work->low + (edges_of(t) + a) * P, *restrict high = work->high + (edges_of(t) + a) * P;
            const REAL *restrict past_low = work->past_low + (edges_of(a) + from) * P;
            const REAL *restrict past_high = work->past_high + (edges_of(a) + from) * P;
            REAL weight = given->ages[t + 1 - a];
            OVER(j, P) {
                bottom[j] = greater(low[j] + weight * past_low[j], bottom[j]);
                top[j] = lesser(high[j] + weight * past_high[j], top[j]);
            }
        }
    }
}

/* Which of P neurons may fire, having been silent since one spike, and which may go on so. */
INLINE void fire_since(long P, const REAL *restrict surely, const REAL *restrict perhaps, const REAL *restrict bottom,
                       REAL *restrict top, REAL *restrict alive, REAL *restrict fires, REAL *restrict next,
                       REAL *restrict silent) {
    OVER(j, P) {
        REAL low = bottom[j], high = top[j];
        int there = (alive[j] != 0) & !(low > high), fired = there & !(high < perhaps[j]), stays = there & !(low > surely[j]);
        fires[j] = fired ? 1 : 0;
        next[j] = fired ? 1 : next[j];
        alive[j] = stays ? 1 : 0;
        silent[j] = stays ? 1 : silent[j];
        top[j] = lesser(surely[j], high);
    }
}

/* Join what a spike leaves of potentials that may fire. */
INLINE void join(long P, const REAL *restrict perhaps, const REAL *restrict drop, const REAL *restrict bottom,
                 const REAL *restrict top, const REAL *restrict fires, REAL *restrict lowest, REAL *restrict highest) {
    OVER(j, P) {
        REAL low = greater(bottom[j], perhaps[j]) - drop[j], high = top[j] - drop[j];
        lowest[j] = fires[j] != 0 ? lesser(lowest[j], low) : lowest[j];
        highest[j] = fires[j] != 0 ? greater(highest[j], high) : highest[j];
    }
}

/* Note who may fire at a step, since which spike, what that leaves, and which silences go on. */
static void fire(const Sizes *sizes, const Found *found, long t, Work *work) {
    long n = work->n, P = work->padded, N = sizes->pairs, at = t * N + work->start, left = sizes->reset != ZERO;
    REAL *next = work->alive + (t + 1) * P, *lowest = work->lowest, *highest = work->highest;
    OVER(j, P) next[j] = work->silent[j] = 0;
    OVER(j, P) lowest[j] = INFINITE, highest[j] = -INFINITE;
    for (long from = 0; from <= t; from++) {
        long place = (edges_of(t) + from) * N + work->start;
        REAL *bottom = work->bottom + from * P, *top = work->top + from * P;
        unsigned char *restrict edges = found->edges + place;
        const REAL *fires = work->fires;
        if (found->low) {
            memcpy(found->low + place, bottom, sizeof(REAL) * (size_t)n);
            memcpy(found->high + place, top, sizeof(REAL) * (size_t)n);
        }
        REAL *alive = work->alive + from * P;
        if (left) memcpy(work->tops, top, sizeof(REAL) * (size_t)P);
        fire_since(P, work->surely, work->perhaps, bottom, top, alive, work->fires, next, work->silent);
        if (left) join(P, work->perhaps, work->drop, bottom, work->tops, fires, lowest, highest);
        OVER(j, n) edges[j] = fires[j] != 0;
    }
    REAL *bottom = work->bottom + (t + 1) * P, *top = work->top + (t + 1) * P;
    for (long j = 0; j < n; j++) {
        found->possible[at + j] = next[j];
        found->certain[at + j] = 1 - work->silent[j];
        bottom[j] = left && next[j] != 0 ? lowest[j] : 0;
        top[j] = left && next[j] != 0 ? highest[j] : 0;
    }
}

static void note_left(const Sizes *sizes, const Found *found, long node, const Work *work) {
    if (!found->low_left) return;
    size_t own = sizeof(REAL) * (size_t)work->n;
    memcpy(found->low_left + node * sizes->pairs + work->start, work->bottom + node * work->padded, own);
    memcpy(found->high_left + node * sizes->pairs + work->start, work->top + node * work->padded, own);
}

/* The graphs of some neurons whose windows are there. */
static void walk(const Sizes *sizes, const Given *given, const Found *found, Work *work) {
    long T = sizes->steps, n = work->n, P = work->padded, start = work->start;
    size_t all = sizeof(REAL) * (size_t)((T + 1) * P), own = sizeof(REAL) * (size_t)n;
    memset(work->bottom, 0, all), memset(work->top, 0, all), memset(work->alive, 0, all);
    memcpy(work->decay, given->decay + start, own), memcpy(work->drop, given->drop + start, own);
    memcpy(work->surely, given->surely + start, own), memcpy(work->perhaps, given->perhaps + start, own);
    for (long j = 0; j < n; j++) work->alive[j] = 1, work->bottom[j] = work->top[j] = (REAL)sizes->start;
    note_left(sizes, found, 0, work);
    for (long t = 0; t < T; t++) {
        integrate(sizes, given, found, t, work);
        fire(sizes, found, t, work);
        note_left(sizes, found, t + 1, work);
    }
    for (long t = 0; t <= T; t++)
        for (long j = 0; j < n; j++) found->ends[t * sizes->pairs + start + j] = work->alive[t * P + j] != 0;
}

/* Take windows that are given into what is worked on. */
static void take_windows(const Sizes *sizes, const Given *given, Work *work) {
    long T = sizes->steps, N = sizes->pairs;
    for (long t = 0; t < T && sizes->windows; t++)
        for (long a = 0; a <= (sizes->windows == ALL_WINDOWS ? t : 0); a++) {
            long place = sizes->windows == ALL_WINDOWS ? edges_of(t) + t - a : t;
            long from = place * N + work->start, to = (edges_of(t) + a) * work->padded;
            memcpy(work->low + to, given->low + from, sizeof(REAL) * (size_t)work->n);
            memcpy(work->high + to, given->high + from, sizeof(REAL) * (size_t)work->n);
        }
}

/* What all threads are given, with what they share. */
typedef struct {
    const Sizes *sizes;
    const Given *given;
    const Found *found;
    long first; /* of the pairs */
    Work work; /* a thread's own */
} Search;

static long lay_work(const Sizes *sizes, char *memory, Work *work) {
    char *next = memory;
    long T = sizes->steps, real = sizeof(REAL), P = BLOCK, E = sizes->windows ? rounded(edges_of(T), WIDE) : 0;
    work->low = take(&next, E * P, real), work->high = take(&next, E * P, real);
    work->past_low = take(&next, E * P, real), work->past_high = take(&next, E * P, real);
    work->bottom = take(&next, (T + 1) * P, real), work->top = take(&next, (T + 1) * P, real);
    work->alive = take(&next, (T + 1) * P, real), work->silent = take(&next, P, real);
    work->decay = take(&next, P, real), work->drop = take(&next, P, real);
    work->surely = take(&next, P, real), work->perhaps = take(&next, P, real);
    work->lowest = take(&next, P, real), work->highest = take(&next, P, real);
    work->fires = take(&next, P, real), work->tops = take(&next, P, real);
    work->padded = P;
    return next - memory;
}

static int search(const Item *item) {
    Search own = *(const Search *)item->given;
    Work *work = &own.work;
    lay_work(own.sizes, item->room, work);
    work->n = item->n, work->start = own.first + item->start;
    take_windows(own.sizes, own.given, work);
    walk(own.sizes, own.given, own.found, work);
    return 0;
}

/* Find the graphs of pairs from `first` up to `last`; returns whether memory failed. */
int graphs(const Sizes *sizes, const Given *given, const Found *found, long first, long last) {
    Search all = {.sizes = sizes, .given = given, .found = found, .first = first};
    return for_each(last - first, BLOCK, sizes->threads, lay_work(sizes, 0, &all.work), search, &all);
}
