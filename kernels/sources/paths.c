/* The shortest paths of certify/bounds/prices/priced_layer.py, pair by pair in blocks that stay in cache.

   The recursion that is stated there, in REAL. Arrays are (rows, pairs), triangular ones (t ≤ T) packed one step
   after the other. climb.c includes this file. */

#include "shared.h"

typedef struct {
    double decay;         /* λ of the membrane */
    double slope_decay;   /* λ of the slopes; 1 where that is too small for prices */
    double surely, perhaps;
    long steps, pairs;
    int threads;
} Sizes;

typedef struct {
    const REAL *lower, *upper;             /* currents, (T, P) */
    const REAL *low, *high;                /* potentials since τ, packed (t, P) for t = 1..T */
    const unsigned char *edges, *ends;       /* packed likewise; (T + 1, P) */
    const REAL *start_low, *start_high;    /* (T + 1, P), or null */
} Graph;

typedef struct {
    REAL *values, *spikes, *currents; /* (P,), (T, P), (T, P) */
} Answer;

/* What one block works on. S segments have S + 1 ends. */
typedef struct {
    Row *ends;    /* F now, (T + 1, S + 1) */
    Row *before;  /* the ends of each step before they were cut, packed (t, S + 1) */
    Row *reached; /* where each edge arrives, packed (t) */
    Row *value, *length, *sorted, *bends; /* (T + 1), (T + 1), S, (S + 1) */
    Row *prices, *slopes;                 /* T, S */
    int *rank;    /* (S, LANES) */
    int *origin;  /* (T, LANES) */
    int turn[LANES];
    long *last;   /* the last step that an edge from τ enters, T + 1 for the end, (T + 1) */
} Work;

INLINE long packed(long t) { return t * (t + 1) / 2; } /* where step t (from 0) starts */

INLINE Row load(const REAL *from, long n, REAL rest) {
    Row row;
    EACH row.v[l] = l < n ? from[l] : rest;
    return row;
}

INLINE void load_flags(const unsigned char *from, long n, int *to) {
    unsigned char row[LANES] = {0};
    memcpy(row, from, (size_t)n);
    EACH to[l] = row[l];
}

static long lay_work(long T, long S, char *memory, Work *work) {
    char *next = memory;
    long row = sizeof(Row), whole = LANES * sizeof(int);
    work->ends = take(&next, (T + 1) * (S + 1), row), work->before = take(&next, packed(T) * (S + 1), row);
    work->reached = take(&next, packed(T), row), work->value = take(&next, T + 1, row);
    work->length = take(&next, T + 1, row), work->sorted = take(&next, S, row), work->bends = take(&next, S + 1, row);
    work->prices = take(&next, T, row), work->slopes = take(&next, S, row);
    work->rank = take(&next, S, whole), work->origin = take(&next, T, whole);
    work->last = take(&next, T + 1, sizeof(long));
    return next - memory;
}

/* Sort the segments: their places, how many fall, and the bends of F between them. */
INLINE void sort_segments(const Sizes *sizes, const REAL *prices, long start, long n, long S, Work *work) {
    long T = sizes->steps;
    REAL power = 1;
    for (long k = 0; k < T; k++, power *= sizes->slope_decay) {
        work->prices[k] = load(prices + k * sizes->pairs + start, n, 0);
        EACH work->slopes[k].v[l] = -work->prices[k].v[l] * power;
    }
    if (S > T) EACH work->slopes[T].v[l] = 0;
    EACH work->turn[l] = 0;
    for (long k = 0; k < S; k++) {
        int place[LANES] = {0};
        for (long j = 0; j < S; j++) {
            if (j < k) EACH place[l] += work->slopes[j].v[l] <= work->slopes[k].v[l];
            else EACH place[l] += work->slopes[j].v[l] < work->slopes[k].v[l];
        }
        EACH work->rank[k * LANES + l] = place[l];
        EACH work->turn[l] += work->slopes[k].v[l] < 0;
        EACH work->sorted[place[l]].v[l] = work->slopes[k].v[l];
    }
    for (long j = 0; j <= S; j++)
        EACH work->bends[j].v[l] = (j ? work->sorted[j - 1].v[l] : 0) - (j < S ? work->sorted[j].v[l] : 0);
}

INLINE void rise(const Row *ends, const Row *bends, long S, REAL scale, const REAL *reached, REAL *sum) {
    REAL total[LANES] = {0};
    for (long j = 0; j <= S; j++) EACH total[l] += lesser(ends[j].v[l], reached[l]) * bends[j].v[l];
    EACH sum[l] += total[l] * scale;
}

/* The end that each lane turns at. */
INLINE void lowest(const Row *ends, const int *turn, long S, REAL *found) {
    EACH found[l] = ends[0].v[l];
    for (int j = 1; j <= (int)S; j++) EACH found[l] = turn[l] >= j ? ends[j].v[l] : found[l];
}

/* F from τ through one step; the edge into the step's node competes for the shortest path there. */
INLINE void advance(const Sizes *sizes, const Graph *graph, long start, long n, long t, long from, long S, REAL scale,
                    Row lower, Row upper, Work *work, REAL *best) {
    long at = packed(t) + from, place = at * sizes->pairs + start;
    Row low = load(graph->low + place, n, 0), high = load(graph->high + place, n, 0);
    Row *ends = work->ends + from * (S + 1), *before = work->before + at * (S + 1);
    const int *rank = work->rank + t * LANES;
    REAL decay = (REAL)sizes->decay, perhaps = (REAL)sizes->perhaps, surely = (REAL)sizes->surely;
    REAL *value = work->value[from].v, reached[LANES], bottom[LANES], top[LANES], cost[LANES];
    EACH value[l] -= work->prices[t].v[l] * lower.v[l];
    for (int j = 0; j <= (int)S; j++)
        EACH before[j].v[l] = decay * ends[j].v[l] + (j > rank[l] ? upper.v[l] : lower.v[l]);
    lowest(before, work->turn, S, reached);
    EACH high.v[l] = lesser(high.v[l], before[S].v[l]);
    EACH reached[l] = lesser(greater(reached[l], greater(low.v[l], perhaps)), high.v[l]);
    EACH bottom[l] = greater(low.v[l], before[0].v[l]), top[l] = lesser(high.v[l], surely), cost[l] = value[l];
    rise(before, work->bends, S, scale, reached, cost);
    rise(before, work->bends, S, scale, bottom, value);
    for (long j = 0; j <= S; j++) EACH ends[j].v[l] = lesser(greater(before[j].v[l], bottom[l]), top[l]);
    EACH work->reached[at].v[l] = reached[l];
    int *origin = work->origin + t * LANES;
    int there[LANES], node = (int)from;
    load_flags(graph->edges + place, n, there);
    EACH {
        REAL length = there[l] ? work->length[from].v[l] + cost[l] : INFINITE;
        origin[l] = length < best[l] ? node : origin[l];
        best[l] = lesser(length, best[l]);
    }
}

/* Back from the last node of one pair: its spikes and currents. */
static void walk_back(const Sizes *sizes, const Graph *graph, long pair, int l, long node, REAL potential, long S,
                      const Work *work, const Answer *answer) {
    REAL decay = (REAL)sizes->decay > 0 ? (REAL)sizes->decay : 1; /* 0: of one step, that nothing is carried over to */
    for (long t = sizes->steps - 1; t >= 0; t--) {
        long place = t * sizes->pairs + pair;
        int here = node == t + 1;
        answer->spikes[place] = here;
        if (here) {
            node = work->origin[t * LANES + l];
            potential = work->reached[packed(t) + node].v[l];
        }
        const Row *ends = work->before + (packed(t) + node) * (S + 1) + work->rank[t * LANES + l];
        REAL low = ends[0].v[l], high = ends[1].v[l];
        REAL current = graph->lower[place] + lesser(greater(potential - low, 0), high - low);
        answer->currents[place] = current;
        potential = (potential - current) / decay;
    }
}

/* The last step that an edge from each τ enters in any lane, and T + 1 where a path may end at τ; −1: neither. */
INLINE void find_last(const Sizes *sizes, const Graph *graph, long start, long n, Work *work) {
    long T = sizes->steps;
    for (long from = 0; from <= T; from++) {
        const unsigned char *end = graph->ends + from * sizes->pairs + start;
        long last = -1;
        for (long l = 0; l < n; l++)
            if (end[l]) last = T + 1;
        for (long t = T - 1; t >= from && last < 0; t--) {
            const unsigned char *edge = graph->edges + (packed(t) + from) * sizes->pairs + start;
            for (long l = 0; l < n; l++)
                if (edge[l]) last = t;
        }
        work->last[from] = last;
    }
}

INLINE void run_block(const Sizes *sizes, const Graph *graph, const REAL *costs, const REAL *prices, long start,
                      long n, const Answer *answer, Work *work) {
    long T = sizes->steps, P = sizes->pairs, S = graph->start_low ? T + 1 : T;
    REAL scale = 1;
    sort_segments(sizes, prices, start, n, S, work);
    find_last(sizes, graph, start, n, work);
    for (long from = 0; from <= T; from++) {
        EACH work->value[from].v[l] = 0, work->length[from].v[l] = from ? INFINITE : 0;
        Row low = {0}, high = {0};
        if (graph->start_low) {
            low = load(graph->start_low + from * P + start, n, 0);
            high = load(graph->start_high + from * P + start, n, 0);
        }
        for (long j = 0; j <= S; j++)
            EACH work->ends[from * (S + 1) + j].v[l] = S > T && (int)j > work->rank[T * LANES + l] ? high.v[l] : low.v[l];
    }
    for (long t = 0; t < T; t++) {
        Row lower = load(graph->lower + t * P + start, n, 0), upper = load(graph->upper + t * P + start, n, 0);
        REAL best[LANES];
        EACH best[l] = INFINITE, work->origin[t * LANES + l] = 0;
        for (long from = 0; from <= t; from++)
            if (work->last[from] >= t) advance(sizes, graph, start, n, t, from, S, scale, lower, upper, work, best);
        for (long l = 0; l < n; l++) work->length[t + 1].v[l] = best[l] + costs[t * P + start + l];
        if (t < T - 1) scale /= sizes->slope_decay;
    }
    REAL value[LANES], potential[LANES];
    int node[LANES] = {0};
    EACH value[l] = INFINITE, potential[l] = 0;
    for (long from = 0; from <= T; from++) {
        if (work->last[from] != T + 1) continue;
        const Row *ends = work->ends + from * (S + 1);
        REAL reached[LANES], cost[LANES];
        lowest(ends, work->turn, S, reached);
        EACH cost[l] = work->value[from].v[l];
        rise(ends, work->bends, S, scale, reached, cost);
        int there[LANES], last = (int)from;
        load_flags(graph->ends + from * P + start, n, there);
        EACH {
            REAL length = there[l] ? work->length[from].v[l] + cost[l] : INFINITE;
            node[l] = length < value[l] ? last : node[l], potential[l] = length < value[l] ? reached[l] : potential[l];
            value[l] = lesser(length, value[l]);
        }
    }
    for (int l = 0; l < n; l++) {
        answer->values[start + l] = value[l];
        walk_back(sizes, graph, start + l, l, node[l], potential[l], S, work, answer);
    }
}

#ifndef BLOCKS_ONLY
typedef struct {
    const Sizes *sizes;
    const Graph *graph;
    const REAL *costs, *prices;
    const Answer *answer;
    Work work; /* a thread's own */
} Search;

static int search_block(const Item *item) {
    Search own = *(const Search *)item->given;
    long start = item->start, n = item->n, T = own.sizes->steps;
    lay_work(T, own.graph->start_low ? T + 1 : T, item->room, &own.work);
    if (n == LANES) run_block(own.sizes, own.graph, own.costs, own.prices, start, LANES, own.answer, &own.work);
    else run_block(own.sizes, own.graph, own.costs, own.prices, start, n, own.answer, &own.work);
    return 0;
}

/* Returns whether memory failed. */
int shortest(const Sizes *sizes, const Graph *graph, const REAL *costs, const REAL *prices, const Answer *answer) {
    Search search = {.sizes = sizes, .graph = graph, .costs = costs, .prices = prices, .answer = answer};
    long size = lay_work(sizes->steps, graph->start_low ? sizes->steps + 1 : sizes->steps, 0, &search.work);
    return for_each(sizes->pairs, LANES, sizes->threads, size, search_block, &search);
}
#endif
