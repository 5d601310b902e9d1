/* What the prices of the search's nodes prove: the bound of certify/bounds/prices/prices.py, node by node, in double, and
   which rows of the first layer's table a counterexample still needs (certify/branching/nodes/decisions.py).

   The same sums as torch's, in another order. The error that is paid there, (200·T² + 8·terms)·u of all moduli, holds in
   any order; here the moduli of the products with W are counted one by one, which is no less. What is no number, or
   comes near an overflow, proves nothing: −∞. */

#define GATHER_ONLY /* of climb.c */
#include "climb.c"

#define MOST_SIZE 1e290 /* the greatest sum of moduli of which anything is said */

typedef struct {
    double error, level;   /* of a sum of moduli of 1; parts above this are proven */
    long *lowest, *highest; /* rows of each neuron that are still needed, (S, n) */
} Proof;

static double modulus(const REAL *numbers, long count) {
    double sum = 0;
    for (long k = 0; k < count; k++) sum += fabs((double)numbers[k]);
    return sum;
}

/* How large a potential or a current can be that a later layer's neuron has, in prices that count λ^{−(T−1)} times. */
static double reach_of(const Layer *layer, const Later *later, long k, long T) {
    double widest = 0;
    for (long t = 0; t < T; t++) {
        double low = fabs((double)layer->lower[t * layer->columns + k]), high = fabs((double)layer->upper[t * layer->columns + k]);
        widest = greater(widest, greater(low, high));
    }
    double span = greater(fabs(later->neuron.threshold), fabs(later->neuron.drop));
    return (widest + span) * (double)T / pow(later->slope_decay, (double)(T - 1));
}

static double later_size(const Layer *layer, const Later *later, long T) {
    double total = 0;
    for (long k = 0; k < layer->count; k++) {
        double price = 0, charged = 0, slack = 0;
        for (long t = 0; t < T; t++) {
            double each = fabs((double)layer->prices[t * layer->columns + k]);
            price += each, charged += each * fabs(later->scale[t]);
            slack += each * (double)layer->slack[t * layer->columns + k];
        }
        double sums = modulus(later->weights + layer->open[k] * later->sources, later->sources);
        sums += fabs((double)later->bias[layer->open[k]]);
        total += price * reach_of(layer, later, k, T) + charged * sums + slack;
    }
    return total;
}

static double first_size(const Layer *layer, const Table *table, long b) {
    double total = 0;
    for (long k = 0; k < layer->count; k++) {
        long neuron = layer->open[k], at = b * table->neurons + neuron;
        double sums = fabs((double)table->bias[neuron]) + table->slack[at];
        sums += greater(fabs(table->lower[at]), fabs(table->upper[at]));
        for (long x = 0; x < table->inputs; x++) {
            long place = b * table->inputs + x;
            double reach = greater(1, greater(fabs(table->box_low[place]), fabs(table->box_high[place])));
            if (table->center) reach = greater(reach, fabs(table->center[place]) + table->radius[b]);
            sums += fabs((double)table->weights[neuron * table->inputs + x]) * reach;
        }
        total += fabs((double)layer->prices[k]) * sums;
    }
    return total;
}

/* The sum of all moduli that make the bound. */
static double size_of(const Node *node, const Climb *climb, const Table *table, const Later *later, const Nodes *nodes, long s) {
    long T = node->steps, n = node->layers[climb->later].neurons;
    double total = fabs(nodes->constant[s]) + first_size(node->layers, table, nodes->sample[s]);
    for (long t = 0; t < T; t++) total += modulus(nodes->costs + (t * climb->nodes + s) * n, n);
    for (long l = 0; l <= climb->later; l++) {
        total += modulus(node->layers[l].costs, T * node->layers[l].columns);
        if (l) total += later_size(node->layers + l, later + l - 1, T);
    }
    return total;
}

/* Of a neuron's rows the first and the last one that are not proven, where there are any. */
static void trim(const Layer *layer, const Table *table, long k, long T, double bound, const Proof *proof, long s) {
    long C = layer->columns, at = s * table->neurons + layer->open[k], lowest = -1, highest = -1;
    double price = layer->prices[k], least = INFINITY;
    for (int turn = 0; turn < 2; turn++)
        for (long r = layer->least_row; r <= layer->most_row; r++) {
            if (layer->barred[r * C + k] != 0) continue;
            double value = -price * (price > 0 ? layer->row_high[r * C + k] : layer->row_low[r * C + k]);
            for (long t = 0; t < T; t++)
                if (table->trains[r * T + t] != 0) value += layer->costs[t * C + k];
            if (!turn) least = value < least ? value : least;
            else if (!(bound - least + value > 2 * proof->level)) lowest = lowest < 0 ? r : lowest, highest = r;
        }
    if (lowest >= 0) proof->lowest[at] = lowest, proof->highest[at] = highest;
}

static void prove_node(const Search *search, Node *node, long s) {
    const Climb *climb = search->climb;
    const Table *table = search->table;
    const Later *later = search->later;
    const Nodes *nodes = search->nodes;
    const Proof *proof = search->more;
    gather_node(node, climb, table, later, nodes, s);
    double bound = evaluate(node, climb, table, later, nodes->sample[s]);
    double total = size_of(node, climb, table, later, nodes, s);
    bound -= proof->error * (total + fabs(bound));
    nodes->best[s] = bound = total <= MOST_SIZE && isfinite(bound) ? bound : -INFINITY;
    for (long i = 0; i < table->neurons; i++)
        proof->lowest[s * table->neurons + i] = 0, proof->highest[s * table->neurons + i] = table->rows - 1;
    if (isfinite(bound))
        for (long k = 0; k < node->layers->count; k++) trim(node->layers, table, k, node->steps, bound, proof, s);
}

/* Returns whether memory failed. */
int prove_nodes(const Climb *climb, const Table *table, const Later *later, const Nodes *nodes, const Proof *proof) {
    return visit_nodes((Search){climb, table, later, nodes, prove_node, proof});
}
