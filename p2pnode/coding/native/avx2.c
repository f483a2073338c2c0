/* The path with AVX2: a block is two registers, products come from shuffles, four messages are hashed at once. */
#if defined(__x86_64__)

#include <immintrin.h>
#include <string.h>

#include "path.h"

#define TARGET __attribute__((target("avx2")))

static struct factor twiddles[TWIDDLES];

typedef struct {
    __m256i low, high;
} block;

/* For each nibble the low and the high bytes of its products. */
typedef struct {
    __m256i low[4], high[4];
} multiplier;

static inline TARGET __m256i load_256(const uint8_t *from) { return _mm256_loadu_si256((const __m256i *)from); }
static inline TARGET void store_256(uint8_t *to, __m256i x) { _mm256_storeu_si256((__m256i *)to, x); }

static inline TARGET block block_load(const uint8_t *from)
{
    return (block){load_256(from), load_256(from + HALF_BYTES)};
}

static inline TARGET void block_store(uint8_t *to, block x)
{
    store_256(to, x.low);
    store_256(to + HALF_BYTES, x.high);
}

static inline TARGET block block_add(block x, block y)
{
    return (block){_mm256_xor_si256(x.low, y.low), _mm256_xor_si256(x.high, y.high)};
}

static inline TARGET block block_zero(void) { return (block){_mm256_setzero_si256(), _mm256_setzero_si256()}; }

static inline TARGET __m256i table_of(const uint8_t *bytes)
{
    return _mm256_broadcastsi128_si256(_mm_load_si128((const __m128i *)bytes));
}

static inline TARGET multiplier multiplier_of(const struct factor *f)
{
    multiplier m;
    for (int nibble = 0; nibble < 4; nibble++) {
        m.low[nibble] = table_of(f->bytes + 32 * nibble);
        m.high[nibble] = table_of(f->bytes + 32 * nibble + 16);
    }
    return m;
}

static inline TARGET block block_add_product(block a, block b, multiplier m)
{
    const __m256i mask = _mm256_set1_epi8(15);
    const __m256i nibbles[4] = {
        _mm256_and_si256(b.low, mask),
        _mm256_and_si256(_mm256_srli_epi16(b.low, 4), mask),
        _mm256_and_si256(b.high, mask),
        _mm256_and_si256(_mm256_srli_epi16(b.high, 4), mask),
    };
    for (int i = 0; i < 4; i++) {
        a.low = _mm256_xor_si256(a.low, _mm256_shuffle_epi8(m.low[i], nibbles[i]));
        a.high = _mm256_xor_si256(a.high, _mm256_shuffle_epi8(m.high[i], nibbles[i]));
    }
    return a;
}

/* At most 31 bytes. A call of memcpy would cost more than the copy. */
static inline TARGET void copy_half(uint8_t *target, const uint8_t *source, size_t bytes)
{
    if (bytes & 16) {
        memcpy(target, source, 16);
        target += 16;
        source += 16;
    }
    if (bytes & 8) {
        memcpy(target, source, 8);
        target += 8;
        source += 8;
    }
    if (bytes & 4) {
        memcpy(target, source, 4);
        target += 4;
        source += 4;
    }
    if (bytes & 2) {
        memcpy(target, source, 2);
        target += 2;
        source += 2;
    }
    if (bytes & 1)
        *target = *source;
}

#include "rows.inc"
#include "transform.inc"

#define LANES 4
typedef __m256i word;

static inline TARGET word word_of(uint64_t x) { return _mm256_set1_epi64x((long long)x); }
static inline TARGET word word_add(word x, word y) { return _mm256_add_epi64(x, y); }
static inline TARGET word word_xor(word x, word y) { return _mm256_xor_si256(x, y); }
static inline TARGET word word_turn_32(word x) { return _mm256_shuffle_epi32(x, _MM_SHUFFLE(2, 3, 0, 1)); }

static inline TARGET word word_turn_24(word x)
{
    return _mm256_shuffle_epi8(x, _mm256_setr_epi8(3, 4, 5, 6, 7, 0, 1, 2, 11, 12, 13, 14, 15, 8, 9, 10, 3, 4, 5, 6, 7,
                                                   0, 1, 2, 11, 12, 13, 14, 15, 8, 9, 10));
}

static inline TARGET word word_turn_16(word x)
{
    return _mm256_shuffle_epi8(x, _mm256_setr_epi8(2, 3, 4, 5, 6, 7, 0, 1, 10, 11, 12, 13, 14, 15, 8, 9, 2, 3, 4, 5, 6,
                                                   7, 0, 1, 10, 11, 12, 13, 14, 15, 8, 9));
}

static inline TARGET word word_turn_63(word x)
{
    return _mm256_xor_si256(_mm256_srli_epi64(x, 63), _mm256_add_epi64(x, x));
}

/* Turns four rows of four words into four columns. */
static inline TARGET void transpose(word m[4], __m256i r0, __m256i r1, __m256i r2, __m256i r3)
{
    const __m256i low_01 = _mm256_unpacklo_epi64(r0, r1), high_01 = _mm256_unpackhi_epi64(r0, r1);
    const __m256i low_23 = _mm256_unpacklo_epi64(r2, r3), high_23 = _mm256_unpackhi_epi64(r2, r3);
    m[0] = _mm256_permute2x128_si256(low_01, low_23, 0x20);
    m[1] = _mm256_permute2x128_si256(high_01, high_23, 0x20);
    m[2] = _mm256_permute2x128_si256(low_01, low_23, 0x31);
    m[3] = _mm256_permute2x128_si256(high_01, high_23, 0x31);
}

static inline TARGET void load_words(word m[16], const uint8_t *const lanes[LANES])
{
    for (int at = 0; at < 4; at++)
        transpose(m + 4 * at, load_256(lanes[0] + 32 * at), load_256(lanes[1] + 32 * at), load_256(lanes[2] + 32 * at),
                  load_256(lanes[3] + 32 * at));
}

/* Byte o of the prefixed message is byte o - 1 of the message. */
static inline TARGET void load_message(word m[16], const uint8_t *const lanes[LANES], uint64_t offset, uint64_t total)
{
    const uint8_t *from[LANES];
    if (offset > 0 && offset + 128 <= total) {
        for (int lane = 0; lane < LANES; lane++)
            from[lane] = lanes[lane] + offset - 1;
        load_words(m, from);
        return;
    }
    /* The first block has the prefix, the last one has zeros after it. */
    _Alignas(32) uint8_t padded[LANES][128] = {{0}};
    const size_t prefix = offset == 0, rest = total - offset < 128 ? total - offset : 128;
    for (int lane = 0; lane < LANES; lane++) {
        memcpy(padded[lane] + prefix, lanes[lane] + offset + prefix - 1, rest - prefix);
        from[lane] = padded[lane];
    }
    load_words(m, from);
}

/* The prefix moves everything by one byte, which is easier to do after the words are in their places. */
static inline TARGET void load_nodes(word m[9], const uint8_t *const lefts[LANES], const uint8_t *const rights[LANES])
{
    word plain[8];
    transpose(plain, load_256(lefts[0]), load_256(lefts[1]), load_256(lefts[2]), load_256(lefts[3]));
    transpose(plain + 4, load_256(rights[0]), load_256(rights[1]), load_256(rights[2]), load_256(rights[3]));
    m[0] = _mm256_or_si256(_mm256_slli_epi64(plain[0], 8), _mm256_set1_epi64x(1));
    for (int i = 1; i < 8; i++)
        m[i] = _mm256_or_si256(_mm256_slli_epi64(plain[i], 8), _mm256_srli_epi64(plain[i - 1], 56));
    m[8] = _mm256_srli_epi64(plain[7], 56);
}

static inline TARGET void store_digests(uint8_t *const outputs[LANES], const word h[4])
{
    word digests[4];
    transpose(digests, h[0], h[1], h[2], h[3]);
    for (int lane = 0; lane < LANES; lane++)
        store_256(outputs[lane], digests[lane]);
}

#include "blake2b.inc"

#define NAME path_avx2
#define MAKE_FACTOR factor_as_nibbles
#include "table.inc"

#else
typedef int nothing_here; /* An empty file is not C. */
#endif
