/* What one way of computing provides: the same functions in plain C, with AVX2, with GFNI and AVX-512, and with NEON.
 *
 * A *block* is 64 bytes: the low bytes of 32 labels, then their high bytes, as symbols spell them. A *row* is some blocks
 * of one symbol of several codewords; a *work area* is consecutive rows, one for each point of a transform.
 */
#ifndef P2PNODE_PATH_H
#define P2PNODE_PATH_H

#include <stddef.h>
#include <stdint.h>

#include "field.h"

#define BLOCK_BYTES 64
#define HALF_BYTES 32
#define HASH_BYTES 32

/* Twiddle factors are labels `point >> layer` of points below 2048, all even: this many are enough for 1000 shards. */
#define TWIDDLES 1024

/* Where one run of bytes of a row stands in a symbol. A run is whole blocks; or, when `half` is not zero, the tail of a
 * symbol: `half` low bytes and `half` high bytes, at the same place of the two halves of a block. */
struct run {
    uint32_t word;   /* of which codeword */
    uint32_t offset; /* byte in its symbol */
    uint32_t at;     /* byte in the row */
    uint32_t bytes;
    uint32_t half;
};

struct path {
    void (*make_factor)(struct factor *factor, uint16_t label);
    struct factor *twiddles;

    /* Between symbols and a row. The symbol of codeword w begins at base + w * stride. */
    void (*load)(uint8_t *row, const uint8_t *base, size_t stride, const struct run *runs, size_t count);
    void (*store)(const uint8_t *row, uint8_t *base, size_t stride, const struct run *runs, size_t count);

    /* Transforms of 2^layers rows, in place: values at points from `offset` on become coefficients, and back. Rows from
     * `used` on are zero before the inverse one, and not wanted after the other. */
    void (*inverse)(uint8_t *work, size_t row_bytes, uint32_t layers, uint32_t offset, uint32_t used);
    void (*forward)(uint8_t *work, size_t row_bytes, uint32_t layers, uint32_t offset, uint32_t used);

    void (*add)(uint8_t *row, const uint8_t *other, size_t bytes);
    void (*scale)(uint8_t *row, size_t bytes, const struct factor *factor);

    /* H(0x00 || message) of messages of one length, and H(0x01 || left || right). The digests are written one after the
     * other; those of the second kind may overwrite nodes that only earlier ones or the same ones have read. */
    void (*hash_leaves)(const uint8_t *const *messages, size_t count, size_t length, uint8_t *digests);
    void (*hash_nodes)(const uint8_t *const *lefts, const uint8_t *const *rights, size_t count, uint8_t *digests);
};

extern const struct path path_scalar;
#if defined(__x86_64__)
extern const struct path path_avx2;
extern const struct path path_avx512;
#endif
#if defined(__aarch64__) && defined(__ARM_NEON) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define HAS_PATH_NEON 1
extern const struct path path_neon;
#endif

#endif
