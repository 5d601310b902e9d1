/* The recursion of training/bounds/spike_ends.py: two runs of a neuron that subtracts, each paying for the other's spikes;
   part of membrane.c.

   A step has four potentials: a0, a1 of the two runs, and b0, b1 behind the ends of the residue. The ends of v are
   max(a0, b0) and min(a1, b1). For training, as ends.c is. */

INLINE void coupled_block(const Layer *layer, Input in, long start, long n, REAL *found, int spikes) {
    REAL level = level_of(layer), decay = (REAL)layer->decay, threshold = (REAL)layer->threshold, drop = (REAL)layer->drop;
    REAL own0[BLOCK], own1[BLOCK], left0[BLOCK], left1[BLOCK];
    for (long j = 0; j < n; j++) own0[j] = own1[j] = left0[j] = left1[j] = 0;
    for (long t = 0; t < layer->steps; t++) {
        const REAL *below = end_row(layer, in, t, 0, start), *above = end_row(layer, in, t, 1, start);
        REAL *row = spikes ? found + t * layer->size + start : found + t * 4 * BLOCK;
        long half = layer->steps * layer->size;
        OVER(j, n) {
            REAL a0 = MULTIPLY_ADD(own0[j], decay, below[j]), a1 = MULTIPLY_ADD(own1[j], decay, above[j]);
            REAL b0 = MULTIPLY_ADD(left0[j], decay, below[j]), b1 = MULTIPLY_ADD(left1[j], decay, above[j]);
            REAL v0 = a0 > b0 ? a0 : b0, v1 = a1 < b1 ? a1 : b1;
            REAL s0 = (REAL)(v0 >= level), s1 = (REAL)(v1 >= level);
            REAL silent = v0 < threshold - drop ? v0 : threshold - drop, fired = v1 - drop > threshold ? v1 - drop : threshold;
            own0[j] = a0 - drop * s1;
            own1[j] = a1 - drop * s0;
            left0[j] = s0 < s1 ? silent : v0 - drop * s0;
            left1[j] = s0 < s1 ? fired : v1 - drop * s1;
            if (spikes) row[j] = s0, row[half + j] = s1;
            else row[j] = a0, row[BLOCK + j] = a1, row[2 * BLOCK + j] = b0, row[3 * BLOCK + j] = b1;
        }
    }
}

/* The share of max(a, b)'s gradient that goes to a: half of it where they are equal, as torch has it. */
INLINE REAL share_of(REAL a, REAL b) { return a > b ? 1 : a < b ? 0 : (REAL)0.5; }

/* One step of the reverse recursion; `next` holds λ times the gradients of both runs and of both residues. */
INLINE void coupled_back_row(const Layer *layer, long n, const REAL *v_row, const REAL *direct0, const REAL *direct1,
                             REAL *next, REAL *into0, REAL *into1, int surrogate) {
    REAL decay = (REAL)layer->decay, threshold = (REAL)layer->threshold, drop = (REAL)layer->drop;
    REAL level = level_of(layer), width = (REAL)layer->width, inverse = 1 / width;
    OVER(j, n) {
        REAL a0 = v_row[j], a1 = v_row[BLOCK + j], b0 = v_row[2 * BLOCK + j], b1 = v_row[3 * BLOCK + j];
        REAL A0 = next[j], A1 = next[BLOCK + j], R0 = next[2 * BLOCK + j], R1 = next[3 * BLOCK + j];
        REAL v0 = a0 > b0 ? a0 : b0, v1 = a1 < b1 ? a1 : b1;
        REAL s0 = (REAL)(v0 >= level), s1 = (REAL)(v1 >= level);
        REAL onto0 = direct0[j] - drop * A1, onto1 = direct1[j] - drop * A0; /* gradients of the spikes */
        onto0 = s0 < s1 ? onto0 : onto0 - drop * R0;
        onto1 = s0 < s1 ? onto1 : onto1 - drop * R1;
        REAL g0 = s0 < s1 && v0 > threshold - drop ? 0 : R0, g1 = s0 < s1 && v1 - drop < threshold ? 0 : R1;
        g0 = MULTIPLY_ADD(slope(v0 - threshold, width, inverse, surrogate), onto0, g0);
        g1 = MULTIPLY_ADD(slope(v1 - threshold, width, inverse, surrogate), onto1, g1);
        REAL part0 = share_of(a0, b0) * g0, part1 = share_of(b1, a1) * g1;
        next[j] = decay * (A0 + part0);
        next[BLOCK + j] = decay * (A1 + part1);
        next[2 * BLOCK + j] = decay * (g0 - part0);
        next[3 * BLOCK + j] = decay * (g1 - part1);
        into0[j] = A0 + g0;
        into1[j] = A1 + g1;
    }
}

INLINE void coupled_back_block(const Call *call, const Item *item, int surrogate) {
    const Layer *layer = call->layer;
    Input in = call->in;
    long start = item->start, n = item->n;
    REAL *potentials = potentials_of(call, item);
    REAL next[4 * BLOCK], into[2][BLOCK];
    long half = layer->steps * layer->size;
    coupled_block(layer, in, start, n, potentials, 0);
    for (long j = 0; j < 4 * BLOCK; j++) next[j] = 0;
    for (long t = layer->steps - 1; t >= 0; t--) {
        const REAL *direct = call->grad.spikes + t * layer->size + start;
        int first = layer->current_stride || t == layer->steps - 1;
        coupled_back_row(layer, n, potentials + t * 4 * BLOCK, direct, direct + half, next, into[0], into[1], surrogate);
        for (int end = 0; end < 2; end++) {
            REAL *out = call->grad.current + (end_row(layer, in, t, end, start) - in.current);
            for (long j = 0; j < n; j++) out[j] = first ? into[end][j] : out[j] + into[end][j];
        }
    }
}

static void coupled_forward_block(const Call *call, const Item *item) {
    coupled_block(call->layer, call->in, item->start, item->n, call->asked.spikes, 1);
}

static void coupled_backward_block(const Call *call, const Item *item) {
    if (call->layer->surrogate == TRIANGLE) coupled_back_block(call, item, TRIANGLE);
    else coupled_back_block(call, item, ARCTAN);
}

/* current: (2, T or 1, size); spikes: (2, T, size). */
void coupled_forward(const Layer *layer, const REAL *current, REAL *spikes) {
    Input in = {current, 0, 0};
    run_blocks(&(Call){.layer = layer, .in = in, .asked = {.spikes = spikes}, .block = coupled_forward_block}, BLOCK, 0, 0);
}

int coupled_backward(const Layer *layer, const REAL *current, const REAL *grad_spikes, REAL *grad_current) {
    Gradients grad = {.spikes = grad_spikes, .current = grad_current};
    Call call = {.layer = layer, .in = {current, 0, 0}, .grad = grad, .block = coupled_backward_block};
    return run_blocks(&call, BLOCK, layer->steps * 4 * BLOCK, 0);
}
