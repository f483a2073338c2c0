/* What the entry points share. */
#ifndef P2PNODE_ENTRY_H
#define P2PNODE_ENTRY_H

#include "code.h"
#include "kernel.h"

#define SHARDS_MAX 1000u
#define SYMBOL_BYTES_MAX 65534u
#define HEIGHT_MAX 10u

/* A path that was prepared, or null. */
const struct path *path_of(int32_t number);

/* Whether the format has such a code, and symbols of this size. */
int is_code(uint32_t originals, uint32_t recovery, uint32_t symbol_bytes);

/* Memory for rows and factors, to be freed; null when there is none. */
uint8_t *scratch_of(size_t bytes);

/* Hashes symbol i of each of `width` words, for i in [0, count): word w of symbol i begins at bases[i] + w * stride, and
 * its digest stands at (i * width + w) * 32. */
void hash_symbols(const struct path *path, const uint8_t *const *bases, size_t stride, size_t count, size_t width,
                  size_t symbol_bytes, uint8_t *digests);

#endif
