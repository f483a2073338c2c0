/* The path with GFNI and AVX-512: a block is one register, eight messages are hashed at once. */
#if defined(__x86_64__)

#include <immintrin.h>
#include <string.h>

#include "path.h"

#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,gfni")))

static struct factor twiddles[TWIDDLES];

typedef __m512i block;

/* A block holds the low halves of its labels, then the high ones. The first product is what each half gives to itself,
 * the second, of the block with its halves swapped, what it gets from the other one. */
typedef struct {
    __m512i straight, crossed;
} multiplier;

static inline TARGET block block_load(const uint8_t *from) { return _mm512_loadu_si512(from); }
static inline TARGET void block_store(uint8_t *to, block x) { _mm512_storeu_si512(to, x); }
static inline TARGET block block_add(block x, block y) { return _mm512_xor_si512(x, y); }
static inline TARGET block block_zero(void) { return _mm512_setzero_si512(); }

static inline TARGET multiplier multiplier_of(const struct factor *f)
{
    return (multiplier){_mm512_load_si512(f->bytes), _mm512_load_si512(f->bytes + 64)};
}

static inline TARGET block block_add_product(block a, block b, multiplier m)
{
    const __m512i swapped = _mm512_shuffle_i64x2(b, b, 0x4E);
    const __m512i straight = _mm512_gf2p8affine_epi64_epi8(b, m.straight, 0);
    const __m512i crossed = _mm512_gf2p8affine_epi64_epi8(swapped, m.crossed, 0);
    return _mm512_ternarylogic_epi64(a, straight, crossed, 0x96); /* The XOR of three. */
}

static inline TARGET void copy_half(uint8_t *target, const uint8_t *source, size_t bytes)
{
    const __mmask32 mask = (__mmask32)((1ull << bytes) - 1);
    _mm256_mask_storeu_epi8(target, mask, _mm256_maskz_loadu_epi8(mask, source));
}

#include "rows.inc"
#include "transform.inc"

#define LANES 8
typedef __m512i word;

static inline TARGET word word_of(uint64_t x) { return _mm512_set1_epi64((long long)x); }
static inline TARGET word word_add(word x, word y) { return _mm512_add_epi64(x, y); }
static inline TARGET word word_xor(word x, word y) { return _mm512_xor_si512(x, y); }
static inline TARGET word word_turn_32(word x) { return _mm512_ror_epi64(x, 32); }
static inline TARGET word word_turn_24(word x) { return _mm512_ror_epi64(x, 24); }
static inline TARGET word word_turn_16(word x) { return _mm512_ror_epi64(x, 16); }
static inline TARGET word word_turn_63(word x) { return _mm512_ror_epi64(x, 63); }

/* Turns eight rows of eight words into eight columns. */
static inline TARGET void transpose(word m[8], const word rows[8])
{
    __m512i pairs[8];
    for (int i = 0; i < 8; i += 2) {
        pairs[i] = _mm512_unpacklo_epi64(rows[i], rows[i + 1]);
        pairs[i + 1] = _mm512_unpackhi_epi64(rows[i], rows[i + 1]);
    }
    for (int odd = 0; odd < 2; odd++) {
        const __m512i low_02 = _mm512_shuffle_i64x2(pairs[odd], pairs[2 + odd], 0x88);
        const __m512i low_13 = _mm512_shuffle_i64x2(pairs[odd], pairs[2 + odd], 0xDD);
        const __m512i high_02 = _mm512_shuffle_i64x2(pairs[4 + odd], pairs[6 + odd], 0x88);
        const __m512i high_13 = _mm512_shuffle_i64x2(pairs[4 + odd], pairs[6 + odd], 0xDD);
        m[odd] = _mm512_shuffle_i64x2(low_02, high_02, 0x88);
        m[4 + odd] = _mm512_shuffle_i64x2(low_02, high_02, 0xDD);
        m[2 + odd] = _mm512_shuffle_i64x2(low_13, high_13, 0x88);
        m[6 + odd] = _mm512_shuffle_i64x2(low_13, high_13, 0xDD);
    }
}

/* A mask of the bytes [from, to) of 64, of which both ends may lie outside. */
static inline __mmask64 mask_of(int64_t from, int64_t to)
{
    if (to <= 0)
        return 0;
    return (to < 64 ? ~(~0ull << to) : ~0ull) & (~0ull << from);
}

/* Byte o of the prefixed message is byte o - 1 of the message. Masked bytes read as zero, also the prefix, and are not
 * touched, so nothing outside of the message is read. */
static inline TARGET void load_message(word m[16], const uint8_t *const lanes[LANES], uint64_t offset, uint64_t total)
{
    const int64_t rest = (int64_t)(total - offset);
    const __mmask64 low = mask_of(offset == 0, rest), high = mask_of(0, rest - 64);
    word rows[LANES];
    for (int lane = 0; lane < LANES; lane++)
        rows[lane] = _mm512_maskz_loadu_epi8(low, (const void *)((uintptr_t)lanes[lane] + offset - 1));
    transpose(m, rows);
    if (high == 0) {
        for (int i = 8; i < 16; i++)
            m[i] = _mm512_setzero_si512();
        return;
    }
    for (int lane = 0; lane < LANES; lane++)
        rows[lane] = _mm512_maskz_loadu_epi8(high, (const void *)((uintptr_t)lanes[lane] + offset + 63));
    transpose(m + 8, rows);
}

/* The prefix moves everything by one byte, which is easier to do after the words are in their places. */
static inline TARGET void load_nodes(word m[9], const uint8_t *const lefts[LANES], const uint8_t *const rights[LANES])
{
    word rows[LANES], plain[8];
    for (int lane = 0; lane < LANES; lane++) {
        const __m256i left = _mm256_loadu_si256((const __m256i *)lefts[lane]);
        const __m256i right = _mm256_loadu_si256((const __m256i *)rights[lane]);
        rows[lane] = _mm512_inserti64x4(_mm512_castsi256_si512(left), right, 1);
    }
    transpose(plain, rows);
    m[0] = _mm512_or_si512(_mm512_slli_epi64(plain[0], 8), _mm512_set1_epi64(1));
    for (int i = 1; i < 8; i++)
        m[i] = _mm512_or_si512(_mm512_slli_epi64(plain[i], 8), _mm512_srli_epi64(plain[i - 1], 56));
    m[8] = _mm512_srli_epi64(plain[7], 56);
}

static inline TARGET void store_digests(uint8_t *const outputs[LANES], const word h[4])
{
    const __m512i low_01 = _mm512_unpacklo_epi64(h[0], h[1]), high_01 = _mm512_unpackhi_epi64(h[0], h[1]);
    const __m512i low_23 = _mm512_unpacklo_epi64(h[2], h[3]), high_23 = _mm512_unpackhi_epi64(h[2], h[3]);
    uint8_t words_01[2][64], words_23[2][64];
    _mm512_storeu_si512(words_01[0], low_01);
    _mm512_storeu_si512(words_01[1], high_01);
    _mm512_storeu_si512(words_23[0], low_23);
    _mm512_storeu_si512(words_23[1], high_23);
    for (int lane = 0; lane < LANES; lane++) {
        memcpy(outputs[lane], words_01[lane % 2] + 16 * (lane / 2), 16);
        memcpy(outputs[lane] + 16, words_23[lane % 2] + 16 * (lane / 2), 16);
    }
}

#include "blake2b.inc"

#define NAME path_avx512
#define MAKE_FACTOR factor_as_matrices
#include "table.inc"

#else
typedef int nothing_here; /* An empty file is not C. */
#endif
