/* What spikes a layer may have, in one pass over memory: intervals.py, train_graph.py and train_table.py of
   certify/bounds.

   REAL is float or double. All arithmetic is that of the Python files, operation by operation: one rounding for each
   end of a current, one for λ·v + that (FUSED: as torch's own kernels on this machine, which models/running/membrane.py checks), one
   for each sum along a path. So all that comes out is bitwise what torch computes, and the proofs there hold here.
   Compile with -ffp-contract=off, so that no compiler fuses anything else. */

#include "shared.h"

#define BLOCK 128 /* neurons of one block: with T + 1 nodes each they fit the fastest cache */

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

/* What is asked for; `row` may be missing, and where there is no table, all behind it. */
typedef struct {
    const Layer *layer;
    const Current *in;
    const Spikes *out;
    const REAL *row, *lowest, *highest, *middles, *radii;
    long rows;
} Asked;

static int run_blocks(Asked asked, Work_on *block, long room) {
    return for_each(asked.layer->size, BLOCK, asked.layer->threads, room, block, &asked);
}

INLINE void ends_of(const Layer *layer, Current in, long t, long start, long n, REAL *lower, REAL *upper) {
    const REAL *middle = in.middle + t * layer->current_stride + start;
    const REAL *radius = in.radius + t * layer->current_stride + start;
    for (long j = 0; j < n; j++) lower[j] = middle[j] - radius[j], upper[j] = middle[j] + radius[j];
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
    REAL drop = (REAL)layer->drop, lower[BLOCK], upper[BLOCK], low[BLOCK], high[BLOCK], must[BLOCK], may[BLOCK];
    REAL fewest[BLOCK], most[BLOCK];
    for (long j = 0; j < n; j++) low[j] = high[j] = fewest[j] = most[j] = 0;
    for (long t = 0; t < layer->steps; t++) {
        if (t == 0 || layer->current_stride) ends_of(layer, in, t, start, n, lower, upper);
        for (long j = 0; j < n; j++) {
            REAL l = MULTIPLY_ADD(low[j], decay, lower[j]), h = MULTIPLY_ADD(high[j], decay, upper[j]);
            REAL certain = (REAL)(l > surely), possible = (REAL)(h >= perhaps);
            must[j] = certain, may[j] = possible;
            fewest[j] += certain, most[j] += possible;
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

static int interval_item(const Item *item) {
    const Asked *asked = item->given;
    const Layer *layer = asked->layer;
    long start = item->start, n = item->n;
    if (layer->reset == ZERO) interval_block(layer, *asked->in, *asked->out, start, n, ZERO);
    else if (layer->reset == SUBTRACT) interval_block(layer, *asked->in, *asked->out, start, n, SUBTRACT);
    else interval_block(layer, *asked->in, *asked->out, start, n, NONE);
    return 0;
}

/* The per-step recursion of intervals.py. */
void interval_spikes(const Layer *layer, const Current *in, const Spikes *out) {
    run_blocks((Asked){.layer = layer, .in = in, .out = out}, interval_item, 0);
}

/* One node of the graph: potentials since a last spike at τ, whether a silent path is there, and the lengths of the
   shortest and of the longest path to it. */
typedef struct {
    REAL low[BLOCK], high[BLOCK], alive[BLOCK], shortest[BLOCK], longest[BLOCK];
    int any;
} Node;

typedef struct {
    REAL reached[BLOCK], silent[BLOCK], shortest[BLOCK], longest[BLOCK];
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
    REAL lower[BLOCK], upper[BLOCK], must[BLOCK];
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

static int graph_item(const Item *item) {
    const Asked *asked = item->given;
    graph_block(asked->layer, *asked->in, asked->row, *asked->out, item->start, item->n, item->room);
    return 0;
}

/* The graph of train_graph.py for a hard reset, its steps, and the shortest and longest paths of one row, (T).
   Returns 0, or 1 where there is no memory. */
int graph_spikes(const Layer *layer, const Current *in, const REAL *row, const Spikes *out) {
    return run_blocks((Asked){.layer = layer, .in = in, .out = out, .row = row}, graph_item,
                      (layer->steps + 1) * (long)sizeof(Node));
}

static int table_item(const Item *item) {
    const Asked *asked = item->given;
    const Layer *layer = asked->layer;
    long start = item->start, n = item->n, rows = asked->rows;
    REAL lower[BLOCK], upper[BLOCK], first[BLOCK], last[BLOCK];
    int place[BLOCK];
    ends_of(layer, *asked->in, 0, start, n, lower, upper);
    for (long j = 0; j < n; j++) first[j] = last[j] = 0; /* every current lies above the first row's lower end */
    for (long k = 1; k < rows; k++)
        for (long j = 0; j < n; j++) {
            first[j] += (REAL)(lower[j] > asked->highest[k - 1]);
            last[j] += (REAL)(upper[j] >= asked->lowest[k]);
        }
    for (long j = 0; j < n; j++) place[j] = (int)first[j] * (int)rows + (int)last[j];
    for (long t = 0; t < layer->steps; t++) {
        const REAL *middle = asked->middles + t * rows * rows, *radius = asked->radii + t * rows * rows;
        for (long j = 0; j < n; j++) {
            asked->out->middle[t * layer->size + start + j] = middle[place[j]];
            asked->out->radius[t * layer->size + start + j] = radius[place[j]];
        }
    }
    return 0;
}

/* The steps of train_table.py: rows of a table, lower and upper ends (R) in order, and what each step of a neuron is
   that may have the rows from first to last: middles and radii, (T, R, R). The current is constant. */
void table_spikes(const Layer *layer, const Current *in, long rows, const REAL *lowest, const REAL *highest,
                  const REAL *middles, const REAL *radii, const Spikes *out) {
    run_blocks((Asked){layer, in, out, 0, lowest, highest, middles, radii, rows}, table_item, 0);
}
