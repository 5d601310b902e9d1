/* The cells of layers that subtract: eager_cells.py and eager_pairs.py of certify/bounds, compiled on demand by
   loading.py.

   REAL is double. All arithmetic is that of the Python files, operation by operation, and minima and maxima do not
   depend on their order: what comes out is bitwise what torch computes, and the proofs there hold here. Compile with
   -ffp-contract=off. */

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define INFINITE ((REAL)__builtin_inf())
#define INLINE static inline __attribute__((always_inline))

typedef struct {
    double decay, surely, perhaps, drop;
    long steps, size; /* of the arrays, (T, size) */
    int threads;
} Layer;

typedef struct {
    const REAL *lower, *upper, *low, *high; /* of L[t] and of c[t], (T, size) */
} Flow;

typedef struct {
    REAL *certain, *possible;           /* of each spike, (T, size), and so on */
    REAL *least, *most;                 /* ends of S[t] */
    REAL *low, *high;                   /* ends of u[t] */
    REAL *shortest, *longest;           /* ends of the sum that is asked for */
} Ranges;

#define WIDE 8 /* cells, or counts, that go together */

/* Ends of S, of u and of the sum that is asked for, of cells side by side: INFINITE, -INFINITE where there is none. */
typedef struct {
    REAL least[WIDE], most[WIDE], low[WIDE], high[WIDE], shortest[WIDE], longest[WIDE];
} Cells;

/* What a step makes of cells in silence or with a spike, whether a run may reach it, 0 or 1, and its bin. */
typedef struct {
    Cells cells;
    long alive[WIDE], bin[WIDE];
} Candidates;

INLINE REAL lesser(REAL a, REAL b) { return a < b ? a : b; }
INLINE REAL greater(REAL a, REAL b) { return a > b ? a : b; }
INLINE long part_start(const Layer *layer, int p) { return layer->size * p / layer->threads; }

INLINE void widen(Cells *hull, long k, const Cells *from, long i) {
    hull->least[k] = lesser(hull->least[k], from->least[i]), hull->most[k] = greater(hull->most[k], from->most[i]);
    hull->low[k] = lesser(hull->low[k], from->low[i]), hull->high[k] = greater(hull->high[k], from->high[i]);
    hull->shortest[k] = lesser(hull->shortest[k], from->shortest[i]);
    hull->longest[k] = greater(hull->longest[k], from->longest[i]);
}

INLINE void no_cells(Cells *cells, int from) {
    for (int k = from; k < WIDE; k++) {
        cells->least[k] = cells->low[k] = cells->shortest[k] = INFINITE;
        cells->most[k] = cells->high[k] = cells->longest[k] = -INFINITE;
    }
}

/* The bin of a middle among `count` between the first and the last one. */
INLINE long bin_of(REAL middle, REAL first, REAL width, long count) {
    REAL place = rint((middle - first) / width);
    return (long)lesser(greater(place, 0), (REAL)(count - 1));
}

INLINE REAL width_of(REAL first, REAL last, long count) { return greater((last - first) / (REAL)(count - 1), 1e-300); }

/* Neurons that take a step before the next one, so that what is read and written of them shares its lines of cache. */
#define BESIDE 8

/* Cells that never merge with those of other counts: S is whole, and u is cut by it already (eager_cells.py). */
INLINE int apart(const Layer *layer, long most) { return layer->decay == 1 && most > layer->steps; }

/* A bit for each that a run may reach. */
INLINE unsigned long bits_of(const long *alive) {
    unsigned long bits = 0;
    for (int k = 0; k < WIDE; k++) bits |= (unsigned long)alive[k] << k;
    return bits;
}

/* How many blocks hold them. */
INLINE long in_blocks(long count) { return (count + WIDE - 1) / WIDE; }

/* Candidates of a step: of each block one of silences and one of spikes. Returns how many a run may reach. */
INLINE long step_of(const Layer *layer, REAL drop, Flow flow, long at, REAL weight, REAL decay, const Cells *cells,
                    long blocks, int whole, Candidates *found, long *fired) {
    REAL own = layer->decay, surely = layer->surely, perhaps = layer->perhaps;
    REAL lower = flow.lower[at], upper = flow.upper[at], from = flow.low[at], to = flow.high[at];
    long silences = 0, spikes = 0;
    for (long b = 0; b < blocks; b++) {
        const Cells *of = cells + b;
        Candidates *quiet = found + 2 * b, *fires = quiet + 1;
#pragma omp simd reduction(+ : silences, spikes)
        for (int k = 0; k < WIDE; k++) {
            REAL least = of->least[k] * own, most = of->most[k] * own;
            REAL low = greater(lower - most * drop, of->low[k] * own + from);
            REAL high = lesser(upper - least * drop, of->high[k] * own + to);
            REAL shortest = of->shortest[k] * decay, longest = of->longest[k] * decay;
            REAL still = lesser(high, surely), start = greater(low, perhaps) - drop, top = high - drop;
            REAL quiet_least = least, quiet_most = most, fires_least = least + 1, fires_most = most + 1;
            if (!whole) {
                quiet_least = greater(quiet_least, (lower - still) / drop);
                quiet_most = lesser(quiet_most, (upper - low) / drop);
                fires_least = greater(fires_least, (lower - top) / drop);
                fires_most = lesser(fires_most, (upper - start) / drop);
            }
            quiet->cells.least[k] = quiet_least, quiet->cells.most[k] = quiet_most;
            quiet->cells.low[k] = low, quiet->cells.high[k] = still;
            quiet->cells.shortest[k] = shortest, quiet->cells.longest[k] = longest;
            fires->cells.least[k] = fires_least, fires->cells.most[k] = fires_most;
            fires->cells.low[k] = start, fires->cells.high[k] = top;
            fires->cells.shortest[k] = shortest + weight, fires->cells.longest[k] = longest + weight;
            quiet->alive[k] = (low <= high) & (low <= surely) & (whole | (quiet_least <= quiet_most));
            fires->alive[k] = (low <= high) & (high >= perhaps) & (whole | (fires_least <= fires_most));
            silences += quiet->alive[k], spikes += fires->alive[k];
        }
    }
    *fired = spikes;
    return silences + spikes;
}

/* The same, without the products and quotients of a drop of 1, which change nothing. */
INLINE long step(const Layer *layer, Flow flow, long at, REAL weight, REAL decay, const Cells *cells, long blocks,
                 int whole, Candidates *found, long *fired) {
    if (layer->drop == 1) return step_of(layer, 1, flow, at, weight, decay, cells, blocks, whole, found, fired);
    return step_of(layer, layer->drop, flow, at, weight, decay, cells, blocks, whole, found, fired);
}

/* The bins of candidates by their middles; a bin of one that no run reaches says nothing. */
INLINE void fill_bins(Candidates *found, long blocks, long most) {
    REAL first = INFINITE, last = -INFINITE;
    for (long b = 0; b < blocks; b++) {
#pragma omp simd reduction(min : first) reduction(max : last)
        for (int k = 0; k < WIDE; k++) {
            REAL middle = (found[b].cells.least[k] + found[b].cells.most[k]) * (REAL)0.5;
            first = lesser(first, found[b].alive[k] ? middle : INFINITE);
            last = greater(last, found[b].alive[k] ? middle : -INFINITE);
        }
    }
    REAL width = width_of(first, last, most);
    for (long b = 0; b < blocks; b++) {
#pragma omp simd
        for (int k = 0; k < WIDE; k++) {
            REAL middle = (found[b].cells.least[k] + found[b].cells.most[k]) * (REAL)0.5;
            found[b].bin[k] = bin_of(middle, first, width, most);
        }
    }
}

/* Merge the n candidates that a run may reach: they stay apart where they are `most` at most, else those of a bin
   become their hull. Returns how many blocks the cells take. */
static long merge(Candidates *found, long blocks, long n, long most, Cells *cells) {
    long own = in_blocks(n < most ? n : most);
    for (long b = 0; b < own; b++) no_cells(cells + b, 0);
    if (n > most) fill_bins(found, blocks, most);
    unsigned long next = 0;
    for (const Candidates *from = found; from < found + blocks; from++)
        for (unsigned long left = bits_of(from->alive); left; left &= left - 1) {
            long i = __builtin_ctzl(left);
            unsigned long to = n > most ? (unsigned long)from->bin[i] : next++;
            widen(cells + to / WIDE, (long)(to % WIDE), &from->cells, i);
        }
    return own;
}

INLINE void write_ranges(Ranges out, long at, const Cells *cells, long blocks, long silent, long fired) {
    REAL least = INFINITE, low = INFINITE, shortest = INFINITE;
    REAL most = -INFINITE, high = -INFINITE, longest = -INFINITE;
    for (long b = 0; b < blocks; b++) {
        const Cells *of = cells + b;
#pragma omp simd reduction(min : least, low, shortest) reduction(max : most, high, longest)
        for (int k = 0; k < WIDE; k++) {
            least = lesser(least, of->least[k]), most = greater(most, of->most[k]);
            low = lesser(low, of->low[k]), high = greater(high, of->high[k]);
            shortest = lesser(shortest, of->shortest[k]), longest = greater(longest, of->longest[k]);
        }
    }
    out.certain[at] = silent == 0, out.possible[at] = fired > 0;
    out.least[at] = least, out.most[at] = most;
    out.low[at] = low, out.high[at] = high;
    out.shortest[at] = shortest, out.longest[at] = longest;
}

/* Fetch the lines of cache of a step that comes later, which lie far apart. */
INLINE void fetch(const Layer *layer, Flow flow, Ranges out, long t, long start) {
    long at = t * layer->size + start;
    if (t >= layer->steps) return;
    const REAL *in[4] = {flow.lower, flow.upper, flow.low, flow.high};
    REAL *to[8] = {out.certain, out.possible, out.least, out.most, out.low, out.high, out.shortest, out.longest};
    for (int i = 0; i < 4; i++) __builtin_prefetch(in[i] + at);
    for (int i = 0; i < 8; i++) __builtin_prefetch(to[i] + at, 1);
}

/* Memory of one thread: cells of BESIDE neurons, and candidates of one. */
typedef struct {
    Cells *cells;
    Candidates *found;
} Room;

/* What K cells say of `beside` neurons, step by step. */
static void cells_of(const Layer *layer, Flow flow, long most, const REAL *row, REAL decay, Ranges out, long start,
                     long beside, Room room) {
    long blocks[BESIDE], size = in_blocks(most), fired;
    int whole = apart(layer, most);
    for (long j = 0; j < beside; j++) {
        memset(room.cells + j * size, 0, sizeof(Cells));
        no_cells(room.cells + j * size, blocks[j] = 1);
    }
    for (long t = 0; t < layer->steps; t++) {
        fetch(layer, flow, out, t + 6, start);
        for (long j = 0; j < beside; j++) {
            long at = t * layer->size + start + j;
            Cells *own = room.cells + j * size;
            long n = step(layer, flow, at, row[t], decay, own, blocks[j], whole, room.found, &fired);
            blocks[j] = merge(room.found, 2 * blocks[j], n, most, own);
            write_ranges(out, at, own, blocks[j], n - fired, fired);
        }
    }
}

/* Neurons that never fade, whose spikes are counted: each cell has a whole S = n, which is its sum, too. Cells of one
   count whose u overlap are as good as their hull: all that a step does to u is monotone, is common to the count, and
   rounds monotonically, so the hull's image is the hull of theirs, which overlap again. So one cell a count says
   bitwise what K > T cells do, unless u of a silence and u of a spike that lead to one count lie apart: then the
   neuron is left to cells_of. WIDE counts go together; as many lie before count 0, which none has. */

/* Ends of u by count, low > high where there is none, before and after a step: counts from first to last may have one
   before it; where the next ones go, those from `from` to `to` still hold what was before that. */
typedef struct {
    REAL *low, *high, *next_low, *next_high;
    long first, last, from, to;
} Counts;

/* Returns whether cells of one count lie apart. `spent` is n·d. */
INLINE int count_step(const Layer *layer, Flow flow, long at, const REAL *spent, Counts *counts, Ranges out) {
    REAL surely = layer->surely, perhaps = layer->perhaps, drop = layer->drop;
    REAL lower = flow.lower[at], upper = flow.upper[at], from = flow.low[at], to = flow.high[at];
    REAL quietest = INFINITE, loudest = -INFINITE, bottom = INFINITE, top = -INFINITE, gap = 0;
    long start = counts->from / WIDE * WIDE - 1, behind = counts->last + 2 > counts->to ? counts->last + 2 : counts->to;
    long blocks = (behind - start) / WIDE + 1;
    const REAL *low = counts->low + start, *high = counts->high + start;
    REAL *next_low = counts->next_low + start, *next_high = counts->next_high + start;
    spent += start;
#pragma omp simd reduction(min : quietest, bottom) reduction(max : loudest, top, gap)
    for (long n = 0; n < blocks * WIDE; n++) {
        REAL s0 = greater(lower - spent[n], low[n] + from), v = lesser(upper - spent[n], high[n] + to);
        REAL f = greater(lower - spent[n - 1], low[n - 1] + from), w = lesser(upper - spent[n - 1], high[n - 1] + to);
        REAL s1 = lesser(v, surely), f0 = greater(f, perhaps) - drop, f1 = w - drop;
        int quiet = s0 <= v && s0 <= surely, fires = f <= w && w >= perhaps;
        s0 = quiet ? s0 : INFINITE, s1 = quiet ? s1 : -INFINITE;
        f0 = fires ? f0 : INFINITE, f1 = fires ? f1 : -INFINITE;
        gap = quiet && fires && (s0 > f1 || f0 > s1) ? 1 : gap;
        quietest = lesser(quietest, s0), loudest = greater(loudest, f1);
        next_low[n] = s0 = lesser(s0, f0), next_high[n] = s1 = greater(s1, f1);
        bottom = lesser(bottom, s0), top = greater(top, s1);
    }
    long first = counts->first, last = counts->last + 1;
    while (first <= last && next_low[first - start] == INFINITE) first++;
    while (first <= last && next_low[last - start] == INFINITE) last--;
    *counts = (Counts){counts->next_low, counts->next_high, counts->low, counts->high, first, last, counts->first, counts->last};
    out.certain[at] = quietest == INFINITE, out.possible[at] = loudest > -INFINITE;
    out.least[at] = out.shortest[at] = first <= last ? (REAL)first : INFINITE;
    out.most[at] = out.longest[at] = first <= last ? (REAL)last : -INFINITE;
    out.low[at] = bottom, out.high[at] = top;
    return gap > 0;
}

static long padded(const Layer *layer) { return (layer->steps + 3 + 3 * WIDE) / WIDE * WIDE; }

/* The same as cells_of where `counted`; returns which of them are left to it, a bit each. */
static long counts_of(const Layer *layer, Flow flow, const REAL *spent, Ranges out, long start, long beside, REAL *memory) {
    long size = padded(layer), gaps = 0;
    Counts counts[BESIDE];
    for (long j = 0; j < beside; j++) {
        REAL *own = memory + 4 * j * size;
        for (long n = 0; n < 4 * size; n++) own[n] = n / size % 2 ? -INFINITE : INFINITE;
        own += WIDE + 1;
        counts[j] = (Counts){own, own + size, own + 2 * size, own + 3 * size, 0, 0, 0, 0};
        own[0] = own[size] = 0;
    }
    for (long t = 0; t < layer->steps; t++) {
        fetch(layer, flow, out, t + 6, start);
        for (long j = 0; j < beside; j++)
            if (!(gaps >> j & 1))
                gaps |= (long)count_step(layer, flow, t * layer->size + start + j, spent, counts + j, out) << j;
    }
    return gaps;
}

/* Whether spikes are counted, by cells that never merge with those of other counts. */
static int counted(const Layer *layer, long most, const REAL *row, double decay) {
    int ones = apart(layer, most) && decay == 1;
    for (long t = 0; t < layer->steps; t++) ones &= row[t] == 1;
    return ones;
}

/* What K cells a neuron say of each step. Returns 0, or 1 where there is no memory. */
int cell_ranges(const Layer *layer, const Flow *flow, long most, const REAL *row, double decay, const Ranges *out) {
    long size = padded(layer), counts = counted(layer, most, row, decay), wide = in_blocks(most);
    Cells *cells = malloc((size_t)(layer->threads * BESIDE * wide) * sizeof(Cells));
    Candidates *found = malloc((size_t)(layer->threads * 2 * wide) * sizeof(Candidates));
    REAL *spent = malloc((size_t)((1 + layer->threads * 4 * BESIDE) * size) * sizeof(REAL));
    int failed = !cells || !found || !spent;
    if (!failed) {
        for (long n = 0; n < size; n++) spent[n] = (REAL)(n - WIDE - 1) * (REAL)layer->drop;
#pragma omp parallel for num_threads(layer->threads) schedule(static) if (layer->threads > 1)
        for (int p = 0; p < layer->threads; p++) {
            Room room = {cells + p * BESIDE * wide, found + p * 2 * wide};
            REAL *own = spent + (1 + p * 4 * BESIDE) * size;
            long end = part_start(layer, p + 1);
            for (long start = part_start(layer, p); start < end; start += BESIDE) {
                long beside = end - start < BESIDE ? end - start : BESIDE;
                if (!counts) {
                    cells_of(layer, *flow, most, row, (REAL)decay, *out, start, beside, room);
                    continue;
                }
                long left = counts_of(layer, *flow, spent + WIDE + 1, *out, start, beside, own);
                for (long j = 0; j < beside; j++)
                    if (left >> j & 1) cells_of(layer, *flow, most, row, 1, *out, start + j, 1, room);
            }
        }
    }
    free(cells);
    free(found);
    free(spent);
    return failed;
}

typedef struct {
    REAL least[2], most[2], low[2], high[2], ahead;
} PairCell;

typedef struct {
    const REAL *lower, *upper; /* of L_y - L_k, (T, pairs) */
} Strip;

/* What a step with given spikes makes of a cell, if a run may go there; neuron y is at 0, neuron k at `pairs`. */
INLINE int pair_step(const Layer *layer, Flow flow, Strip strip, long t, long pair, const int spikes[2],
                     const PairCell *from, PairCell *to) {
    long pairs = layer->size / 2;
    REAL own = layer->decay, drop = layer->drop, bottom[2], top[2], lower[2], upper[2], least[2], most[2];
    for (int i = 0; i < 2; i++) {
        long at = t * layer->size + i * pairs + pair;
        least[i] = from->least[i] * own;
        most[i] = from->most[i] * own;
        bottom[i] = from->low[i] * own + flow.low[at];
        top[i] = from->high[i] * own + flow.high[at];
        if (spikes[i]) bottom[i] = greater(bottom[i], layer->perhaps);
        else top[i] = lesser(top[i], layer->surely);
        lower[i] = greater(flow.lower[at], bottom[i] + least[i] * drop);
        upper[i] = lesser(flow.upper[at], top[i] + most[i] * drop);
        if (!(bottom[i] <= top[i])) return 0;
    }
    REAL p = strip.lower[t * pairs + pair], q = strip.upper[t * pairs + pair];
    REAL a = lower[0], b = upper[0], c = lower[1], e = upper[1];
    lower[0] = greater(a, c + p);
    lower[1] = greater(c, a - q);
    upper[0] = lesser(b, e + q);
    upper[1] = lesser(e, b - p);
    for (int i = 0; i < 2; i++) {
        REAL spike = (REAL)spikes[i];
        if (!(lower[i] <= upper[i])) return 0;
        least[i] += spike;
        most[i] += spike;
        to->low[i] = greater(lower[i] - most[i] * drop, bottom[i] - spike * drop);
        to->high[i] = lesser(upper[i] - least[i] * drop, top[i] - spike * drop);
        to->least[i] = greater(least[i], (lower[i] - to->high[i]) / drop);
        to->most[i] = lesser(most[i], (upper[i] - to->low[i]) / drop);
        if (!(to->low[i] <= to->high[i]) || !(to->least[i] <= to->most[i])) return 0;
    }
    to->ahead = from->ahead + (REAL)(spikes[0] - spikes[1]);
    return 1;
}

INLINE void widen_pair(PairCell *hull, const PairCell *cell) {
    for (int i = 0; i < 2; i++) {
        hull->least[i] = lesser(hull->least[i], cell->least[i]);
        hull->most[i] = greater(hull->most[i], cell->most[i]);
        hull->low[i] = lesser(hull->low[i], cell->low[i]);
        hull->high[i] = greater(hull->high[i], cell->high[i]);
    }
    hull->ahead = lesser(hull->ahead, cell->ahead);
}

static long merge_pairs(PairCell *found, long n, long side, PairCell *cells, long *filled) {
    long most = side * side, count = 0;
    if (n <= most) {
        memcpy(cells, found, (size_t)n * sizeof(PairCell));
        return n;
    }
    REAL first[2], width[2];
    for (int i = 0; i < 2; i++) {
        REAL last = -INFINITE;
        first[i] = INFINITE;
        for (long k = 0; k < n; k++) {
            REAL middle = (found[k].least[i] + found[k].most[i]) * (REAL)0.5;
            first[i] = lesser(first[i], middle);
            last = greater(last, middle);
        }
        width[i] = width_of(first[i], last, side);
    }
    for (long b = 0; b < most; b++) filled[b] = -1;
    for (long k = 0; k < n; k++) {
        long b = 0;
        for (int i = 0; i < 2; i++)
            b = b * side + bin_of((found[k].least[i] + found[k].most[i]) * (REAL)0.5, first[i], width[i], side);
        if (filled[b] < 0) filled[b] = k;
        else widen_pair(found + filled[b], found + k);
    }
    for (long b = 0; b < most; b++)
        if (filled[b] >= 0) cells[count++] = found[filled[b]];
    return count;
}

static REAL least_difference(const Layer *layer, Flow flow, Strip strip, long pair, long side, PairCell *cells,
                             PairCell *found, long *bins) {
    static const int spikes[4][2] = {{0, 0}, {0, 1}, {1, 0}, {1, 1}};
    long count = 1;
    memset(cells, 0, sizeof(PairCell));
    for (long t = 0; t < layer->steps; t++) {
        long n = 0;
        for (int i = 0; i < 4; i++)
            for (long k = 0; k < count; k++)
                n += pair_step(layer, flow, strip, t, pair, spikes[i], cells + k, found + n);
        count = merge_pairs(found, n, side, cells, bins);
    }
    REAL least = INFINITE;
    for (long k = 0; k < count; k++) least = lesser(least, cells[k].ahead);
    return least;
}

/* The least N_y - N_k of each pair: the layer's size is twice their number, first all y, then all k.
   Returns 0, or 1 where there is no memory. */
int least_differences(const Layer *layer, const Flow *flow, const Strip *strip, long side, REAL *out) {
    long most = side * side, pairs = layer->size / 2;
    PairCell *memory = malloc((size_t)(layer->threads * 5 * most) * sizeof(PairCell));
    long *bins = malloc((size_t)(layer->threads * most) * sizeof(long));
    int failed = !memory || !bins;
    if (!failed) {
#pragma omp parallel for num_threads(layer->threads) schedule(static) if (layer->threads > 1)
        for (int p = 0; p < layer->threads; p++) {
            PairCell *cells = memory + p * 5 * most;
            for (long j = pairs * p / layer->threads; j < pairs * (p + 1) / layer->threads; j++)
                out[j] = least_difference(layer, *flow, *strip, j, side, cells, cells + most, bins + p * most);
        }
    }
    free(memory);
    free(bins);
    return failed;
}
