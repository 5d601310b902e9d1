/* The product Gᵀ·X of a layer's gradients G, (rows, outputs), and a signal X, (rows, inputs), most of whose numbers are
   0, as spikes are: the gradient of the weights, (outputs, inputs). Work is done for numbers other than 0 alone. */

#include "shared.h"

#define ROWS 128    /* of G: a panel of them stays in the fastest cache */
#define COLUMNS 256 /* of X: what is listed of them stays in the next one */
#define PANEL (WIDE * (32 / (long)sizeof(REAL)))

typedef REAL Half __attribute__((vector_size(32)));

typedef struct {
    double share; /* of X that may be other than 0 */
    long rows, inputs, outputs;
    int threads;
} Shapes;

typedef struct {
    REAL value;
    int row;
} Entry;

typedef struct { /* of one thread; the sums, (columns, outputs rounded up to panels), come behind it */
    Entry entries[COLUMNS][ROWS];
    long counts[COLUMNS];
    unsigned char there[COLUMNS];
    Half panel[ROWS][WIDE], sums[];
} Scratch;

/* List, column by column, the numbers of a block of X that are not 0; return how many there are. */
static long list(Scratch *s, const REAL *signal, long stride, long rows, long columns) {
    long found = 0;
    memset(s->counts, 0, sizeof s->counts);
    memset(s->there, 0, sizeof s->there);
    for (long i = 0; i < rows; i++, signal += stride) {
        for (long j = 0; j < columns; j++) s->there[j] = signal[j] != 0;
        for (long start = 0; start < columns; start += 8) {
            uint64_t flags; /* one byte a column */
            memcpy(&flags, s->there + start, 8);
            for (; flags; flags &= flags - 1, found++) {
                long j = start + __builtin_ctzll(flags) / 8;
                s->entries[j][s->counts[j]++] = (Entry){signal[j], (int)i};
            }
        }
    }
    return found;
}

/* Copy a panel of G, and 0 where there are no more outputs. */
static void pack(Scratch *s, const REAL *grad, long stride, long rows, long outputs) {
    if (outputs < PANEL) memset(s->panel, 0, sizeof s->panel);
    for (long i = 0; i < rows; i++) memcpy(s->panel[i], grad + i * stride, (size_t)outputs * sizeof(REAL));
}

/* Add Σ x[i]·G[i] over the numbers that one column has. */
static void add(const Scratch *s, long column, Half *target) {
    Half sums[WIDE];
    memcpy(sums, target, sizeof sums);
    for (const Entry *e = s->entries[column], *end = e + s->counts[column]; e < end; e++)
        for (int k = 0; k < WIDE; k++) sums[k] += e->value * s->panel[e->row][k];
    memcpy(target, sums, sizeof sums);
}

/* Fill some columns of the product; return whether too much of X is other than 0. */
static int fill(const Shapes *shapes, Scratch *s, const REAL *grad, const REAL *signal, REAL *product, long columns) {
    long panels = blocks_of(shapes->outputs, PANEL), outputs = shapes->outputs, found = 0;
    double most = shapes->share * (double)(shapes->rows * columns);
    memset(s->sums, 0, (size_t)(columns * panels) * sizeof *s->panel);
    for (long row = 0; row < shapes->rows; row += ROWS) {
        long rows = least(ROWS, shapes->rows - row);
        found += list(s, signal + row * shapes->inputs, shapes->inputs, rows, columns);
        if ((double)found > most) return 1;
        for (long p = 0; p < panels; p++) {
            pack(s, grad + row * outputs + p * PANEL, outputs, rows, least(PANEL, outputs - p * PANEL));
            for (long j = 0; j < columns; j++) add(s, j, s->sums + (j * panels + p) * WIDE);
        }
    }
    const REAL *sums = (const REAL *)s->sums;
    for (long tile = 0; tile < columns; tile += 16)
        for (long o = 0; o < outputs; o++)
            for (long j = tile; j < least(columns, tile + 16); j++)
                product[o * shapes->inputs + j] = sums[j * panels * PANEL + o];
    return 0;
}

/* Products of tiles of columns; `left`: whether one is not filled. */
typedef struct {
    const Shapes *shapes;
    const REAL *grad, *signal;
    REAL *product;
    int *left;
} Tiles;

static int fill_tile(const Item *item) {
    const Tiles *tiles = item->given;
    if (__atomic_load_n(tiles->left, __ATOMIC_RELAXED)) return 1;
    const REAL *signal = tiles->signal + item->start;
    int left = fill(tiles->shapes, item->room, tiles->grad, signal, tiles->product + item->start, item->n);
    if (left) __atomic_store_n(tiles->left, 1, __ATOMIC_RELAXED);
    return left;
}

/* Fill the product, (outputs, inputs). Returns 0, or 1 where it is not filled: too much of X is other than 0, or there
   is no memory. */
int transposed_product(const Shapes *shapes, const REAL *grad, const REAL *signal, REAL *product) {
    long panels = blocks_of(shapes->outputs, PANEL), size = (long)sizeof(Scratch) + COLUMNS * panels * PANEL * (long)sizeof(REAL);
    int left = 0;
    Tiles tiles = {shapes, grad, signal, product, &left};
    return for_each(shapes->inputs, COLUMNS, shapes->threads, size, fill_tile, &tiles);
}
