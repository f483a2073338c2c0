/* The Reed-Solomon code over symbols in memory: extend k symbols by r, and restore missing ones from any k.
 *
 * Both work on many codewords at once, their *words*. Symbol i of word w begins at `inputs[i] + w * input_stride`, and the
 * results alike.
 */
#ifndef P2PNODE_CODE_H
#define P2PNODE_CODE_H

#include "path.h"

struct code {
    uint32_t originals, recovery;
    uint32_t is_high; /* whether the recovery symbols stand at the low points */
    uint32_t chunk;   /* the power of two that covers the smaller part */
    uint32_t layers;  /* its logarithm */
};

struct code code_of(uint32_t originals, uint32_t recovery);

/* The bytes of scratch that each of the two needs; it must be aligned to 64 bytes. */
size_t extend_scratch_bytes(const struct code *code);
size_t restore_scratch_bytes(const struct code *code);

struct symbols {
    const uint8_t *const *inputs;
    size_t input_stride;
    uint8_t *const *outputs;
    size_t output_stride;
    size_t words;
    size_t symbol_bytes;
};

/* The outputs are the r recovery symbols of the k inputs. */
void extend(const struct path *path, const struct code *code, const struct symbols *symbols, uint8_t *scratch);

/* What one pattern of missing symbols needs, whatever the symbols are: computed once. A position counts the originals
 * first, then the recovery symbols; `received` are k of them, `wanted` are others among the originals. */
struct pattern {
    const uint32_t *received;
    const uint32_t *wanted;
    uint32_t wanted_count;
    const struct factor *factors; /* one for each received symbol, then one for each wanted one */
};

void pattern_factors(const struct path *path, const struct code *code, const struct pattern *pattern,
                     struct factor *factors);

/* The outputs are the wanted symbols, the inputs the received ones. */
void restore(const struct path *path, const struct code *code, const struct pattern *pattern,
             const struct symbols *symbols, uint8_t *scratch);

#endif
