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

#define LANES 1
typedef uint64_t word;

static inline word word_of(uint64_t x) { return x; }
static inline word word_add(word x, word y) { return x + y; }
static inline word word_xor(word x, word y) { return x ^ y; }
static inline word word_turn_32(word x) { return x >> 32 | x << 32; }
static inline word word_turn_24(word x) { return x >> 24 | x << 40; }
static inline word word_turn_16(word x) { return x >> 16 | x << 48; }
static inline word word_turn_63(word x) { return x >> 63 | x << 1; }

static inline uint64_t little_endian(uint64_t x)
{
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    return __builtin_bswap64(x);
#else
    return x;
#endif
}

static inline void load_words(word *m, const uint8_t *from, size_t bytes)
{
    memcpy(m, from, bytes);
    for (size_t i = 0; i < bytes / 8; i++)
        m[i] = little_endian(m[i]);
}

/* Byte o of the prefixed message is byte o - 1 of the message. */
static inline void load_message(word m[16], const uint8_t *const lanes[LANES], uint64_t offset, uint64_t total)
{
    if (offset > 0 && offset + 128 <= total) {
        load_words(m, lanes[0] + offset - 1, 128);
        return;
    }
    uint8_t padded[128] = {0};
    const size_t prefix = offset == 0, rest = total - offset < 128 ? total - offset : 128;
    memcpy(padded + prefix, lanes[0] + offset + prefix - 1, rest - prefix);
    load_words(m, padded, 128);
}

static inline void load_nodes(word m[9], const uint8_t *const lefts[LANES], const uint8_t *const rights[LANES])
{
    uint8_t padded[72] = {1};
    memcpy(padded + 1, lefts[0], HASH_BYTES);
    memcpy(padded + 1 + HASH_BYTES, rights[0], HASH_BYTES);
    load_words(m, padded, 72);
}

static inline void store_digests(uint8_t *const outputs[LANES], const word h[4])
{
    for (int i = 0; i < 4; i++) {
        const uint64_t x = little_endian(h[i]);
        memcpy(outputs[0] + 8 * i, &x, 8);
    }
}

#include "blake2b.inc"

#define NAME path_scalar
#define MAKE_FACTOR factor_as_products
#include "table.inc"
