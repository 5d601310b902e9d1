/* The climb of certify/branching/bounding.py, node by node: Adam on the supergradient of a sequence of layers, the
   first one with a table of trains, the others with graphs.

   It proposes prices, inputs and splits. What it says proves nothing: each node is bounded again at its prices, by
   prove.c, which includes this file, or by torch. Of a node's neurons only the open ones are gathered, P of a layer in columns whose length is a multiple of
   LANES; what the others spike is a constant. Arrays over time and neurons are (T, P), or (P, TP) with TP ≥ T a
   multiple of WIDE. */

#define BLOCKS_ONLY /* of paths.c, which runs pairs in blocks */
#include "paths.c"

#define MODULUS(x) ((x) < 0 ? -(x) : (x))

/* What a layer's neurons run by. */
typedef struct {
    double decay, threshold, drop;
    int reset, strict;
} Neuron;

/* The first layer: neurons n, inputs m, rows R; B samples. */
typedef struct {
    const REAL *weights, *bias;                       /* (n, m), (n) */
    const double *row_low, *row_high, *trains;        /* (R), (R), (R, T) */
    const double *lower, *upper, *slack;              /* currents, (B, n) */
    const double *box_low, *box_high;                 /* inputs, (B, m) */
    const double *center, *radius;                    /* of the ball that cuts the box, (B, m), (B), or null */
    const long *first, *last;                         /* (B, n) */
    const unsigned char *split;                       /* (B, n) */
    const double *scale;                              /* (T) */
    double lasting;
    Neuron neuron;
    long neurons, inputs, rows;
} Table;

/* A later layer: neurons n that read m of the layer before. */
typedef struct {
    const REAL *weights, *bias;                       /* (n, m), (n) */
    const double *lower, *upper, *slack;              /* scaled currents, (T, B, n) */
    const double *certain, *possible;                 /* spikes, (T, B, n) */
    const double *const *low, *const *high;           /* [t − 1] is (t, B, n) */
    const unsigned char *const *edges;                /* [t − 1] is (t, B, n) */
    const unsigned char *ends;                        /* (T + 1, B, n) */
    const double *start_low, *start_high;             /* (T + 1, B, n), or null */
    const double *scale;                              /* (T) */
    double lasting, slope_decay, surely, perhaps;
    Neuron neuron;
    long neurons, sources;
} Later;

typedef struct {
    double rate, memory, momentum, momentum_squares, enough;
    long iterations, steps, later, batch, nodes; /* `later` layers behind the first; B samples; S nodes */
    int threads;
} Climb;

/* S nodes. Prices are those of the first layer, then those of the later ones in order. */
typedef struct {
    const long *sample;           /* (S) */
    const double *costs;          /* on the last layer's spikes, (T, S, n) */
    const double *constant;       /* (S) */
    float *const *prices;         /* (S, steps, n) each: where to start; then the best */
    double *best;                 /* (S) */
    double *inputs;               /* running mean of the minimising inputs, (S, m) */
    double *score;                /* what a split of each first-layer neuron is worth, (S, n) */
} Nodes;

/* A layer of one node. S sources of it are open. */
typedef struct {
    long neurons, count, columns; /* all; the open ones; those rounded up to LANES */
    long *open;                   /* which are, (count) */
    REAL *settled;                /* spikes of the others, (n, TP) */
    REAL *openness;               /* how many of a neuron's spikes are open, (n) */
    REAL *weights, *turned;       /* between open neurons, (P, columns before) and (P before, columns) */
    REAL *costs, *prices, *fixed, *slack, *currents, *spikes; /* (T, columns); `fixed`: currents of what is settled */
    REAL *first, *second, *best;  /* Adam's; the best prices */
    REAL *charged, *trains;       /* a[t]·prices, spikes, (columns, TP) */
    REAL *values, *gap;           /* (columns) */
    REAL *all_gaps, *real_spikes, *real_currents; /* of all neurons: (n), (n, TP), (n, TP) */
    Sizes sizes;
    Graph graph;
    Work work;
    REAL *lower, *upper, *low, *high, *start_low, *start_high;
    unsigned char *edges, *ends;
    REAL *row_low, *row_high, *barred; /* of a table, (R, columns) */
    long least_row, most_row;
} Layer;

typedef struct {
    Layer *layers; /* first layer first */
    REAL *inputs, *pulled, *mean, *made; /* `made`: what a layer's neurons are given, (T, columns) */
    REAL unit, constant;
    long steps, wide;
} Node;

static long lay_out(char *memory, Node *node, const Climb *climb, const Table *table, const Later *later) {
    char *next = memory;
    long T = climb->steps, TP = rounded(T, WIDE), before = 0, widest = 0, real = sizeof(REAL);
    node->steps = T, node->wide = TP, node->layers = take(&next, climb->later + 1, sizeof(Layer));
    for (long l = 0; l <= climb->later; l++) {
        Layer counted, *layer = memory ? node->layers + l : &counted;
        long n = l ? later[l - 1].neurons : table->neurons, C = rounded(n, LANES);
        layer->neurons = n, widest = most(widest, C);
        layer->open = take(&next, n, sizeof(long));
        layer->settled = take(&next, n * TP, real), layer->openness = take(&next, n, real);
        layer->real_spikes = take(&next, n * TP, real), layer->real_currents = take(&next, n * TP, real);
        layer->all_gaps = take(&next, n, real), layer->values = take(&next, C, real), layer->gap = take(&next, C, real);
        REAL **timed[] = {&layer->costs, &layer->prices, &layer->fixed, &layer->slack, &layer->currents,
                          &layer->spikes, &layer->first, &layer->second, &layer->best};
        for (int k = 0; k < 9; k++) *timed[k] = take(&next, T * C, real);
        layer->charged = take(&next, C * TP, real), layer->trains = take(&next, C * TP, real);
        if (l) {
            layer->weights = take(&next, C * before, real), layer->turned = take(&next, C * before, real);
            layer->lower = take(&next, T * C, real), layer->upper = take(&next, T * C, real);
            layer->low = take(&next, packed(T) * C, real), layer->high = take(&next, packed(T) * C, real);
            layer->start_low = take(&next, (T + 1) * C, real), layer->start_high = take(&next, (T + 1) * C, real);
            layer->edges = take(&next, packed(T) * C, 1), layer->ends = take(&next, (T + 1) * C, 1);
            long size = lay_work(T, later[l - 1].start_low ? T + 1 : T, next, &layer->work);
            next += size;
        } else {
            long R = table->rows;
            layer->row_low = take(&next, R * C, real), layer->row_high = take(&next, R * C, real);
            layer->barred = take(&next, R * C, real);
        }
        before = C;
    }
    node->inputs = take(&next, table->inputs, real), node->pulled = take(&next, table->inputs, real);
    node->mean = take(&next, table->inputs, real), node->made = take(&next, T * widest, real);
    return next - memory;
}

INLINE REAL dot(const REAL *a, const REAL *b, long n) {
    REAL sums[LANES] = {0}, total = 0;
    long x = 0;
    for (; x + LANES <= n; x += LANES) EACH sums[l] += a[x + l] * b[x + l];
    for (; x < n; x++) total += a[x] * b[x];
    EACH total += sums[l];
    return total;
}

INLINE REAL sign(REAL x) { return (REAL)((x > 0) - (x < 0)); }

/* (T, columns) → (columns, TP), each step times scale[t] where there is one. */
static void turn_over(const REAL *in, const double *scale, long T, long TP, long columns, REAL *out) {
    for (long t = 0; t < T; t++) {
        REAL factor = scale ? (REAL)scale[t] : 1;
        for (long j = 0; j < columns; j++) out[j * TP + t] = in[t * columns + j] * factor;
    }
}

static void clear_state(Layer *layer, long steps) {
    size_t size = sizeof(REAL) * (size_t)(steps * layer->columns);
    memset(layer->first, 0, size), memset(layer->second, 0, size);
    memset(layer->prices, 0, size), memset(layer->slack, 0, size);
}

static void gather_prices(Layer *layer, const float *prices, long steps) {
    for (long t = 0; t < steps; t++)
        for (long k = 0; k < layer->count; k++)
            layer->prices[t * layer->columns + k] = (REAL)prices[t * layer->neurons + layer->open[k]];
}

static void gather_table(Node *node, const Table *table, long b, const float *prices) {
    Layer *layer = node->layers;
    long T = node->steps, TP = node->wide, n = table->neurons;
    layer->count = 0;
    memset(layer->settled, 0, sizeof(REAL) * (size_t)(n * TP));
    for (long i = 0; i < n; i++) {
        long first = table->first[b * n + i], last = table->last[b * n + i];
        layer->openness[i] = 0;
        for (long t = 0; t < T; t++) {
            double fewest = 1, most_ = 0;
            for (long r = first; r <= last; r++) {
                double spike = table->trains[r * T + t];
                fewest = spike < fewest ? spike : fewest, most_ = spike > most_ ? spike : most_;
            }
            layer->openness[i] += (REAL)(most_ - fewest);
        }
        if (layer->openness[i] > 0 || table->split[b * n + i]) layer->open[layer->count++] = i;
        else
            for (long t = 0; t < T; t++) layer->settled[i * TP + t] = (REAL)table->trains[first * T + t];
    }
    long C = layer->columns = rounded(layer->count, LANES);
    clear_state(layer, 1);
    layer->least_row = table->rows, layer->most_row = -1;
    for (long r = 0; r < table->rows; r++)
        for (long k = 0; k < C; k++)
            layer->row_low[r * C + k] = layer->row_high[r * C + k] = 0, layer->barred[r * C + k] = INFINITE;
    for (long k = 0; k < C; k++) {
        if (k >= layer->count) {
            for (long r = 0; r < table->rows; r++) layer->barred[r * C + k] = 0;
            layer->fixed[k] = 0;
            continue;
        }
        long at = b * n + layer->open[k], first = table->first[at], last = table->last[at];
        layer->fixed[k] = table->bias[layer->open[k]], layer->slack[k] = (REAL)table->slack[at];
        for (long r = first; r <= last; r++) {
            double low = table->row_low[r] > table->lower[at] ? table->row_low[r] : table->lower[at];
            double high = table->row_high[r] < table->upper[at] ? table->row_high[r] : table->upper[at];
            if (low > high) continue;
            layer->row_low[r * C + k] = (REAL)low, layer->row_high[r * C + k] = (REAL)high, layer->barred[r * C + k] = 0;
        }
        layer->least_row = first < layer->least_row ? first : layer->least_row;
        layer->most_row = last > layer->most_row ? last : layer->most_row;
    }
    gather_prices(layer, prices, 1);
}

/* (rows, B, n) → (rows, columns): the open neurons of one sample. */
static void gather(const double *from, long rows, long B, long b, const Layer *layer, REAL *to) {
    for (long r = 0; r < rows; r++) {
        const double *row = from + (r * B + b) * layer->neurons, *next = row + layer->neurons;
        for (long i = 0; i < layer->neurons; i += 8) __builtin_prefetch(next + i, 0, 2);
        for (long k = 0; k < layer->columns; k++)
            to[r * layer->columns + k] = k < layer->count ? (REAL)row[layer->open[k]] : 0;
    }
}

static void gather_flags(const unsigned char *from, long rows, long B, long b, const Layer *layer, unsigned char *to) {
    for (long r = 0; r < rows; r++) {
        const unsigned char *row = from + (r * B + b) * layer->neurons, *next = row + layer->neurons;
        for (long i = 0; i < layer->neurons; i += 64) __builtin_prefetch(next + i, 0, 2);
        for (long k = 0; k < layer->columns; k++) to[r * layer->columns + k] = k < layer->count ? row[layer->open[k]] : 0;
    }
}

static void gather_graph(Layer *layer, const Later *later, long T, long B, long b) {
    long C = layer->columns;
    gather(later->lower, T, B, b, layer, layer->lower), gather(later->upper, T, B, b, layer, layer->upper);
    for (long t = 0; t < T; t++) {
        long at = packed(t) * C;
        gather(later->low[t], t + 1, B, b, layer, layer->low + at);
        gather(later->high[t], t + 1, B, b, layer, layer->high + at);
        gather_flags(later->edges[t], t + 1, B, b, layer, layer->edges + at);
    }
    gather_flags(later->ends, T + 1, B, b, layer, layer->ends);
    for (long k = layer->count; k < C; k++) layer->ends[k] = 1; /* silence: a path for the lanes that are left over */
    layer->graph = (Graph){layer->lower, layer->upper, layer->low, layer->high, layer->edges, layer->ends, 0, 0};
    if (later->start_low) {
        gather(later->start_low, T + 1, B, b, layer, layer->start_low);
        gather(later->start_high, T + 1, B, b, layer, layer->start_high);
        layer->graph.start_low = layer->start_low, layer->graph.start_high = layer->start_high;
    }
    layer->sizes = (Sizes){later->neuron.decay, later->slope_decay, later->surely, later->perhaps, T, C, 1};
}

static void gather_later(Node *node, long l, const Later *later, long B, long b, const float *prices) {
    Layer *layer = node->layers + l, *before = layer - 1;
    long T = node->steps, TP = node->wide, n = later->neurons, m = later->sources;
    layer->count = 0;
    memset(layer->settled, 0, sizeof(REAL) * (size_t)(n * TP));
    for (long j = 0; j < n; j++) {
        layer->openness[j] = 0;
        for (long t = 0; t < T; t++) {
            long at = (t * B + b) * n + j;
            layer->openness[j] += (REAL)(later->possible[at] - later->certain[at]);
            layer->settled[j * TP + t] = (REAL)later->certain[at];
        }
        if (layer->openness[j] == 0) continue;
        memset(layer->settled + j * TP, 0, sizeof(REAL) * (size_t)TP);
        layer->open[layer->count++] = j;
    }
    long C = layer->columns = rounded(layer->count, LANES), D = before->columns;
    clear_state(layer, T);
    gather_prices(layer, prices, T);
    gather(later->slack, T, B, b, layer, layer->slack);
    gather_graph(layer, later, T, B, b);
    memset(layer->weights, 0, sizeof(REAL) * (size_t)(C * D)), memset(layer->turned, 0, sizeof(REAL) * (size_t)(C * D));
    memset(layer->fixed, 0, sizeof(REAL) * (size_t)(T * C));
    for (long k = 0; k < layer->count; k++) {
        const REAL *weights = later->weights + layer->open[k] * m;
        for (long i = 0; i < before->count; i++)
            layer->weights[k * D + i] = layer->turned[i * C + k] = weights[before->open[i]];
        for (long t = 0; t < T; t++) layer->fixed[t * C + k] = later->bias[layer->open[k]];
    }
    for (long i = 0; i < m; i++)
        for (long t = 0; t < T; t++) {
            if (before->settled[i * TP + t] == 0) continue;
            const REAL *weights = later->weights + i;
            for (long k = 0; k < layer->count; k++) layer->fixed[t * C + k] += weights[layer->open[k] * m];
        }
    for (long t = 0; t < T; t++)
        for (long k = 0; k < C; k++) layer->fixed[t * C + k] *= (REAL)later->scale[t];
}

/* The margin's coefficients on the last layer's open spikes, and what its settled ones make of it. */
static void gather_costs(Node *node, const Climb *climb, const Nodes *nodes, long s) {
    Layer *last = node->layers + climb->later;
    long T = node->steps, n = last->neurons;
    double constant = nodes->constant[s], unit = 0;
    for (long t = 0; t < T; t++) {
        const double *costs = nodes->costs + (t * climb->nodes + s) * n;
        for (long j = 0; j < n; j++) {
            constant += costs[j] * (double)last->settled[j * node->wide + t];
            unit = fabs(costs[j]) > unit ? fabs(costs[j]) : unit;
        }
        for (long k = 0; k < last->columns; k++)
            last->costs[t * last->columns + k] = k < last->count ? (REAL)costs[last->open[k]] : 0;
    }
    node->constant = (REAL)constant, node->unit = (REAL)unit;
}

/* min over rows of A·train − ν·I of each open neuron of the first layer; the sum. */
static REAL cheapest_rows(const Table *table, Layer *layer, long T, long TP) {
    long C = layer->columns;
    REAL total = 0;
    for (long i = 0; i < C; i += LANES) {
        Row price = load(layer->prices + i, LANES, 0), value, current;
        int row[LANES] = {0};
        EACH value.v[l] = INFINITE, current.v[l] = 0;
        for (long r = layer->least_row; r <= layer->most_row; r++) {
            Row here = load(layer->barred + r * C + i, LANES, 0);
            Row low = load(layer->row_low + r * C + i, LANES, 0), high = load(layer->row_high + r * C + i, LANES, 0);
            for (long t = 0; t < T; t++)
                if (table->trains[r * T + t] != 0) EACH here.v[l] += layer->costs[t * C + i + l];
            EACH low.v[l] = price.v[l] > 0 ? high.v[l] : low.v[l];
            EACH here.v[l] -= price.v[l] * low.v[l];
            EACH row[l] = here.v[l] < value.v[l] ? (int)r : row[l];
            EACH current.v[l] = here.v[l] < value.v[l] ? low.v[l] : current.v[l];
            EACH value.v[l] = lesser(value.v[l], here.v[l]);
        }
        for (int l = 0; l < LANES; l++) {
            layer->currents[i + l] = current.v[l];
            total += i + l < layer->count ? value.v[l] : 0;
            for (long t = 0; t < T; t++) layer->trains[(i + l) * TP + t] = (REAL)table->trains[row[l] * T + t];
        }
    }
    return total;
}

/* Σ −|μ|·slack + μ·fixed over all prices of a layer. */
static REAL paid(const Layer *layer, long steps) {
    REAL sums[LANES] = {0}, total = 0;
    for (long k = 0; k < steps * layer->columns; k += LANES)
        EACH sums[l] += layer->prices[k + l] * layer->fixed[k + l] - MODULUS(layer->prices[k + l]) * layer->slack[k + l];
    EACH total += sums[l];
    return total;
}

/* The least Σ pulled·x over box ∩ ball, about: the greater of both minima; and the input of the ball where it lies. */
static REAL over_ball(Node *node, const Table *table, long b, REAL over_box) {
    long m = table->inputs;
    const double *center = table->center + b * m, *low = table->box_low + b * m, *high = table->box_high + b * m;
    double value = 0, squares = (double)m * 0x1p-1022;
    for (long x = 0; x < m; x++) {
        double pulled = node->pulled[x];
        value += pulled * center[x], squares += pulled * pulled;
    }
    double length = sqrt(squares);
    value -= length * table->radius[b];
    for (long x = 0; x < m; x++) {
        double place = center[x] - (double)node->pulled[x] / length * table->radius[b];
        node->inputs[x] = (REAL)(place < low[x] ? low[x] : place > high[x] ? high[x] : place);
    }
    return value > (double)over_box ? (REAL)value : over_box;
}

/* The bound at the prices, and all that attains it. */
static REAL evaluate(Node *node, const Climb *climb, const Table *table, const Later *later, long b) {
    long T = node->steps, TP = node->wide, m = table->inputs;
    REAL bound = node->constant;
    for (long l = climb->later; l > 0; l--) {
        Layer *layer = node->layers + l, *before = layer - 1;
        Answer answer = {layer->values, layer->spikes, layer->currents};
        for (long start = 0; start < layer->columns; start += LANES)
            run_block(&layer->sizes, &layer->graph, layer->costs, layer->prices, start, LANES, &answer, &layer->work);
        for (long k = 0; k < layer->count; k++) bound += layer->values[k];
        bound += paid(layer, T);
        turn_over(layer->spikes, 0, T, TP, layer->columns, layer->trains);
        turn_over(layer->prices, later[l - 1].scale, T, TP, layer->columns, layer->charged);
        product(layer->weights, 0, layer->charged, 0, layer->count, TP, before->columns, T, before->costs);
    }
    Layer *first = node->layers;
    bound += cheapest_rows(table, first, T, TP) + paid(first, 1);
    memset(node->pulled, 0, sizeof(REAL) * (size_t)m);
    for (long k = 0; k < first->count; k++) {
        const REAL *weights = table->weights + first->open[k] * m;
        REAL price = first->prices[k];
        for (long x = 0; x < m; x++) node->pulled[x] += price * weights[x];
    }
    for (long x = 0; x < m; x++)
        node->inputs[x] = (REAL)(node->pulled[x] > 0 ? table->box_low[b * m + x] : table->box_high[b * m + x]);
    REAL least = dot(node->pulled, node->inputs, m);
    return bound + (table->center ? over_ball(node, table, b, least) : least);
}

static void gather_node(Node *node, const Climb *climb, const Table *table, const Later *later, const Nodes *nodes, long s) {
    long b = nodes->sample[s];
    gather_table(node, table, b, nodes->prices[0] + s * table->neurons);
    for (long l = 1; l <= climb->later; l++)
        gather_later(node, l, later + l - 1, climb->batch, b,
                     nodes->prices[l] + s * node->steps * later[l - 1].neurons);
    gather_costs(node, climb, nodes, s);
}

/* What all nodes are given; `visit` is done with each of them. */
typedef struct Search {
    const Climb *climb;
    const Table *table;
    const Later *later;
    const Nodes *nodes;
    void (*visit)(const struct Search *search, Node *node, long s);
    const void *more;
} Search;

static int visit_node(const Item *item) {
    const Search *search = item->given;
    Node node;
    lay_out(item->room, &node, search->climb, search->table, search->later);
    search->visit(search, &node, item->start);
    return 0;
}

/* Visit all nodes; returns whether memory failed. */
static int visit_nodes(Search search) {
    Node node;
    long size = lay_out(0, &node, search.climb, search.table, search.later);
    return for_each(search.climb->nodes, 1, search.climb->threads, size, visit_node, &search);
}

#ifndef GATHER_ONLY
/* Adam's step along (made − currents − sign·slack), in one layer. */
INLINE void step_layer(Layer *layer, const REAL *made, long steps, const Climb *climb, REAL scale) {
    REAL keep = (REAL)(1 - climb->momentum), keep_squares = (REAL)climb->momentum_squares;
    for (long k = 0; k < steps * layer->columns; k++) {
        REAL gradient = made[k] + layer->fixed[k] - layer->currents[k] - sign(layer->prices[k]) * layer->slack[k];
        layer->first[k] += (gradient - layer->first[k]) * keep;
        layer->second[k] = layer->second[k] * keep_squares + gradient * gradient * (1 - keep_squares);
        REAL root = ROOT(layer->second[k]);
        layer->prices[k] += scale * layer->first[k] / (root + (REAL)1e-12);
    }
}

static void climb_once(Node *node, const Climb *climb, const Table *table, const Later *later, long count, REAL rate) {
    REAL *made = node->made;
    long T = node->steps, TP = node->wide, m = table->inputs;
    double correction = sqrt(1 - pow(climb->momentum_squares, (double)count)) / (1 - pow(climb->momentum, (double)count));
    REAL scale = rate * (REAL)correction * node->unit;
    for (long l = 1; l <= climb->later; l++) {
        Layer *layer = node->layers + l, *before = layer - 1;
        product(layer->turned, 0, before->trains, 0, before->count, TP, layer->columns, T, made);
        for (long t = 0; t < T; t++)
            for (long k = 0; k < layer->columns; k++) made[t * layer->columns + k] *= (REAL)later[l - 1].scale[t];
        step_layer(layer, made, T, climb, scale * (REAL)later[l - 1].lasting);
    }
    Layer *first = node->layers;
    memset(made, 0, sizeof(REAL) * (size_t)first->columns);
    for (long k = 0; k < first->count; k++) made[k] = dot(table->weights + first->open[k] * m, node->inputs, m);
    step_layer(first, made, 1, climb, scale * (REAL)table->lasting);
}

/* The network at the running mean: currents and spikes of one neuron, from its currents over time, (TP). */
static void fire(const Neuron *neuron, const double *scale, REAL *currents, REAL *spikes, long T) {
    double potential = 0;
    for (long t = 0; t < T; t++) {
        currents[t] *= (REAL)scale[t];
        potential = neuron->decay * potential + (double)currents[t];
        int fires = neuron->strict ? potential > neuron->threshold : potential >= neuron->threshold;
        spikes[t] = (REAL)fires;
        if (fires && neuron->reset == ZERO) potential = 0;
        if (fires && neuron->reset == SUBTRACT) potential -= neuron->drop;
    }
}

static void run_network(Node *node, const Climb *climb, const Table *table, const Later *later) {
    long T = node->steps, TP = node->wide, m = table->inputs;
    Layer *layer = node->layers;
    for (long i = 0; i < layer->neurons; i++) {
        REAL current = dot(table->weights + i * m, node->mean, m) + table->bias[i];
        for (long t = 0; t < T; t++) layer->real_currents[i * TP + t] = current;
        fire(&table->neuron, table->scale, layer->real_currents + i * TP, layer->real_spikes + i * TP, T);
        layer->real_currents[i * TP] = current;
    }
    for (long l = 1; l <= climb->later; l++) {
        const Later *now = later + l - 1;
        Layer *before = layer++;
        for (long j = 0; j < layer->neurons; j++)
            for (long t = 0; t < TP; t++) layer->real_currents[j * TP + t] = now->bias[j];
        for (long i = 0; i < now->sources; i++) {
            const REAL *spikes = before->real_spikes + i * TP;
            REAL any = 0;
            for (long t = 0; t < T; t++) any += spikes[t];
            if (any == 0) continue;
            for (long j = 0; j < layer->neurons; j++)
                OVER(t, TP) layer->real_currents[j * TP + t] += now->weights[j * now->sources + i] * spikes[t];
        }
        for (long j = 0; j < layer->neurons; j++)
            fire(&now->neuron, now->scale, layer->real_currents + j * TP, layer->real_spikes + j * TP, T);
    }
}

/* What each open neuron of a layer gains by its own choice of spikes and currents: at least 0. */
static void find_gaps(Layer *layer, long steps, long T, long TP) {
    long C = layer->columns;
    memset(layer->all_gaps, 0, sizeof(REAL) * (size_t)layer->neurons);
    for (long k = 0; k < layer->count; k++) {
        const REAL *spikes = layer->real_spikes + layer->open[k] * TP, *real = layer->real_currents + layer->open[k] * TP;
        REAL gap = 0;
        for (long t = 0; t < T; t++) gap += layer->costs[t * C + k] * (spikes[t] - layer->trains[k * TP + t]);
        for (long t = 0; t < steps; t++) gap -= layer->prices[t * C + k] * (real[t] - layer->currents[t * C + k]);
        layer->all_gaps[layer->open[k]] = gap > 0 ? gap : 0;
    }
}

/* Share the later layers' gaps out to the first one, by |W|·openness. */
static void share_gaps(Node *node, const Climb *climb, const Later *later) {
    for (long l = climb->later; l > 0; l--) {
        Layer *layer = node->layers + l, *before = layer - 1;
        long m = later[l - 1].sources;
        for (long k = 0; k < layer->count; k++) {
            const REAL *weights = later[l - 1].weights + layer->open[k] * m;
            REAL reach = 0, gap = layer->all_gaps[layer->open[k]];
            for (long i = 0; i < m; i++) reach += MODULUS(weights[i]) * before->openness[i];
            if (!(reach > 0) || !(gap > 0)) continue;
            for (long i = 0; i < m; i++)
                before->all_gaps[i] += gap * MODULUS(weights[i]) * before->openness[i] / reach;
        }
    }
}

static void propose_split(Node *node, const Climb *climb, const Table *table, const Later *later, const Nodes *nodes, long s) {
    long n = table->neurons;
    Layer *first = node->layers;
    run_network(node, climb, table, later);
    for (long l = 0; l <= climb->later; l++) find_gaps(node->layers + l, l ? node->steps : 1, node->steps, node->wide);
    share_gaps(node, climb, later);
    for (long i = 0; i < n; i++) nodes->score[s * n + i] = (double)first->all_gaps[i];
}

static void keep_best(Node *node, const Climb *climb) {
    for (long l = 0; l <= climb->later; l++) {
        Layer *layer = node->layers + l;
        memcpy(layer->best, layer->prices, sizeof(REAL) * (size_t)((l ? node->steps : 1) * layer->columns));
    }
}

static void write_prices(Node *node, const Climb *climb, const Nodes *nodes, long s) {
    for (long l = 0; l <= climb->later; l++) {
        Layer *layer = node->layers + l;
        long steps = l ? node->steps : 1, n = layer->neurons;
        float *prices = nodes->prices[l] + s * steps * n;
        memset(prices, 0, sizeof(float) * (size_t)(steps * n));
        for (long t = 0; t < steps; t++)
            for (long k = 0; k < layer->count; k++)
                prices[t * n + layer->open[k]] = (float)layer->best[t * layer->columns + k];
        memcpy(layer->prices, layer->best, sizeof(REAL) * (size_t)(steps * layer->columns));
    }
}

static void climb_node(const Search *search, Node *node, long s) {
    const Climb *climb = search->climb;
    const Table *table = search->table;
    const Later *later = search->later;
    const Nodes *nodes = search->nodes;
    long b = nodes->sample[s], m = table->inputs;
    gather_node(node, climb, table, later, nodes, s);
    REAL best = evaluate(node, climb, table, later, b), memory = (REAL)(1 - climb->memory);
    keep_best(node, climb);
    memcpy(node->mean, node->inputs, sizeof(REAL) * (size_t)m);
    int at_best = 1; /* whether what attains the bound is that of the best prices */
    for (long count = 0; count < climb->iterations && !((double)best > climb->enough); count++) {
        double rate = climb->rate * (1 - 0.9 * (double)count / (double)climb->iterations);
        climb_once(node, climb, table, later, count + 1, (REAL)rate);
        REAL bound = evaluate(node, climb, table, later, b);
        for (long x = 0; x < m; x++) node->mean[x] += (node->inputs[x] - node->mean[x]) * memory;
        at_best = bound > best;
        if (at_best) best = bound, keep_best(node, climb);
    }
    nodes->best[s] = (double)best;
    for (long x = 0; x < m; x++) nodes->inputs[s * m + x] = (double)node->mean[x];
    write_prices(node, climb, nodes, s);
    if ((double)best > climb->enough) return;
    if (!at_best) evaluate(node, climb, table, later, b);
    propose_split(node, climb, table, later, nodes, s);
}

/* Returns whether memory failed. */
int climb_nodes(const Climb *climb, const Table *table, const Later *later, const Nodes *nodes) {
    return visit_nodes((Search){climb, table, later, nodes, climb_node, 0});
}
#endif
