/* GF(2^16) in the Cantor basis: logarithms, products, and the tables that multiply whole rows by one element.
 *
 * The field and its labels are those of docs/spec/RED_STUFF.md, section 4; p2pnode/coding/field.py says the same in
 * Python and is the oracle.
 */
#ifndef P2PNODE_FIELD_H
#define P2PNODE_FIELD_H

#include <stdint.h>

#define FIELD_ORDER 65535u
#define LABEL_BITS 16

/* By one of these a path multiplies 64-byte blocks. What is inside is the path's own business: the forms are 16
 * products per nibble and half (shuffles), products of single bits (plain code), and bit matrices (GFNI). */
struct factor {
    _Alignas(64) uint8_t bytes[128];
};

extern uint16_t field_log[FIELD_ORDER + 1];
extern uint16_t field_exp[FIELD_ORDER + 1];

/* Fills both tables; may be called again, and writes the same values then. */
void field_prepare(void);

/* The product of two labels. */
uint16_t field_product(uint16_t first, uint16_t second);

/* The products of a label and every element of the basis: all others are sums of these. */
void field_basis_products(uint16_t label, uint16_t products[LABEL_BITS]);

void factor_as_products(struct factor *factor, uint16_t label);
void factor_as_nibbles(struct factor *factor, uint16_t label);
void factor_as_matrices(struct factor *factor, uint16_t label);

#endif
