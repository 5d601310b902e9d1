/* The recursion of training/bounds/spike_ends.py: two runs of a neuron that subtracts, each paying for the other's spikes;
   part of membrane.c.

   A step has four potentials: a0, a1 of the two runs, and b0, b1 behind the ends of the residue. The ends of v are
   max(a0, b0) and min(a1, b1). For training, as ends.c is. */

#define COUPLED (layer->steps * 4 * LANES) /* numbers that one block's potentials take */

static void coupled_block(const Layer *layer, Input in, long start, long n, REAL *potentials, REAL *spikes) {
    REAL decay = (REAL)layer->decay, threshold = (REAL)layer->threshold, drop = (REAL)layer->drop;
    REAL own0[LANES], own1[LANES], left0[LANES], left1[LANES];
    int fires = layer->fires;
    for (long j = 0; j < n; j++) own0[j] = own1[j] = left0[j] = left1[j] = 0;
    for (long t = 0; t < layer->steps; t++) {
        const REAL *below = end_row(layer, in, t, 0, start), *above = end_row(layer, in, t, 1, start);
        REAL *v_row = potentials ? potentials + t * 4 * LANES : 0;
        REAL *s_row = spikes ? spikes + t * layer->size + start : 0;
        for (long j = 0; j < n; j++) {
            REAL a0 = MULTIPLY_ADD(own0[j], decay, below[j]), a1 = MULTIPLY_ADD(own1[j], decay, above[j]);
            REAL b0 = MULTIPLY_ADD(left0[j], decay, below[j]), b1 = MULTIPLY_ADD(left1[j], decay, above[j]);
            REAL v0 = a0 > b0 ? a0 : b0, v1 = a1 < b1 ? a1 : b1;
            REAL s0 = fire(v0, threshold, fires), s1 = fire(v1, threshold, fires);
            REAL silent = v0 < threshold - drop ? v0 : threshold - drop, fired = v1 - drop > threshold ? v1 - drop : threshold;
            own0[j] = a0 - drop * s1;
            own1[j] = a1 - drop * s0;
            left0[j] = s0 < s1 ? silent : v0 - drop * s0;
            left1[j] = s0 < s1 ? fired : v1 - drop * s1;
            if (v_row) v_row[j] = a0, v_row[LANES + j] = a1, v_row[2 * LANES + j] = b0, v_row[3 * LANES + j] = b1;
            if (s_row) s_row[j] = s0, s_row[layer->steps * layer->size + j] = s1;
        }
    }
}

/* The share of max(a, b)'s gradient that goes to a: half of it where they are equal, as torch has it. */
INLINE REAL share_of(REAL a, REAL b) { return a > b ? 1 : a < b ? 0 : (REAL)0.5; }

/* One step of the reverse recursion; `next` holds λ times the gradients of both runs and of both residues. */
INLINE void coupled_back_row(const Layer *layer, long n, const REAL *v_row, const REAL *direct0, const REAL *direct1,
                             REAL *next, REAL *into0, REAL *into1, int surrogate) {
    REAL decay = (REAL)layer->decay, threshold = (REAL)layer->threshold, drop = (REAL)layer->drop;
    REAL width = (REAL)layer->width, inverse = 1 / width;
    for (long j = 0; j < n; j++) {
        REAL a0 = v_row[j], a1 = v_row[LANES + j], b0 = v_row[2 * LANES + j], b1 = v_row[3 * LANES + j];
        REAL A0 = next[j], A1 = next[LANES + j], R0 = next[2 * LANES + j], R1 = next[3 * LANES + j];
        REAL v0 = a0 > b0 ? a0 : b0, v1 = a1 < b1 ? a1 : b1;
        REAL s0 = fire(v0, threshold, layer->fires), s1 = fire(v1, threshold, layer->fires);
        REAL onto0 = direct0[j] - drop * A1, onto1 = direct1[j] - drop * A0; /* gradients of the spikes */
        onto0 = s0 < s1 ? onto0 : onto0 - drop * R0;
        onto1 = s0 < s1 ? onto1 : onto1 - drop * R1;
        REAL g0 = s0 < s1 && v0 > threshold - drop ? 0 : R0, g1 = s0 < s1 && v1 - drop < threshold ? 0 : R1;
        g0 = MULTIPLY_ADD(slope(v0 - threshold, width, inverse, surrogate), onto0, g0);
        g1 = MULTIPLY_ADD(slope(v1 - threshold, width, inverse, surrogate), onto1, g1);
        REAL part0 = share_of(a0, b0) * g0, part1 = share_of(b1, a1) * g1;
        next[j] = decay * (A0 + part0);
        next[LANES + j] = decay * (A1 + part1);
        next[2 * LANES + j] = decay * (g0 - part0);
        next[3 * LANES + j] = decay * (g1 - part1);
        into0[j] = A0 + g0;
        into1[j] = A1 + g1;
    }
}

INLINE void coupled_back_block(const Layer *layer, Input in, const REAL *grad_spikes, REAL *grad_current, long start,
                               long n, REAL *potentials, int surrogate) {
    REAL next[4 * LANES], into[2][LANES];
    long half = layer->steps * layer->size;
    coupled_block(layer, in, start, n, potentials, 0);
    for (long j = 0; j < 4 * LANES; j++) next[j] = 0;
    for (long t = layer->steps - 1; t >= 0; t--) {
        const REAL *direct = grad_spikes + t * layer->size + start;
        int first = layer->current_stride || t == layer->steps - 1;
        coupled_back_row(layer, n, potentials + t * 4 * LANES, direct, direct + half, next, into[0], into[1], surrogate);
        for (int end = 0; end < 2; end++) {
            REAL *out = grad_current + (end_row(layer, in, t, end, start) - in.current);
            for (long j = 0; j < n; j++) out[j] = first ? into[end][j] : out[j] + into[end][j];
        }
    }
}

/* current: (2, T or 1, size); spikes: (2, T, size). */
void coupled_forward(const Layer *layer, const REAL *current, REAL *spikes) {
    Input in = {current, 0, 0};
#pragma omp parallel for num_threads(layer->threads) schedule(static) if (layer->threads > 1)
    for (int p = 0; p < layer->threads; p++)
        for (long start = part_start(layer, p), end = part_start(layer, p + 1); start < end; start += LANES)
            coupled_block(layer, in, start, least(LANES, end - start), 0, spikes);
}

int coupled_backward(const Layer *layer, const REAL *current, const REAL *grad_spikes, REAL *grad_current) {
    Input in = {current, 0, 0};
    REAL *memory = malloc((size_t)(layer->threads * COUPLED) * sizeof(REAL));
    if (!memory) return 1;
#pragma omp parallel for num_threads(layer->threads) schedule(static) if (layer->threads > 1)
    for (int p = 0; p < layer->threads; p++)
        for (long start = part_start(layer, p), end = part_start(layer, p + 1); start < end; start += LANES) {
            long n = least(LANES, end - start);
            REAL *own = memory + p * COUPLED;
            if (layer->surrogate == TRIANGLE) coupled_back_block(layer, in, grad_spikes, grad_current, start, n, own, TRIANGLE);
            else coupled_back_block(layer, in, grad_spikes, grad_current, start, n, own, ARCTAN);
        }
    free(memory);
    return 0;
}
