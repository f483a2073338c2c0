/* The path in plain C, for any processor. */
#include <string.h>

#include "path.h"

#define TARGET

static struct factor twiddles[TWIDDLES];

/* A quarter of a block. The compiler makes of it whatever vectors every processor of this kind has. */
typedef uint8_t quarter __attribute__((vector_size(HALF_BYTES / 2)));

/* a += b * f, bit by bit: no table and no branch. Twice as fast as looking nibbles up one by one. */
static void add_product(uint8_t *a, const uint8_t *b, size_t bytes, const struct factor *f)
{
    const quarter zero = {0};
    quarter products[2 * LABEL_BITS];
    for (int index = 0; index < 2 * LABEL_BITS; index++)
        products[index] = zero + f->bytes[index];
    for (size_t at = 0; at < bytes; at += BLOCK_BYTES) {
        for (size_t part = at; part < at + HALF_BYTES; part += sizeof(quarter)) {
            quarter low, high, sources[2];
            memcpy(&low, a + part, sizeof low);
            memcpy(&high, a + part + HALF_BYTES, sizeof high);
            memcpy(&sources[0], b + part, sizeof(quarter));
            memcpy(&sources[1], b + part + HALF_BYTES, sizeof(quarter));
            for (int bit = 0; bit < LABEL_BITS; bit++) {
                const quarter skipped = (quarter)((sources[bit / 8] & (uint8_t)(1 << bit % 8)) == zero);
                low ^= ~skipped & products[bit];
                high ^= ~skipped & products[LABEL_BITS + bit];
            }
            memcpy(a + part, &low, sizeof low);
            memcpy(a + part + HALF_BYTES, &high, sizeof high);
        }
    }
}

static void add_row(uint8_t *row, const uint8_t *other, size_t bytes)
{
    for (size_t at = 0; at < bytes; at++)
        row[at] ^= other[at];
}

static void inverse_pair(uint8_t *a, uint8_t *b, size_t bytes, const struct factor *f)
{
    add_row(b, a, bytes);
    if (f)
        add_product(a, b, bytes, f);
}

static void forward_pair(uint8_t *a, uint8_t *b, size_t bytes, const struct factor *f)
{
    if (f)
        add_product(a, b, bytes, f);
    add_row(b, a, bytes);
}

static void inverse_quad(uint8_t *row, size_t step, size_t bytes, const struct factor *f, const struct factor *g,
                         const struct factor *h)
{
    inverse_pair(row, row + step, bytes, f);
    inverse_pair(row + 2 * step, row + 3 * step, bytes, g);
    inverse_pair(row, row + 2 * step, bytes, h);
    inverse_pair(row + step, row + 3 * step, bytes, h);
}

static void forward_quad(uint8_t *row, size_t step, size_t bytes, const struct factor *f, const struct factor *g,
                         const struct factor *h)
{
    forward_pair(row, row + 2 * step, bytes, h);
    forward_pair(row + step, row + 3 * step, bytes, h);
    forward_pair(row, row + step, bytes, f);
    forward_pair(row + 2 * step, row + 3 * step, bytes, g);
}

static void scale_row(uint8_t *row, size_t bytes, const struct factor *factor)
{
    for (size_t at = 0; at < bytes; at += BLOCK_BYTES) {
        uint8_t product[BLOCK_BYTES] = {0};
        add_product(product, row + at, BLOCK_BYTES, factor);
        memcpy(row + at, product, BLOCK_BYTES);
    }
}

static void copy_half(uint8_t *target, const uint8_t *source, size_t bytes) { memcpy(target, source, bytes); }
static void copy_blocks(uint8_t *target, const uint8_t *source, size_t bytes) { memcpy(target, source, bytes); }

#include "transform.inc"

#include "words.inc"
#include "blake2b.inc"

#define NAME path_scalar
#define MAKE_FACTOR factor_as_products
#include "table.inc"
