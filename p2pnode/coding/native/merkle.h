/* Merkle trees over many lists of digests at once. Nodes are H(0x01 || left || right); an odd level gets an empty node. */
#ifndef P2PNODE_MERKLE_H
#define P2PNODE_MERKLE_H

#include "path.h"

/* Folds one level of `lists` lists of `count` nodes, each of `width` trees side by side: node i of tree t of list l stands
 * at ((l * count + i) * width + t) * 32. Returns the length of the lists after it. `target` may be `nodes`. */
size_t fold_level(const struct path *path, const uint8_t *nodes, uint8_t *target, size_t lists, size_t count,
                  size_t width);

/* Folds until one node of each is left, in place. */
void fold_to_roots(const struct path *path, uint8_t *nodes, size_t lists, size_t count, size_t width);

extern const uint8_t EMPTY_NODE[HASH_BYTES];

#endif
