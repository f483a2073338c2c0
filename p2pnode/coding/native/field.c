/* The tables of the field. */
#include "field.h"

#include <string.h>

#define MODULUS 0x1002Du

uint16_t field_log[FIELD_ORDER + 1];
uint16_t field_exp[FIELD_ORDER + 1];

static const uint16_t CANTOR_BASIS[LABEL_BITS] = {
    0x0001, 0xACCA, 0x3C0E, 0x163E, 0xC582, 0xED2E, 0x914C, 0x4012,
    0x6C98, 0x10D8, 0x6A72, 0xB900, 0xFDB8, 0xFB34, 0xFF38, 0x991E,
};

void field_prepare(void)
{
    static uint16_t label_of[FIELD_ORDER + 1];
    static uint16_t element_of[FIELD_ORDER + 1]; /* Static: 128 KB are too much for the stack of some threads. */
    element_of[0] = 0;
    for (uint32_t bit = 0; bit < LABEL_BITS; bit++) {
        for (uint32_t low = 0; low < 1u << bit; low++)
            element_of[(1u << bit) + low] = element_of[low] ^ CANTOR_BASIS[bit];
    }
    for (uint32_t label = 0; label <= FIELD_ORDER; label++)
        label_of[element_of[label]] = (uint16_t)label;
    uint32_t power_of_x = 1;
    for (uint32_t power = 0; power < FIELD_ORDER; power++) {
        field_exp[power] = label_of[power_of_x];
        field_log[label_of[power_of_x]] = (uint16_t)power;
        power_of_x <<= 1;
        if (power_of_x > FIELD_ORDER)
            power_of_x ^= MODULUS;
    }
    field_exp[FIELD_ORDER] = field_exp[0];
    field_log[0] = FIELD_ORDER;
}

uint16_t field_product(uint16_t first, uint16_t second)
{
    if (first == 0 || second == 0)
        return 0;
    uint32_t sum = (uint32_t)field_log[first] + field_log[second];
    return field_exp[(sum & 0xFFFF) + (sum >> 16)]; /* 65536 is 1 modulo 65535. */
}

void field_basis_products(uint16_t label, uint16_t products[LABEL_BITS])
{
    for (uint32_t bit = 0; bit < LABEL_BITS; bit++)
        products[bit] = field_product(label, (uint16_t)(1u << bit));
}

/* The products of the single bits: 16 low bytes, then 16 high ones. */
void factor_as_products(struct factor *factor, uint16_t label)
{
    uint16_t products[LABEL_BITS];
    field_basis_products(label, products);
    for (uint32_t bit = 0; bit < LABEL_BITS; bit++) {
        factor->bytes[bit] = (uint8_t)products[bit];
        factor->bytes[LABEL_BITS + bit] = (uint8_t)(products[bit] >> 8);
    }
}

/* Eight tables of 16 bytes: for each of the four nibbles of a label, the low and then the high bytes of the products. */
void factor_as_nibbles(struct factor *factor, uint16_t label)
{
    uint16_t products[LABEL_BITS];
    field_basis_products(label, products);
    for (uint32_t nibble = 0; nibble < 4; nibble++) {
        uint16_t sums[16] = {0};
        for (uint32_t value = 1; value < 16; value++) {
            uint32_t lowest = (uint32_t)__builtin_ctz(value);
            sums[value] = sums[value & (value - 1)] ^ products[4 * nibble + lowest];
        }
        for (uint32_t value = 0; value < 16; value++) {
            factor->bytes[32 * nibble + value] = (uint8_t)sums[value];
            factor->bytes[32 * nibble + 16 + value] = (uint8_t)(sums[value] >> 8);
        }
    }
}

/* The 8 x 8 matrix over GF(2) that takes one half of a label to one half of its product, as GFNI wants it: the last
 * byte holds the row of output bit 0. */
static uint64_t matrix_of(const uint16_t products[8], uint32_t output_shift)
{
    uint64_t matrix = 0;
    for (uint32_t output = 0; output < 8; output++) {
        uint64_t row = 0;
        for (uint32_t input = 0; input < 8; input++)
            row |= (uint64_t)(products[input] >> (output_shift + output) & 1) << input;
        matrix |= row << (8 * (7 - output));
    }
    return matrix;
}

/* Two vectors of eight matrices for a block, whose first half has the low bytes and whose second half the high ones:
 * what each half gives to itself, and what it gets from the other half. */
void factor_as_matrices(struct factor *factor, uint16_t label)
{
    uint16_t products[LABEL_BITS];
    field_basis_products(label, products);
    const uint64_t low_to_low = matrix_of(products, 0), high_to_high = matrix_of(products + 8, 8);
    const uint64_t high_to_low = matrix_of(products + 8, 0), low_to_high = matrix_of(products, 8);
    uint64_t matrices[16];
    for (uint32_t at = 0; at < 4; at++) {
        matrices[at] = low_to_low;
        matrices[4 + at] = high_to_high;
        matrices[8 + at] = high_to_low;
        matrices[12 + at] = low_to_high;
    }
    memcpy(factor->bytes, matrices, sizeof matrices);
}
