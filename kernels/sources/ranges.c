/* The multipliers and the ranges of certify/branching/ranges.py: Adam on what slabs say of currents, LANES aims at a
   time, in REAL; then what the multipliers prove, in double.

   Any multipliers give a valid range, so nothing of the search is trusted. `prove` is: the error that is paid, a
   multiple of u times the sum of all moduli, holds for sums in any order. Over box ∩ ball the minimum of a sum is at
   least either minimum, and that over the ball c·center − ‖c‖·radius; squares that vanish each pay. What is no finite
   number proves nothing. */

#include "shared.h"

#define ALL _Pragma("omp simd") for (int l = 0; l < WIDE; l++)

typedef struct {
    double rate, momentum, momentum_squares;
    long iterations, nodes, slabs, inputs; /* N, K, m */
    int threads;
} Slabs;

typedef unsigned Bits __attribute__((vector_size(64), aligned(64), may_alias));

/* What LANES aims need: m of `aim`, K of each of the others. */
typedef struct {
    Row *aim, *prices, *first, *second, *best, *reached;
} State;

#define SIGNS(x) __builtin_convertvector(((x) < 0) - ((x) > 0), Vector) /* 1 where x > 0, −1 where it is below */

/* Return the values of the prices; `turned` finds each slab's position at the minimiser, with its sign turned, too.
   Not `priced`: all prices are 0. */
INLINE Row look_at(const Slabs *slabs, const REAL *rows, const REAL *least, const REAL *most, const State *state,
                   int priced, int turned) {
    long K = slabs->slabs, m = slabs->inputs;
    Vector sizes = {0}, value = {0};
    for (long k = 0; k < K; k++) {
        Vector price = *(const Vector *)state->prices[k].v, sign = SIGNS(price);
        value += price * ((least[k] + most[k]) * (REAL)0.5) - price * sign * ((most[k] - least[k]) * (REAL)0.5);
    }
    if (turned) memset(state->reached, 0, sizeof(Row) * (size_t)K);
    for (long x = 0; x < m; x += WIDE) {
        Vector slope[WIDE];
        for (int i = 0; i < WIDE; i++) slope[i] = *(const Vector *)state->aim[x + i].v;
        for (long k = 0; priced && k < K; k++) {
            Vector price = *(const Vector *)state->prices[k].v;
            for (int i = 0; i < WIDE; i++) slope[i] -= price * rows[k * m + x + i];
        }
        for (int i = 0; i < WIDE; i++) {
            Vector sign = SIGNS(slope[i]);
            sizes += slope[i] * sign;
            slope[i] = sign;
        }
        for (long k = 0; turned && k < K; k++) {
            Vector sum = slope[0] * rows[k * m + x];
            for (int i = 1; i < WIDE; i++) sum += slope[i] * rows[k * m + x + i];
            *(Vector *)state->reached[k].v += sum;
        }
    }
    Row found;
    *(Vector *)found.v = value - sizes;
    return found;
}

static Row look(const Slabs *slabs, const REAL *rows, const REAL *least, const REAL *most, const State *state,
                int priced, int turned) {
    if (!priced) return look_at(slabs, rows, least, most, state, 0, turned);
    return turned ? look_at(slabs, rows, least, most, state, 1, 1) : look_at(slabs, rows, least, most, state, 1, 0);
}

/* An Adam step; a multiplier that would change its sign stops at 0. */
static void step(const Slabs *slabs, const REAL *least, const REAL *most, REAL rate, const State *state) {
    REAL keep = (REAL)(1 - slabs->momentum), keep_squares = (REAL)slabs->momentum_squares;
    for (long k = 0; k < slabs->slabs; k++) {
        REAL *price = state->prices[k].v, *first = state->first[k].v, *second = state->second[k].v;
        EACH {
            REAL below = least[k] + state->reached[k].v[l], above = most[k] + state->reached[k].v[l];
            REAL neither = (below > 0 ? below : 0) + (above < 0 ? above : 0);
            REAL gradient = price[l] == 0 ? neither : price[l] > 0 ? below : above;
            first[l] += (gradient - first[l]) * keep;
            second[l] = second[l] * keep_squares + gradient * gradient * (1 - keep_squares);
            REAL moved = price[l] + rate * first[l] / (ROOT(second[l]) + (REAL)1e-8);
            price[l] = price[l] * moved < 0 ? 0 : moved;
        }
    }
}

/* The best prices of some aims. */
static void search(const Slabs *slabs, const REAL *rows, const REAL *least, const REAL *most, const State *state) {
    size_t size = sizeof(Row) * (size_t)slabs->slabs;
    Row record = {0};
    memset(state->prices, 0, size), memset(state->first, 0, size), memset(state->second, 0, size);
    memset(state->best, 0, size);
    for (long count = 1; count <= slabs->iterations; count++) {
        Row value = look(slabs, rows, least, most, state, count > 1, count < slabs->iterations);
        if (count == 1) record = value;
        Bits better = (Bits)(*(const Vector *)value.v > *(const Vector *)record.v);
        for (long k = 0; count > 1 && k < slabs->slabs; k++) {
            Bits *best = (Bits *)state->best[k].v;
            *best = (*best & ~better) | (*(const Bits *)state->prices[k].v & better);
        }
        EACH record.v[l] = value.v[l] > record.v[l] ? value.v[l] : record.v[l];
        if (count == slabs->iterations) break;
        double powers = sqrt(1 - pow(slabs->momentum_squares, (double)count)) / (1 - pow(slabs->momentum, (double)count));
        double rate = slabs->rate * (1 - 0.9 * (double)count / (double)slabs->iterations) * powers;
        step(slabs, least, most, (REAL)rate, state);
    }
}

/* The layer of B samples: neurons n, inputs m. */
typedef struct {
    const double *weights, *bias;                  /* (n, m), (n) */
    const double *slack, *size, *lower, *upper;    /* (B, n) */
    const double *low, *high;                      /* the box, (B, m) */
    const double *center, *radius;                 /* of the ball, (B, m), (B), or null */
    long neurons;
    double error;                                  /* what is lost of a sum of moduli of 1 */
} Layer;

/* N nodes. `split` neurons have currents in [row_low, row_high]; those of the `chosen` ones are narrowed. */
typedef struct {
    const long *sample;                            /* (N) */
    const double *row_low, *row_high;              /* (N, n) */
    const unsigned char *split, *chosen;           /* (N, n) */
    double *least, *most;                          /* what is left of the currents, (N, n) */
    unsigned char *empty;                          /* (N) */
    double *prices;                                /* of one node, for 2M + 1 aims, (2M + 1, K), or null */
} Nodes;

/* What one node needs: K slabs, M aims, S inputs that slabs read, rounded up to WIDE. */
typedef struct {
    long *slabs, *aims, *touched;
    double *least, *most, *sizes, *scale, *prices; /* K each: ends less b, moduli, reach, multipliers */
    double *reach, *costs;                         /* M, m */
    REAL *rows, *low, *high;                       /* (K, S), K, K: in units of the box */
    State state;
    long K, M, S;
} Work;

static long lay_out(Work *work, char *memory, long n, long m) {
    char *next = memory;
    long K = work->K, S = work->S, real = sizeof(REAL), row = sizeof(Row);
    work->slabs = take(&next, n, sizeof(long)), work->aims = take(&next, n, sizeof(long));
    work->touched = take(&next, S, sizeof(long));
    work->least = take(&next, K, sizeof(double)), work->most = take(&next, K, sizeof(double));
    work->sizes = take(&next, K, sizeof(double)), work->scale = take(&next, K, sizeof(double));
    work->prices = take(&next, K, sizeof(double)), work->costs = take(&next, m, sizeof(double));
    work->reach = take(&next, work->M, sizeof(double));
    work->rows = take(&next, K * S, real), work->low = take(&next, K, real), work->high = take(&next, K, real);
    work->state.aim = take(&next, S, row), work->state.prices = take(&next, K, row);
    work->state.first = take(&next, K, row), work->state.second = take(&next, K, row);
    work->state.best = take(&next, K, row), work->state.reached = take(&next, K, row);
    return next - memory;
}

INLINE double within_one(double x) { return x < -1 ? -1 : x > 1 ? 1 : x; }

/* How far a current moves over the box; at least 1e-300. */
static double reach_of(const Layer *layer, long b, long neuron, long m) {
    const double *weights = layer->weights + neuron * m, *low = layer->low + b * m, *high = layer->high + b * m;
    double sums[WIDE] = {0}, sum = 0;
    long x = 0;
    for (; x + WIDE <= m; x += WIDE) ALL sums[l] += fabs(weights[x + l] * (0.5 * (high[x + l] - low[x + l])));
    for (; x < m; x++) sum += fabs(weights[x] * (0.5 * (high[x] - low[x])));
    ALL sum += sums[l];
    return sum > 1e-300 ? sum : 1e-300;
}

/* The slabs of a node, and the inputs that they read. */
static void gather_slabs(const Layer *layer, const Nodes *nodes, long node, long m, Work *work) {
    long n = layer->neurons, b = nodes->sample[node], read = 0;
    const double *low = layer->low + b * m, *high = layer->high + b * m;
    for (long x = 0; x < m; x++) {
        int any = 0;
        for (long k = 0; k < work->K && !any; k++) any = layer->weights[work->slabs[k] * m + x] != 0;
        if (any) work->touched[read++] = x;
    }
    long S = work->S = rounded(read, WIDE);
    for (long x = read; x < S; x++) work->touched[x] = -1;
    for (long k = 0; k < work->K; k++) {
        long neuron = work->slabs[k], at = b * n + neuron;
        const double *weights = layer->weights + neuron * m;
        double middle = 0, size = work->scale[k] = reach_of(layer, b, neuron, m);
        for (long x = 0; x < m; x++) middle += weights[x] * (0.5 * (high[x] + low[x]));
        work->least[k] = nodes->row_low[node * n + neuron] - layer->slack[at] - layer->bias[neuron];
        work->most[k] = nodes->row_high[node * n + neuron] + layer->slack[at] - layer->bias[neuron];
        work->sizes[k] = layer->size[at];
        work->low[k] = (REAL)within_one((work->least[k] - middle) / size);
        work->high[k] = (REAL)within_one((work->most[k] - middle) / size);
        for (long i = 0; i < S; i++) {
            long x = work->touched[i];
            work->rows[k * S + i] = x < 0 ? 0 : (REAL)(weights[x] * (0.5 * (high[x] - low[x])) / size);
        }
    }
}

/* Σ costs·x over the ball, at least: what float64 loses here is paid here, since the center may lie outside the box. */
static double over_ball(const Layer *layer, long b, long m, const double *costs) {
    double value = 0, squares = (double)m * 0x1p-1022, moduli = 0;
    for (long x = 0; x < m; x++) {
        double part = costs[x] * layer->center[b * m + x];
        value += part, moduli += fabs(part), squares += costs[x] * costs[x];
    }
    double length = sqrt(squares) * layer->radius[b];
    return value - length - layer->error * (moduli + length);
}

/* At least the sum of ranges.py: s·W x + Σ ν's part over the set, less what float64 may lose; −∞ where it is nothing. */
static double prove(const Layer *layer, long b, long neuron, double sign, long m, const Work *work) {
    const double *low = layer->low + b * m, *high = layer->high + b * m;
    double *costs = work->costs, paid = 0, moduli = neuron < 0 ? 0 : layer->size[b * layer->neurons + neuron], value = 0;
    for (long x = 0; x < m; x++) costs[x] = neuron < 0 ? 0 : sign * layer->weights[neuron * m + x];
    for (long k = 0; k < work->K; k++) {
        double least = work->least[k], most = work->most[k], price = work->prices[k];
        if (price > 0 ? isinf(least) : isinf(most)) price = 0;
        if (!(price > 0) && !(price < 0)) continue;
        const double *weights = layer->weights + work->slabs[k] * m;
        for (long x = 0; x < m; x++) costs[x] -= price * weights[x];
        paid += price * (price > 0 ? least : most);
        moduli += fabs(price) * (work->sizes[k] + (isinf(least) ? 0 : fabs(least)) + (isinf(most) ? 0 : fabs(most)));
    }
    double sums[WIDE] = {0};
    long x = 0;
    for (; x + WIDE <= m; x += WIDE) ALL sums[l] += costs[x + l] * (costs[x + l] > 0 ? low[x + l] : high[x + l]);
    for (; x < m; x++) value += costs[x] * (costs[x] > 0 ? low[x] : high[x]);
    ALL value += sums[l];
    double within = layer->center ? over_ball(layer, b, m, costs) : -INFINITY;
    value = within > value ? within : value;
    value = value + paid - layer->error * moduli;
    return isfinite(value) ? value : -INFINITY;
}

/* Aims first..first + LANES of M + 1, the last one 0, in units of the box. */
static void gather_aims(const Layer *layer, long b, long first, long m, const Work *work) {
    const double *low = layer->low + b * m, *high = layer->high + b * m;
    memset(work->state.aim, 0, sizeof(Row) * (size_t)work->S);
    for (int l = 0; l < LANES && first + l < work->M; l++) {
        const double *weights = layer->weights + work->aims[first + l] * m;
        double unit = 0.5 / work->reach[first + l];
        for (long i = 0; i < work->S; i++) {
            long x = work->touched[i];
            if (x >= 0) work->state.aim[i].v[l] = (REAL)(weights[x] * ((high[x] - low[x]) * unit));
        }
    }
}

/* What the multipliers of one lane prove of aim a with a sign; aim M is 0. */
static void settle(const Layer *layer, const Nodes *nodes, long node, long a, int l, double sign, long m, Work *work) {
    long n = layer->neurons, b = nodes->sample[node], neuron = a < work->M ? work->aims[a] : -1;
    double reach = neuron < 0 ? 1 : work->reach[a];
    for (long k = 0; k < work->K; k++)
        work->prices[k] = (double)work->state.best[k].v[l] * (reach / work->scale[k]);
    long row = sign > 0 && neuron >= 0 ? a : a + work->M; /* low ends first, the aim of 0 last */
    if (nodes->prices) memcpy(nodes->prices + row * work->K, work->prices, sizeof(double) * (size_t)work->K);
    double value = prove(layer, b, neuron, sign, m, work);
    if (neuron < 0) {
        nodes->empty[node] = value > 0;
        return;
    }
    double *least = nodes->least + node * n + neuron, *most = nodes->most + node * n + neuron;
    double bias = layer->bias[neuron], slack = layer->slack[b * n + neuron];
    double below = value + bias - slack, above = bias - value + slack;
    if (sign > 0 && below > *least) *least = below;
    if (sign < 0 && above < *most) *most = above;
}

static void narrow_node(const Slabs *slabs, const Layer *layer, const Nodes *nodes, long node, Work *work) {
    long m = slabs->inputs, b = nodes->sample[node], M = work->M, S = work->S;
    Slabs own = *slabs;
    own.slabs = work->K, own.inputs = S;
    for (long first = 0; first <= M; first += LANES) {
        gather_aims(layer, b, first, m, work);
        search(&own, work->rows, work->low, work->high, &work->state);
        for (int l = 0; l < LANES && first + l <= M; l++) settle(layer, nodes, node, first + l, l, 1, m, work);
        if (first == M) break;
        for (long i = 0; i < S; i++) EACH work->state.aim[i].v[l] = -work->state.aim[i].v[l];
        search(&own, work->rows, work->low, work->high, &work->state);
        for (int l = 0; l < LANES && first + l < M; l++) settle(layer, nodes, node, first + l, l, -1, m, work);
    }
}

/* Count a node's slabs and aims. */
static Work count(const Slabs *slabs, const Layer *layer, const Nodes *nodes, long node) {
    Work work = {.S = rounded(slabs->inputs, WIDE)};
    for (long i = node * layer->neurons; i < (node + 1) * layer->neurons; i++)
        work.K += nodes->split[i] != 0, work.M += nodes->chosen[i] != 0;
    return work;
}

/* Find them, in memory that was laid out. */
static void begin(const Slabs *slabs, const Layer *layer, const Nodes *nodes, long node, Work *work) {
    long n = layer->neurons, K = 0, M = 0;
    for (long i = 0; i < n; i++) {
        if (nodes->split[node * n + i]) work->slabs[K++] = i;
        if (nodes->chosen[node * n + i]) work->aims[M++] = i;
    }
    gather_slabs(layer, nodes, node, slabs->inputs, work);
    for (long a = 0; a < M; a++) work->reach[a] = reach_of(layer, nodes->sample[node], work->aims[a], slabs->inputs);
}

/* What is known before anything is narrowed. */
static void widest(const Layer *layer, const Nodes *nodes, long node) {
    long n = layer->neurons, b = nodes->sample[node];
    memcpy(nodes->least + node * n, layer->lower + b * n, sizeof(double) * (size_t)n);
    memcpy(nodes->most + node * n, layer->upper + b * n, sizeof(double) * (size_t)n);
}

typedef struct Cuts Cuts;

typedef struct {
    const Slabs *slabs;
    const Layer *layer;
    const Nodes *nodes;
    const Cuts *cuts;
} Asked;

/* Foresight: what a split of a node's first layer is worth, for each neuron and each row to cut at: which spikes of the layer the
   cut decides.

   For an aim s·I_m let c = s·W_m − Σ ν_k·W_k be what the multipliers of ranges.c leave of it. With one multiplier μ
   more, on a cut I_j ≤ q, the aim is at least min over x of (c + μ·W_j)·x − μ·(q − b_j) + Σ ν's part. That is found for
   a few μ at once, for all rows to cut at. Ranges say which rows are left, and these which spikes are open.

   It chooses splits, and proves nothing: all is in float, and no rounding is paid. */

#define TRIALS 4 /* multipliers that are tried of each cut */

/* N nodes; R rows. */
struct Cuts {
    const long *first, *last;           /* the rows that a neuron has, (N, n) */
    const double *worth;                /* of a spike of each neuron that is decided, (N, n) */
    const double *weights;              /* of each neuron, what experience says, (N, n) */
    const double *row_low, *row_high;   /* (R) */
    const double *opened;               /* how many spikes are open where rows a..b are left, (R, R) */
    long *neuron, *row;                 /* the cut that is worth most, (N) */
    double *below, *above;              /* worth of all that rows up to r decide, and those behind it, (N, n, R), or null */
    long rows;
};

static const REAL SHARES[TRIALS] = {(REAL)0.15, (REAL)0.4, (REAL)1, (REAL)2};

#define MODULUS(x) ((Vector)((Bits)(x) & ~(Bits)(-(Vector){0}))) /* the bits of −0 are its sign */

/* All cuts of one node, in units of the box: those of LANES neurons go together, and M is a multiple of that. */
typedef struct {
    REAL *weights, *middle, *size;      /* of the neurons' currents around the box's middle, (m, M), M, M */
    REAL *slope;                        /* of the aim, m */
    Row *plus, *minus, *prices;         /* with each multiplier of LANES cuts, TRIALS of each */
    long cuts;                          /* M */
    REAL *ends;                         /* of the aim with each cut: its low end, then its high one, (2, M, R, 2) */
    double *gains;                      /* worth of all that rows up to r decide, and those behind it, (M, R, 2) */
    Row *best;                          /* of the aims' low ends, K */
} Scene;

static long lay_scene(Scene *scene, char *memory, long M, long K, long m, long R) {
    char *next = memory;
    long all = scene->cuts = rounded(M, LANES);
    scene->weights = take(&next, all * m, sizeof(REAL)), scene->middle = take(&next, all, sizeof(REAL));
    scene->size = take(&next, all, sizeof(REAL)), scene->slope = take(&next, m, sizeof(REAL));
    scene->plus = take(&next, TRIALS, sizeof(Row)), scene->minus = take(&next, TRIALS, sizeof(Row));
    scene->prices = take(&next, TRIALS, sizeof(Row));
    scene->gains = take(&next, 2 * M * R, sizeof(double));
    scene->ends = take(&next, 4 * M * R, sizeof(REAL)), scene->best = take(&next, K, sizeof(Row));
    return next - memory;
}

/* What an aim is with one multiplier more, for cuts of LANES neurons: the sums of moduli of c + μ·w and c − μ·w. */
static void weigh_cuts(const Scene *scene, REAL size, long m, long start) {
    Vector plus[TRIALS] = {{0}}, minus[TRIALS] = {{0}}, prices[TRIALS];
    for (int g = 0; g < TRIALS; g++) prices[g] = SHARES[g] * size / *(const Vector *)(scene->size + start);
    for (long x = 0; x < m; x++) {
        Vector weight = *(const Vector *)(scene->weights + x * scene->cuts + start);
        for (int g = 0; g < TRIALS; g++) {
            Vector one = scene->slope[x] + prices[g] * weight, other = scene->slope[x] - prices[g] * weight;
            plus[g] += MODULUS(one), minus[g] += MODULUS(other);
        }
    }
    memcpy(scene->plus, plus, sizeof plus), memcpy(scene->minus, minus, sizeof minus);
    memcpy(scene->prices, prices, sizeof prices);
}

/* For one end of an aim: what each cut makes of it. */
static void try_cuts(const Scene *scene, const Cuts *cuts, const long *first, const long *last, const Work *work,
                     const Layer *layer, REAL base, long m, double sign, long aim, REAL *ends) {
    REAL size = 0, bias = (REAL)layer->bias[work->aims[aim]];
    for (long x = 0; x < m; x++) size += scene->slope[x] < 0 ? -scene->slope[x] : scene->slope[x];
    for (long j = 0; j < work->M; j++) {
        int lane = (int)(j % LANES);
        if (!lane) weigh_cuts(scene, size, m, j);
        long neuron = work->aims[j];
        REAL own = (REAL)layer->bias[neuron] + scene->middle[j];
        for (long r = first[neuron]; r < last[neuron]; r++)
            for (int side = 0; side < 2; side++) {
                REAL best = -size, end = side ? (REAL)cuts->row_low[r + 1] - own : own - (REAL)cuts->row_high[r];
                const Row *sums = side ? scene->minus : scene->plus;
                for (int g = 0; g < TRIALS; g++) {
                    REAL value = scene->prices[g].v[lane] * end - sums[g].v[lane];
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
    long least = cuts->first[target], most = cuts->last[target];
    double before = cuts->opened[least * R + most], worth = cuts->worth[target];
    double bottom = cuts->row_high[least], top = cuts->row_low[most];
    for (long j = 0; j < work->M; j++)
        for (long r = first[work->aims[j]]; r < last[work->aims[j]]; r++)
            for (int side = 0; side < 2; side++) {
                long at = (j * R + r) * 2 + side, low = least, high = most;
                if (j != aim && !(bottom < (double)lows[at]) && !(top > (double)highs[at])) continue;
                if (j == aim && side) low = r + 1;
                if (j == aim && !side) high = r;
                while (low < high && cuts->row_high[low] < (double)lows[at]) low++;
                while (high > low && cuts->row_low[high] > (double)highs[at]) high--;
                scene->gains[at] += worth * (before - cuts->opened[low * R + high]);
            }
}

/* The slope of an aim after the multipliers of one lane; returns Σ ν's part and what the slope makes of the middle. */
static REAL slope_of(const Scene *scene, const Layer *layer, long b, long aim, double sign, long inputs,
                     const Work *work, const Row *best, int lane) {
    const double *low = layer->low + b * inputs, *high = layer->high + b * inputs;
    const double *own = layer->weights + work->aims[aim] * inputs;
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
    return (REAL)paid;
}

static void set_scene(const Scene *scene, const Layer *layer, long b, long m, const Work *work) {
    const double *low = layer->low + b * m, *high = layer->high + b * m;
    for (long j = 0; j < scene->cuts; j++) {
        const double *weights = layer->weights + work->aims[j < work->M ? j : 0] * m;
        double middle = 0;
        for (long x = 0; x < m; x++) {
            scene->weights[x * scene->cuts + j] = (REAL)(weights[x] * (0.5 * (high[x] - low[x])));
            middle += weights[x] * (0.5 * (low[x] + high[x]));
        }
        scene->middle[j] = (REAL)middle, scene->size[j] = (REAL)work->reach[j < work->M ? j : 0];
    }
}

#define SPARED 1e-3 /* what a side is worth that decides nothing, as a share of the most that any side of the node decides */

/* The cut that is worth most: what either side decides, multiplied. */
static void choose(const Scene *scene, const Cuts *cuts, long node, const Work *work, long n) {
    const long *first = cuts->first + node * n, *last = cuts->last + node * n;
    double spared = 0, best = -1;
    for (long i = 0; i < 2 * work->M * cuts->rows; i++) {
        if (!isfinite(scene->gains[i])) scene->gains[i] = 0;
        spared = scene->gains[i] * SPARED > spared ? scene->gains[i] * SPARED : spared;
    }
    for (long j = 0; j < work->M; j++)
        for (long neuron = work->aims[j], r = first[neuron]; r < last[neuron]; r++) {
            const double *gains = scene->gains + (j * cuts->rows + r) * 2;
            double worth = (gains[0] + spared) * (gains[1] + spared) * cuts->weights[node * n + neuron];
            if (worth > best) best = worth, cuts->neuron[node] = neuron, cuts->row[node] = r;
            if (cuts->below) {
                long at = (node * n + neuron) * cuts->rows + r;
                cuts->below[at] = gains[0], cuts->above[at] = gains[1];
            }
        }
}

static void see_node(const Slabs *slabs, const Layer *layer, const Nodes *nodes, const Cuts *cuts, long node, Work *work,
                     const Scene *scene) {
    long inputs = slabs->inputs, n = layer->neurons, b = nodes->sample[node];
    const long *first = cuts->first + node * n, *last = cuts->last + node * n;
    Slabs own = *slabs;
    own.slabs = work->K, own.inputs = work->S;
    memset(scene->gains, 0, sizeof(double) * (size_t)(2 * work->M * cuts->rows));
    set_scene(scene, layer, b, inputs, work);
    for (long start = 0; start < work->M; start += LANES) {
        gather_aims(layer, b, start, inputs, work);
        search(&own, work->rows, work->low, work->high, &work->state);
        memcpy(scene->best, work->state.best, sizeof(Row) * (size_t)work->K);
        for (long i = 0; i < work->S; i++) EACH work->state.aim[i].v[l] = -work->state.aim[i].v[l];
        search(&own, work->rows, work->low, work->high, &work->state);
        for (int l = 0; l < LANES && start + l < work->M; l++)
            for (int turn = 0; turn < 2; turn++) {
                double sign = turn ? -1 : 1;
                const Row *best = turn ? work->state.best : scene->best;
                REAL base = slope_of(scene, layer, b, start + l, sign, inputs, work, best, l);
                REAL *ends = scene->ends + turn * work->M * cuts->rows * 2;
                try_cuts(scene, cuts, first, last, work, layer, base, inputs, sign, start + l, ends);
                if (turn) count_rows(scene, cuts, node, work, n, start + l);
            }
    }
}

/* Narrow the currents of one node, or foresee its cuts; returns whether memory failed. */
static int visit_one(const Item *item) {
    const Asked *asked = item->given;
    const Layer *layer = asked->layer;
    const Nodes *nodes = asked->nodes;
    const Cuts *cuts = asked->cuts;
    long node = item->start, n = layer->neurons, m = asked->slabs->inputs;
    Work work = count(asked->slabs, layer, nodes, node);
    Scene scene;
    if (cuts) cuts->neuron[node] = cuts->row[node] = 0;
    else widest(layer, nodes, node), nodes->empty[node] = 0;
    if (cuts ? !work.M : !work.K || (!work.M && !nodes->prices)) return 0;
    long size = lay_out(&work, 0, n, m), more = cuts ? lay_scene(&scene, 0, work.M, work.K, m, cuts->rows) : 0;
    char *memory = aligned(size + more);
    if (!memory) return 1;
    lay_out(&work, memory, n, m);
    begin(asked->slabs, layer, nodes, node, &work);
    if (cuts) {
        lay_scene(&scene, memory + size, work.M, work.K, m, cuts->rows);
        see_node(asked->slabs, layer, nodes, cuts, node, &work, &scene);
        choose(&scene, cuts, node, &work, n);
    } else {
        narrow_node(asked->slabs, layer, nodes, node, &work);
        for (long i = node * n; i < (node + 1) * n; i++) nodes->empty[node] |= nodes->least[i] > nodes->most[i];
        if (nodes->empty[node]) widest(layer, nodes, node);
    }
    free_aligned(memory);
    return 0;
}

/* What decided trains leave of the other currents of each node; with `cuts` where each is best split. Returns whether
   memory failed. */
int visit(const Slabs *slabs, const Layer *layer, const Nodes *nodes, const Cuts *cuts) {
    return for_each(slabs->nodes, 1, slabs->threads, 0, visit_one, &(Asked){slabs, layer, nodes, cuts});
}
