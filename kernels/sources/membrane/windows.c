/* The paths of training/bounds/interval_bounds.py: what a hard reset makes of currents that are known window by window; part
   of membrane.c.

   Windows (a, t] and nodes are packed by t, a = 0..t−1 (for silences a = 0..t). A path that is not there is infinitely
   long. The same sums in the same order as eager_windows: bitwise what it finds. */

#define FEW 128 /* neurons of one block: with all their edges they fit a core's own cache */

typedef struct {
    const REAL *currents, *cuts, *weights; /* (2, T(T+1)/2, size); θ·λ^j for j = 0..T; (rows, T) */
    const long *spans;                     /* (rows, 2): weights are 0 outside (a, t] */
    long rows;
} Windows;

typedef struct {
    REAL *ends, *potentials; /* (2, rows, size); (2, T, size) */
    short *starts;           /* (2, T, size) */
} Paths;

typedef struct {
    REAL *edges, *silences, *alive, *lengths, *high; /* rows of FEW numbers */
    short *origins;
} Graph;

INLINE long first_of(long step) { return step * (step - 1) / 2; }
INLINE long silences_of(long step) { return step * (step + 1) / 2 - 1; } /* behind those of steps 1..step − 1 */

/* The high ends of the windows that end with a step, none below its low end, and which window each is of. */
INLINE void cut_highs(const Layer *layer, const Windows *in, long step, long start, long n, Graph *graph) {
    const REAL *low = in->currents + first_of(step) * layer->size + start;
    const REAL *high = low + first_of(layer->steps + 1) * layer->size;
    REAL least_high[FEW];
    short where[FEW];
    for (long j = 0; j < n; j++) least_high[j] = INFINITE, where[j] = 0;
    for (long a = step - 1; a >= 0; a--) {
        REAL *kept = graph->high + a * FEW;
        short *origin = graph->origins + a * FEW;
        if (a < step - 1) {
            const REAL *behind = high + (a + 1) * layer->size;
            REAL cut = in->cuts[step - a - 1];
            for (long j = 0; j < n; j++) {
                REAL silent = behind[j] + cut;
                where[j] = silent < least_high[j] ? (short)(a + 1) : where[j];
                least_high[j] = silent < least_high[j] ? silent : least_high[j];
            }
        }
        for (long j = 0; j < n; j++) {
            REAL own = high[a * layer->size + j], bottom = low[a * layer->size + j];
            REAL found = least_high[j] < own ? least_high[j] : own;
            origin[j] = least_high[j] < own ? where[j] : (short)a;
            kept[j] = found > bottom ? found : bottom;
        }
    }
}

/* The potentials that a step's spikes stand for, and the window of each. */
INLINE void expose(const Layer *layer, const Windows *in, long step, long start, long n, const Graph *graph,
                   const Paths *out) {
    const REAL *low = in->currents + first_of(step) * layer->size + start;
    REAL lowest[FEW], highest[FEW];
    short first[FEW], second[FEW];
    for (long a = 0; a < step; a++) {
        const REAL *alive = graph->alive + a * FEW, *high = graph->high + a * FEW;
        const short *origin = graph->origins + a * FEW;
        for (long j = 0; j < n; j++) {
            REAL l = alive[j] == 0 ? low[a * layer->size + j] : INFINITE, h = alive[j] == 0 ? high[j] : -INFINITE;
            int less = a == 0 || l < lowest[j], more = a == 0 || h > highest[j];
            lowest[j] = less ? l : lowest[j], first[j] = less ? (short)a : first[j];
            highest[j] = more ? h : highest[j], second[j] = more ? origin[j] : second[j];
        }
    }
    long place = (step - 1) * layer->size + start, half = layer->steps * layer->size;
    for (long j = 0; j < n; j++) {
        out->potentials[place + j] = lowest[j], out->potentials[half + place + j] = highest[j];
        out->starts[place + j] = first[j], out->starts[half + place + j] = second[j];
    }
}

/* Edges into a step's node, and which silences go on. */
INLINE void step_on(const Layer *layer, const Windows *in, long step, long start, long n, Graph *graph) {
    const REAL *low = in->currents + first_of(step) * layer->size + start;
    REAL level = level_of(layer), *next = graph->alive + step * FEW;
    for (long j = 0; j < n; j++) next[j] = INFINITE;
    for (long a = 0; a < step; a++) {
        REAL *edge = graph->edges + (first_of(step) + a) * FEW, *alive = graph->alive + a * FEW;
        for (long j = 0; j < n; j++) {
            edge[j] = graph->high[a * FEW + j] >= level ? alive[j] : INFINITE;
            next[j] = edge[j] < next[j] ? edge[j] : next[j];
            alive[j] = low[a * layer->size + j] >= level ? INFINITE : alive[j];
        }
    }
    REAL *silences = graph->silences + silences_of(step) * FEW;
    for (long k = 0; k < (step + 1) * FEW; k++) silences[k] = graph->alive[k];
}

/* The least (sign 1) or greatest (sign −1) sum of one row over all paths. */
INLINE void follow(const REAL *weights, const long *span, long start, long n, const Graph *graph,
                   REAL sign, REAL *found) {
    const REAL *ends = graph->silences + silences_of(span[1]) * FEW;
    for (long k = 0; k < (span[0] + 1) * FEW; k++) graph->lengths[k] = 0; /* dead ones have no edges */
    for (long step = span[0] + 1; step <= span[1]; step++) {
        REAL best[FEW];
        for (long j = 0; j < n; j++) best[j] = INFINITE;
        for (long a = 0; a < step; a++) {
            const REAL *edge = graph->edges + (first_of(step) + a) * FEW, *length = graph->lengths + a * FEW;
            for (long j = 0; j < n; j++) best[j] = length[j] + edge[j] < best[j] ? length[j] + edge[j] : best[j];
        }
        for (long j = 0; j < n; j++) graph->lengths[step * FEW + j] = best[j] + sign * weights[step - 1];
    }
    REAL best[FEW];
    for (long j = 0; j < n; j++) best[j] = INFINITE;
    for (long a = 0; a <= span[1]; a++)
        for (long j = 0; j < n; j++) {
            REAL length = graph->lengths[a * FEW + j] + ends[a * FEW + j];
            best[j] = length < best[j] ? length : best[j];
        }
    for (long j = 0; j < n; j++) found[start + j] = sign * best[j];
}

static void window_block(const Call *call, const Item *item) {
    const Layer *layer = call->layer;
    const Windows *in = call->given;
    const Paths *out = call->found;
    long T = layer->steps, start = item->start, n = item->n;
    Graph graph;
    graph.edges = item->room;
    graph.silences = graph.edges + FEW * first_of(T + 1);
    graph.alive = graph.silences + FEW * silences_of(T + 1);
    graph.lengths = graph.alive + FEW * (T + 1);
    graph.high = graph.lengths + FEW * (T + 1);
    graph.origins = (short *)(graph.high + FEW * (T + 1));
    for (long k = 0; k < FEW; k++) graph.alive[k] = 0;
    for (long step = 1; step <= T; step++) {
        cut_highs(layer, in, step, start, n, &graph);
        expose(layer, in, step, start, n, &graph, out);
        step_on(layer, in, step, start, n, &graph);
    }
    for (long row = 0; row < in->rows; row++) {
        const REAL *weights = in->weights + row * T;
        REAL *least_ends = out->ends + row * layer->size, *most_ends = least_ends + in->rows * layer->size;
        follow(weights, in->spans + 2 * row, start, n, &graph, 1, least_ends);
        follow(weights, in->spans + 2 * row, start, n, &graph, -1, most_ends);
    }
}

int window_ends(const Layer *layer, const Windows *in, const Paths *out) {
    long T = layer->steps, numbers = FEW * (first_of(T + 1) + silences_of(T + 1) + 4 * (T + 1)); /* one for shorts */
    return run_blocks(&(Call){.layer = layer, .block = window_block, .given = in, .found = out}, FEW, numbers, 0);
}
