/* Folding levels of trees: nodes are collected so that as many as a path can take are hashed at once. */
#include "merkle.h"

#define BATCH 64

const uint8_t EMPTY_NODE[HASH_BYTES] = {0};

size_t fold_level(const struct path *path, const uint8_t *nodes, uint8_t *target, size_t lists, size_t count,
                  size_t width)
{
    const uint8_t *lefts[BATCH], *rights[BATCH];
    const size_t parents = (count + 1) / 2;
    size_t batch = 0;
    for (size_t list = 0; list < lists; list++) {
        for (size_t parent = 0; parent < parents; parent++) {
            const uint8_t *left = nodes + (list * count + 2 * parent) * width * HASH_BYTES;
            const int has_right = 2 * parent + 1 < count;
            for (size_t tree = 0; tree < width; tree++) {
                lefts[batch] = left + tree * HASH_BYTES;
                rights[batch] = has_right ? left + (width + tree) * HASH_BYTES : EMPTY_NODE;
                if (++batch == BATCH) {
                    path->hash_nodes(lefts, rights, batch, target);
                    target += BATCH * HASH_BYTES;
                    batch = 0;
                }
            }
        }
    }
    path->hash_nodes(lefts, rights, batch, target);
    return parents;
}

void fold_to_roots(const struct path *path, uint8_t *nodes, size_t lists, size_t count, size_t width)
{
    while (count > 1)
        count = fold_level(path, nodes, nodes, lists, count, width);
}
