/* What a split of a node's first layer is worth, for each neuron and each row to cut at: which spikes of the layer the
   cut decides. Compiled on demand.

   For an aim s·I_m let c = s·W_m − Σ ν_k·W_k be what the multipliers of ranges.c leave of it. With one multiplier μ
   more, on a cut I_j ≤ q, the aim is at least min over x of (c + μ·W_j)·x − μ·(q − b_j) + Σ ν's part. That is found for
   a few μ at once, for all rows to cut at. Ranges say which rows are left, and these which spikes are open.

   It chooses splits, and proves nothing: all is in float, and no rounding is paid. */

#include "ranges.c"

#define TRIALS 4 /* multipliers that are tried of each cut */

/* N nodes; R rows. */
typedef struct {
    const long *first, *last;           /* the rows that a neuron has, (N, n) */
    const double *worth;                /* of a spike of each neuron that is decided, (N, n) */
    const double *row_low, *row_high;   /* (R) */
    const double *opened;               /* how many spikes are open where rows a..b are left, (R, R) */
    double *below, *above;              /* worth of all that rows up to r decide, and those behind it, (N, n, R) */
    long rows;
} Cuts;

static const REAL SHARES[TRIALS] = {(REAL)0.15, (REAL)0.4, (REAL)1, (REAL)2};

/* What an aim is with a slope and one multiplier more: the sums of moduli of c + μ·w and c − μ·w. */
INLINE void moduli(const REAL *slope, const REAL *weights, REAL price, long m, REAL *plus, REAL *minus) {
    Row sums = {0}, others = {0};
    for (long x = 0; x < m; x += LANES) EACH {
        REAL one = slope[x + l] + price * weights[x + l], other = slope[x + l] - price * weights[x + l];
        sums.v[l] += one < 0 ? -one : one, others.v[l] += other < 0 ? -other : other;
    }
    REAL sum = 0, rest = 0;
    EACH sum += sums.v[l];
    EACH rest += others.v[l];
    *plus = sum, *minus = rest;
}

/* All cuts of one node, in units of the box: m is padded to a multiple of LANES. */
typedef struct {
    REAL *weights, *middle, *size;      /* of the neurons' currents around the box's middle, (M, m), M, M */
    REAL *slope;                        /* of the aim, m */
    REAL *ends;                         /* of the aim with each cut: its low end, then its high one, (2, M, R, 2) */
    Row *best;                          /* of the aims' low ends, K */
} Scene;

static size_t lay_scene(Scene *scene, char *memory, long M, long K, long m, long R) {
    char *next = memory;
    scene->weights = take(&next, M * m, sizeof(REAL)), scene->middle = take(&next, M, sizeof(REAL));
    scene->size = take(&next, M, sizeof(REAL)), scene->slope = take(&next, m, sizeof(REAL));
    scene->ends = take(&next, 4 * M * R, sizeof(REAL)), scene->best = take(&next, K, sizeof(Row));
    return (size_t)(next - memory);
}

/* For one end of an aim: what each cut makes of it. */
static void try_cuts(const Scene *scene, const Cuts *cuts, const long *first, const long *last, const Work *work,
                     const Layer *layer, REAL base, long m, double sign, long aim, REAL *ends) {
    REAL size = 0, bias = (REAL)layer->bias[work->aims[aim]];
    for (long x = 0; x < m; x++) size += scene->slope[x] < 0 ? -scene->slope[x] : scene->slope[x];
    for (long j = 0; j < work->M; j++) {
        long neuron = work->aims[j];
        const REAL *weights = scene->weights + j * m;
        REAL prices[TRIALS], plus[TRIALS], minus[TRIALS], own = (REAL)layer->bias[neuron] + scene->middle[j];
        for (int g = 0; g < TRIALS; g++) {
            prices[g] = SHARES[g] * size / scene->size[j];
            moduli(scene->slope, weights, prices[g], m, plus + g, minus + g);
        }
        for (long r = first[neuron]; r < last[neuron]; r++)
            for (int side = 0; side < 2; side++) {
                REAL best = -size, end = side ? (REAL)cuts->row_low[r + 1] - own : own - (REAL)cuts->row_high[r];
                for (int g = 0; g < TRIALS; g++) {
                    REAL value = prices[g] * end - (side ? minus[g] : plus[g]);
                    best = value > best ? value : best;
                }
                ends[(j * cuts->rows + r) * 2 + side] = (REAL)sign * (base + best) + bias;
            }
    }
}

/* What each cut decides of one aim's spikes, once both its ends are known. */
static void count_rows(const Scene *scene, const Cuts *cuts, long node, const Work *work, long n, long aim) {
    long R = cuts->rows, target = node * n + work->aims[aim];
    const long *first = cuts->first + node * n, *last = cuts->last + node * n;
    const REAL *lows = scene->ends, *highs = scene->ends + work->M * R * 2;
    double before = cuts->opened[cuts->first[target] * R + cuts->last[target]], worth = cuts->worth[target];
    for (long j = 0; j < work->M; j++)
        for (long r = first[work->aims[j]]; r < last[work->aims[j]]; r++)
            for (int side = 0; side < 2; side++) {
                long at = (j * R + r) * 2 + side, low = cuts->first[target], high = cuts->last[target];
                if (j == aim && side) low = r + 1;
                if (j == aim && !side) high = r;
                while (low < high && cuts->row_high[low] < (double)lows[at]) low++;
                while (high > low && cuts->row_low[high] > (double)highs[at]) high--;
                double gain = worth * (before - cuts->opened[low * R + high]);
                (side ? cuts->above : cuts->below)[(node * n + work->aims[j]) * R + r] += gain;
            }
}

/* The slope of an aim after the multipliers of one lane; returns Σ ν's part and what the slope makes of the middle. */
static REAL slope_of(const Scene *scene, const Layer *layer, long b, long aim, double sign, long inputs, long m,
                     const Work *work, const Row *best, int lane) {
    const double *low = layer->low + b * inputs, *high = layer->high + b * inputs, *own = layer->weights + work->aims[aim] * inputs;
    double *costs = work->costs, paid = 0;
    for (long x = 0; x < inputs; x++) costs[x] = sign * own[x];
    for (long k = 0; k < work->K; k++) {
        double price = (double)best[k].v[lane] * (work->reach[aim] / work->scale[k]);
        double end = price > 0 ? work->least[k] : work->most[k];
        if (price == 0 || isinf(end)) continue;
        const double *weights = layer->weights + work->slabs[k] * inputs;
        for (long x = 0; x < inputs; x++) costs[x] -= price * weights[x];
        paid += price * end;
    }
    for (long x = 0; x < inputs; x++) {
        paid += costs[x] * (0.5 * (low[x] + high[x]));
        scene->slope[x] = (REAL)(costs[x] * (0.5 * (high[x] - low[x])));
    }
    for (long x = inputs; x < m; x++) scene->slope[x] = 0;
    return (REAL)paid;
}

static void set_scene(const Scene *scene, const Layer *layer, long b, long inputs, long m, const Work *work) {
    const double *low = layer->low + b * inputs, *high = layer->high + b * inputs;
    for (long j = 0; j < work->M; j++) {
        const double *weights = layer->weights + work->aims[j] * inputs;
        double middle = 0;
        for (long x = 0; x < m; x++) {
            double radius = x < inputs ? 0.5 * (high[x] - low[x]) : 0;
            scene->weights[j * m + x] = x < inputs ? (REAL)(weights[x] * radius) : 0;
            middle += x < inputs ? weights[x] * (0.5 * (low[x] + high[x])) : 0;
        }
        scene->middle[j] = (REAL)middle, scene->size[j] = (REAL)work->reach[j];
    }
}

static void see_node(const Slabs *slabs, const Layer *layer, const Nodes *nodes, const Cuts *cuts, long node, Work *work,
                     const Scene *scene, long m) {
    long inputs = slabs->inputs, n = layer->neurons, b = nodes->sample[node];
    const long *first = cuts->first + node * n, *last = cuts->last + node * n;
    Slabs own = *slabs;
    own.slabs = work->K, own.inputs = work->S;
    for (long a = 0; a < work->M; a++) work->reach[a] = reach_of(layer, b, work->aims[a], inputs);
    set_scene(scene, layer, b, inputs, m, work);
    for (long start = 0; start < work->M; start += LANES) {
        gather_aims(layer, b, start, inputs, work);
        search(&own, work->rows, work->low, work->high, &work->state);
        memcpy(scene->best, work->state.best, sizeof(Row) * (size_t)work->K);
        for (long i = 0; i < work->S; i++) EACH work->state.aim[i].v[l] = -work->state.aim[i].v[l];
        search(&own, work->rows, work->low, work->high, &work->state);
        for (int l = 0; l < LANES && start + l < work->M; l++)
            for (int turn = 0; turn < 2; turn++) {
                double sign = turn ? -1 : 1;
                REAL base = slope_of(scene, layer, b, start + l, sign, inputs, m, work, turn ? work->state.best : scene->best, l);
                REAL *ends = scene->ends + turn * work->M * cuts->rows * 2;
                try_cuts(scene, cuts, first, last, work, layer, base, m, sign, start + l, ends);
                if (turn) count_rows(scene, cuts, node, work, n, start + l);
            }
    }
}

static int see_one(const Slabs *slabs, const Layer *layer, const Nodes *nodes, const Cuts *cuts, long node) {
    long n = layer->neurons, inputs = slabs->inputs, m = (inputs + LANES - 1) / LANES * LANES, K = 0, M = 0;
    const unsigned char *split = nodes->split + node * n, *chosen = nodes->chosen + node * n;
    for (long i = 0; i < n; i++) K += split[i] != 0, M += chosen[i] != 0;
    if (!M) return 0;
    Work work = {.K = K, .M = M, .S = (inputs + TOGETHER - 1) / TOGETHER * TOGETHER};
    Scene scene;
    size_t size = lay_out(&work, 0, n, inputs);
    char *memory = aligned_alloc(64, size + lay_scene(&scene, 0, M, K, m, cuts->rows));
    if (!memory) return 1;
    lay_out(&work, memory, n, inputs), lay_scene(&scene, memory + size, M, K, m, cuts->rows);
    K = M = 0;
    for (long i = 0; i < n; i++) {
        if (split[i]) work.slabs[K++] = i;
        if (chosen[i]) work.aims[M++] = i;
    }
    gather_slabs(layer, nodes, node, inputs, &work);
    see_node(slabs, layer, nodes, cuts, node, &work, &scene, m);
    free(memory);
    return 0;
}

/* Returns whether memory failed. */
int foresee(const Slabs *slabs, const Layer *layer, const Nodes *nodes, const Cuts *cuts) {
    int failed = 0;
#pragma omp parallel for schedule(dynamic) num_threads(slabs->threads) reduction(| : failed) if (slabs->threads > 1)
    for (long node = 0; node < slabs->nodes; node++) failed |= see_one(slabs, layer, nodes, cuts, node);
    return failed;
}
