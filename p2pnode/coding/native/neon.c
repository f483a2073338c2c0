/* The path with NEON, which every 64-bit ARM has: a block is four registers, products come from table look-ups. */
#include "path.h"

#if defined(HAS_PATH_NEON)

#include <arm_neon.h>
#include <string.h>

#define TARGET

static struct factor twiddles[TWIDDLES];

typedef struct {
    uint8x16_t low[2], high[2];
} block;

/* For each nibble the low and the high bytes of its products. */
typedef struct {
    uint8x16_t low[4], high[4];
} multiplier;

static inline block block_load(const uint8_t *from)
{
    return (block){{vld1q_u8(from), vld1q_u8(from + 16)}, {vld1q_u8(from + 32), vld1q_u8(from + 48)}};
}

static inline void block_store(uint8_t *to, block x)
{
    vst1q_u8(to, x.low[0]);
    vst1q_u8(to + 16, x.low[1]);
    vst1q_u8(to + 32, x.high[0]);
    vst1q_u8(to + 48, x.high[1]);
}

static inline block block_add(block x, block y)
{
    return (block){{veorq_u8(x.low[0], y.low[0]), veorq_u8(x.low[1], y.low[1])},
                   {veorq_u8(x.high[0], y.high[0]), veorq_u8(x.high[1], y.high[1])}};
}

static inline block block_zero(void)
{
    const uint8x16_t zero = vdupq_n_u8(0);
    return (block){{zero, zero}, {zero, zero}};
}

static inline multiplier multiplier_of(const struct factor *f)
{
    multiplier m;
    for (int nibble = 0; nibble < 4; nibble++) {
        m.low[nibble] = vld1q_u8(f->bytes + 32 * nibble);
        m.high[nibble] = vld1q_u8(f->bytes + 32 * nibble + 16);
    }
    return m;
}

static inline block block_add_product(block a, block b, multiplier m)
{
    const uint8x16_t mask = vdupq_n_u8(15);
    for (int part = 0; part < 2; part++) {
        const uint8x16_t nibbles[4] = {
            vandq_u8(b.low[part], mask),
            vshrq_n_u8(b.low[part], 4),
            vandq_u8(b.high[part], mask),
            vshrq_n_u8(b.high[part], 4),
        };
        for (int i = 0; i < 4; i++) {
            a.low[part] = veorq_u8(a.low[part], vqtbl1q_u8(m.low[i], nibbles[i]));
            a.high[part] = veorq_u8(a.high[part], vqtbl1q_u8(m.high[i], nibbles[i]));
        }
    }
    return a;
}

static inline void copy_half(uint8_t *target, const uint8_t *source, size_t bytes) { memcpy(target, source, bytes); }

#include "rows.inc"
#include "transform.inc"
#include "words.inc"
#include "blake2b.inc"

#define NAME path_neon
#define MAKE_FACTOR factor_as_nibbles
#include "table.inc"

#else
typedef int nothing_here; /* An empty file is not C. */
#endif
