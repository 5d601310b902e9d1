/* The recursion of training/bounds/spike_ends.py on both ends of a box of currents, in one pass; part of membrane.c.

   Currents, potentials and spikes of lower and upper end lie in two halves, one after the other. Where only the upper
   end fires the spike is open, and the reset joins the silent and the fired case. For training: not bitwise that of
   torch's operations, and no bound is proved with it. */

INLINE long rows_of(const Layer *layer) { return layer->current_stride ? layer->steps : 1; }

/* Which end of the current drives which end of the potential: a negative factor swaps them. */
INLINE const REAL *end_row(const Layer *layer, Input in, long t, int end, long start) {
    int upper = in.scale && in.scale[t] < 0 ? 1 - end : end;
    return in.current + (upper ? rows_of(layer) * layer->size : 0) + t * layer->current_stride + start;
}

INLINE void ends_block(const Layer *layer, Input in, long start, long n, REAL *found, int spikes, int reset) {
    REAL level = level_of(layer), decay = (REAL)layer->decay, threshold = (REAL)layer->threshold, drop = (REAL)layer->drop;
    REAL low[BLOCK], high[BLOCK], highest_silent = reset == ZERO ? 0 : threshold - drop;
    for (long j = 0; j < n; j++) low[j] = high[j] = 0;
    for (long t = 0; t < layer->steps; t++) {
        const REAL *below = end_row(layer, in, t, 0, start), *above = end_row(layer, in, t, 1, start);
        REAL scale = in.scale ? in.scale[t] : 1;
        REAL *row = spikes ? found + t * layer->size + start : found + t * 2 * BLOCK;
        long other = spikes ? layer->steps * layer->size : BLOCK; /* from the lower end's numbers to the upper one's */
        OVER(j, n) {
            REAL v0 = MULTIPLY_ADD(low[j], decay, below[j] * scale), v1 = MULTIPLY_ADD(high[j], decay, above[j] * scale);
            REAL s0 = (REAL)(v0 >= level), s1 = (REAL)(v1 >= level);
            REAL u0 = after_reset(v0, s0, drop, reset), u1 = after_reset(v1, s1, drop, reset);
            if (reset != NONE) {
                REAL joined = reset == ZERO || v1 - drop < threshold ? threshold : v1 - drop;
                u0 = s0 < s1 ? (v0 < highest_silent ? v0 : highest_silent) : u0;
                u1 = s0 < s1 ? joined : u1;
            }
            low[j] = u0;
            high[j] = u1;
            row[j] = spikes ? s0 : v0, row[other + j] = spikes ? s1 : v1;
        }
    }
}

/* One step of the reverse recursion; `next` holds λ·q[t+1] of both ends, and q[t] comes back in its place. */
INLINE void ends_back_row(const Layer *layer, long n, const REAL *v_row, const REAL *direct0, const REAL *direct1,
                          REAL *next0, REAL *next1, int reset, int surrogate) {
    REAL threshold = (REAL)layer->threshold, drop = (REAL)layer->drop, width = (REAL)layer->width;
    REAL level = level_of(layer), inverse = 1 / width, highest_silent = reset == ZERO ? 0 : threshold - drop;
    OVER(j, n) {
        REAL v0 = v_row[j], v1 = v_row[BLOCK + j], f0 = next0[j], f1 = next1[j], into0 = direct0[j], into1 = direct1[j];
        REAL s0 = (REAL)(v0 >= level), s1 = (REAL)(v1 >= level);
        REAL h0 = slope(v0 - threshold, width, inverse, surrogate), h1 = slope(v1 - threshold, width, inverse, surrogate);
        REAL kept0 = f0, kept1 = f1;
        if (reset != NONE) {
            REAL through0 = reset == ZERO ? v0 : drop, through1 = reset == ZERO ? v1 : drop;
            REAL silent0 = reset == ZERO ? (1 - s0) * f0 : f0, silent1 = reset == ZERO ? (1 - s1) * f1 : f1;
            REAL open1 = reset == ZERO || v1 - drop < threshold ? 0 : f1;
            into0 = s0 < s1 ? into0 : into0 - through0 * f0;
            into1 = s0 < s1 ? into1 : into1 - through1 * f1;
            kept0 = s0 < s1 ? (v0 <= highest_silent ? f0 : 0) : silent0;
            kept1 = s0 < s1 ? open1 : silent1;
        }
        next0[j] = MULTIPLY_ADD(h0, into0, kept0);
        next1[j] = MULTIPLY_ADD(h1, into1, kept1);
    }
}

INLINE void ends_back_block(const Call *call, const Item *item, const REAL *potentials, int reset, int surrogate) {
    const Layer *layer = call->layer;
    long start = item->start, n = item->n;
    Input in = call->in;
    REAL decay = (REAL)layer->decay, adjoint[2][BLOCK], *sums = item->room;
    long half = layer->steps * layer->size;
    for (long j = 0; j < n; j++) adjoint[0][j] = adjoint[1][j] = 0;
    for (long t = layer->steps - 1; t >= 0; t--) {
        const REAL *direct = call->grad.spikes + t * layer->size + start;
        REAL scale = in.scale ? in.scale[t] : 1;
        int first = layer->current_stride || t == layer->steps - 1;
        ends_back_row(layer, n, potentials + t * 2 * BLOCK, direct, direct + half, adjoint[0], adjoint[1], reset,
                      surrogate);
        for (int end = 0; end < 2; end++) {
            const REAL *current = end_row(layer, in, t, end, start);
            REAL *q = adjoint[end], *out = call->grad.current + (current - in.current);
            for (long j = 0; j < n; j++) out[j] = first ? scale * q[j] : MULTIPLY_ADD(scale, q[j], out[j]);
            for (long j = 0; in.scale && j < n; j++) sums[t] += q[j] * current[j];
            for (long j = 0; j < n; j++) q[j] *= decay;
        }
    }
}

static void ends_forward_block(const Call *call, const Item *item) {
    const Layer *layer = call->layer;
#define CALL(RESET) ends_block(layer, call->in, item->start, item->n, call->asked.spikes, 1, RESET)
    RESETS(CALL);
#undef CALL
}

static void ends_backward_block(const Call *call, const Item *item) {
    const Layer *layer = call->layer;
    REAL *potentials = potentials_of(call, item);
#define CALL(RESET) ends_block(layer, call->in, item->start, item->n, potentials, 0, RESET)
    RESETS(CALL);
#undef CALL
#define CALL(RESET) \
    if (layer->surrogate == TRIANGLE) ends_back_block(call, item, potentials, RESET, TRIANGLE); \
    else ends_back_block(call, item, potentials, RESET, ARCTAN)
    RESETS(CALL);
#undef CALL
}

/* current: (2, T or 1, size); spikes: (2, T, size). */
void ends_forward(const Layer *layer, const REAL *current, const REAL *scale, REAL *spikes) {
    Input in = {current, scale, 0};
    run_blocks(&(Call){.layer = layer, .in = in, .asked = {.spikes = spikes}, .block = ends_forward_block}, BLOCK, 0, 0);
}

int ends_backward(const Layer *layer, const REAL *current, const REAL *scale, const REAL *grad_spikes,
                  REAL *grad_current, REAL *grad_scale) {
    Gradients grad = {.spikes = grad_spikes, .current = grad_current};
    Call call = {.layer = layer, .in = {current, scale, 0}, .grad = grad, .block = ends_backward_block, .per = 1};
    return run_blocks(&call, BLOCK, layer->steps * 2 * BLOCK, grad_scale);
}
