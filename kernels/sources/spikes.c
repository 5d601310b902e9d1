/* What spikes a layer may have, in one pass over memory: eager_spikes.py, train_graph.py and train_table.py of
   certify/bounds, compiled on demand by loading.py.

   REAL is float or double. All arithmetic is that of the Python files, operation by operation: one rounding for each
   end of a current, one for λ·v + that (FUSED: as torch's own kernels on this machine, which the loader checks), one
   for each sum along a path. So all that comes out is bitwise what torch computes, and the proofs there hold here.
   Compile with -ffp-contract=off, so that no compiler fuses anything else. */

#include <stdlib.h>

#define LANES 128 /* neurons of one block: with T + 1 nodes each they fit the fastest cache */

#if FUSED
#define MULTIPLY_ADD(a, b, c) (sizeof(REAL) == 4 ? __builtin_fmaf(a, b, c) : __builtin_fma(a, b, c))
#else
#define MULTIPLY_ADD(a, b, c) ((a) * (b) + (c))
#endif

#define INFINITE ((REAL)__builtin_inf())
#define INLINE static inline __attribute__((always_inline))

enum { ZERO, SUBTRACT, NONE }; /* resets */

typedef struct {
    double decay, surely, perhaps, drop;
    int reset, threads;
    long steps, size, current_stride; /* a stride of 0 is a constant current */
} Layer;

typedef struct {
    const REAL *middle, *radius; /* of the current, (T or 1, size) */
} Current;

typedef struct {
    REAL *middle, *radius;  /* of each spike, (T, size); both may be missing */
    REAL *fewest, *most;    /* ends of Σ row[t]·s[t], (size); both may be missing */
} Spikes;

INLINE long least(long a, long b) { return a < b ? a : b; }
INLINE REAL lesser(REAL a, REAL b) { return a < b ? a : b; }
INLINE REAL greater(REAL a, REAL b) { return a > b ? a : b; }

/* Which neurons part p of all the threads' parts works on: whole blocks. */
INLINE long part_start(const Layer *layer, int p) {
    long blocks = (layer->size + LANES - 1) / LANES;
    return least(layer->size, blocks * p / layer->threads * LANES);
}

#define FOR_EACH_BLOCK                                                                                    \
    _Pragma("omp parallel for num_threads(layer->threads) schedule(static) if (layer->threads > 1)")      \
    for (int p = 0; p < layer->threads; p++)                                                              \
        for (long start = part_start(layer, p), end = part_start(layer, p + 1); start < end; start += LANES)

INLINE void ends_of(const Layer *layer, Current in, long t, long start, long n, REAL *lower, REAL *upper) {
    const REAL *middle = in.middle + t * layer->current_stride + start;
    const REAL *radius = in.radius + t * layer->current_stride + start;
    for (long j = 0; j < n; j++) {
        lower[j] = middle[j] - radius[j];
        upper[j] = middle[j] + radius[j];
    }
}

INLINE void write_step(const Layer *layer, Spikes out, long t, long start, long n, const REAL *must, const REAL *may) {
    if (!out.middle) return;
    REAL *middle = out.middle + t * layer->size + start, *radius = out.radius + t * layer->size + start;
    for (long j = 0; j < n; j++) {
        middle[j] = (REAL)0.5 * may[j] + (REAL)0.5 * must[j];
        radius[j] = (REAL)0.5 * may[j] - (REAL)0.5 * must[j];
    }
}

INLINE void interval_block(const Layer *layer, Current in, Spikes out, long start, long n, int reset) {
    REAL decay = (REAL)layer->decay, surely = (REAL)layer->surely, perhaps = (REAL)layer->perhaps;
    REAL drop = (REAL)layer->drop, lower[LANES], upper[LANES], low[LANES], high[LANES], must[LANES], may[LANES];
    REAL fewest[LANES], most[LANES];
    for (long j = 0; j < n; j++) low[j] = high[j] = fewest[j] = most[j] = 0;
    for (long t = 0; t < layer->steps; t++) {
        if (t == 0 || layer->current_stride) ends_of(layer, in, t, start, n, lower, upper);
        for (long j = 0; j < n; j++) {
            REAL l = MULTIPLY_ADD(low[j], decay, lower[j]), h = MULTIPLY_ADD(high[j], decay, upper[j]);
            REAL certain = (REAL)(l > surely), possible = (REAL)(h >= perhaps);
            must[j] = certain;
            may[j] = possible;
            fewest[j] += certain;
            most[j] += possible;
            if (reset == ZERO) {
                l = lesser(l, possible > 0 ? 0 : perhaps);
                h = lesser(h, certain > 0 ? 0 : surely);
            }
            if (reset == SUBTRACT) {
                REAL fired_low = greater(l, perhaps) - drop, fired_high = h - drop;
                REAL joined_low = possible > 0 ? lesser(l, fired_low) : l;
                REAL joined_high = possible > 0 ? greater(lesser(h, surely), fired_high) : h;
                l = certain > 0 ? fired_low : joined_low;
                h = certain > 0 ? fired_high : joined_high;
            }
            low[j] = l;
            high[j] = h;
        }
        write_step(layer, out, t, start, n, must, may);
    }
    if (!out.fewest) return;
    for (long j = 0; j < n; j++) {
        out.fewest[start + j] = fewest[j];
        out.most[start + j] = most[j];
    }
}

/* The per-step recursion of interval.py. */
void interval_spikes(const Layer *layer, const Current *in, const Spikes *out) {
    FOR_EACH_BLOCK {
        long n = least(LANES, end - start);
        if (layer->reset == ZERO) interval_block(layer, *in, *out, start, n, ZERO);
        else if (layer->reset == SUBTRACT) interval_block(layer, *in, *out, start, n, SUBTRACT);
        else interval_block(layer, *in, *out, start, n, NONE);
    }
}

/* One node of the graph: potentials since a last spike at τ, whether a silent path is there, and the lengths of the
   shortest and of the longest path to it. */
typedef struct {
    REAL low[LANES], high[LANES], alive[LANES], shortest[LANES], longest[LANES];
    int any;
} Node;

typedef struct {
    REAL reached[LANES], silent[LANES], shortest[LANES], longest[LANES];
} Arrivals;

/* Take one step from `node`; what spikes now arrives at the next node. */
INLINE void leave(const Layer *layer, Node *node, Arrivals *next, long n, const REAL *lower, const REAL *upper) {
    REAL decay = (REAL)layer->decay, surely = (REAL)layer->surely, perhaps = (REAL)layer->perhaps;
    int any = 0;
    for (long j = 0; j < n; j++) {
        REAL l = MULTIPLY_ADD(node->low[j], decay, lower[j]), h = MULTIPLY_ADD(node->high[j], decay, upper[j]);
        REAL edge = h >= perhaps ? node->alive[j] : 0, silent = l <= surely ? node->alive[j] : 0;
        next->reached[j] = greater(next->reached[j], edge);
        next->silent[j] = greater(next->silent[j], silent);
        next->shortest[j] = lesser(next->shortest[j], edge > 0 ? node->shortest[j] : INFINITE);
        next->longest[j] = greater(next->longest[j], edge > 0 ? node->longest[j] : -INFINITE);
        node->low[j] = l;
        node->high[j] = lesser(h, surely);
        node->alive[j] = silent;
    }
    for (long j = 0; j < n; j++) any |= node->alive[j] > 0;
    node->any = any;
}

INLINE void arrive(Node *node, const Arrivals *from, REAL length, long n) {
    int any = 0;
    for (long j = 0; j < n; j++) {
        node->low[j] = node->high[j] = 0;
        node->alive[j] = from->reached[j];
        node->shortest[j] = from->shortest[j] + length;
        node->longest[j] = from->longest[j] + length;
    }
    for (long j = 0; j < n; j++) any |= from->reached[j] > 0;
    node->any = any;
}

INLINE void begin(Arrivals *next, long n) {
    for (long j = 0; j < n; j++) {
        next->reached[j] = next->silent[j] = 0;
        next->shortest[j] = INFINITE;
        next->longest[j] = -INFINITE;
    }
}

INLINE void finish(const Node *nodes, long count, Spikes out, long start, long n) {
    REAL *fewest = out.fewest + start, *most = out.most + start;
    for (long j = 0; j < n; j++) fewest[j] = INFINITE, most[j] = -INFINITE;
    for (long k = 0; k < count; k++)
        for (long j = 0; nodes[k].any && j < n; j++) {
            fewest[j] = lesser(fewest[j], nodes[k].alive[j] > 0 ? nodes[k].shortest[j] : INFINITE);
            most[j] = greater(most[j], nodes[k].alive[j] > 0 ? nodes[k].longest[j] : -INFINITE);
        }
}

static void graph_block(const Layer *layer, Current in, const REAL *row, Spikes out, long start, long n, Node *nodes) {
    REAL lower[LANES], upper[LANES], must[LANES];
    Arrivals next;
    begin(&next, n);
    for (long j = 0; j < n; j++) next.reached[j] = 1, next.shortest[j] = next.longest[j] = 0;
    arrive(nodes, &next, 0, n);
    for (long t = 0; t < layer->steps; t++) {
        if (t == 0 || layer->current_stride) ends_of(layer, in, t, start, n, lower, upper);
        begin(&next, n);
        for (long k = 0; k <= t; k++)
            if (nodes[k].any) leave(layer, nodes + k, &next, n, lower, upper);
        arrive(nodes + t + 1, &next, row ? row[t] : 0, n);
        for (long j = 0; j < n; j++) must[j] = 1 - next.silent[j];
        write_step(layer, out, t, start, n, must, next.reached);
    }
    if (out.fewest) finish(nodes, layer->steps + 1, out, start, n);
}

/* The graph of train_graph.py for a hard reset, its steps, and the shortest and longest paths of one row, (T).
   Returns 0, or 1 where there is no memory. */
int graph_spikes(const Layer *layer, const Current *in, const REAL *row, const Spikes *out) {
    long own = layer->steps + 1;
    Node *memory = malloc((size_t)(layer->threads * own) * sizeof(Node));
    if (!memory) return 1;
    FOR_EACH_BLOCK graph_block(layer, *in, row, *out, start, least(LANES, end - start), memory + p * own);
    free(memory);
    return 0;
}

/* The steps of train_table.py: rows of a table, lower and upper ends (R) in order, and what each step of a neuron is
   that may have the rows from first to last: middles and radii, (T, R, R). The current is constant. */
void table_spikes(const Layer *layer, const Current *in, long rows, const REAL *lowest, const REAL *highest,
                  const REAL *middles, const REAL *radii, const Spikes *out) {
    FOR_EACH_BLOCK {
        long n = least(LANES, end - start);
        REAL lower[LANES], upper[LANES], first[LANES], last[LANES];
        int place[LANES];
        ends_of(layer, *in, 0, start, n, lower, upper);
        for (long j = 0; j < n; j++) first[j] = last[j] = 0; /* every current lies above the first row's lower end */
        for (long i = 1; i < rows; i++)
            for (long j = 0; j < n; j++) {
                first[j] += (REAL)(lower[j] > highest[i - 1]);
                last[j] += (REAL)(upper[j] >= lowest[i]);
            }
        for (long j = 0; j < n; j++) place[j] = (int)first[j] * (int)rows + (int)last[j];
        for (long t = 0; t < layer->steps; t++) {
            const REAL *middle = middles + t * rows * rows, *radius = radii + t * rows * rows;
            for (long j = 0; j < n; j++) {
                out->middle[t * layer->size + start + j] = middle[place[j]];
                out->radius[t * layer->size + start + j] = radius[place[j]];
            }
        }
    }
}
