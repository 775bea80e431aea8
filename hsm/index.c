#include "hsm/index.h"

#include <stdlib.h>

/* Numbers of nodes are one more than their place; 0: none. */
struct hsm_index_chain {
    size_t first, last;
};

struct hsm_index_node {
    uint64_t hash;
    size_t item;
    size_t next;
};

uint64_t hsm_index_hash(const void *data, size_t len)
{
    const uint8_t *bytes = data;
    uint64_t hash = 0xcbf29ce484222325ULL;

    for (size_t i = 0; i < len; i++) {
        hash = (hash ^ bytes[i]) * 0x100000001b3ULL;
    }
    return hash;
}

bool hsm_index_init(struct hsm_index *index, size_t items, struct err *err)
{
    size_t chains = 16; /* a power of two: see chain_of() */

    while (chains < items && chains < SIZE_MAX / 4) {
        chains *= 2;
    }
    *index = (struct hsm_index){.chain_count = chains, .max = items + 16};
    index->chains = calloc(chains, sizeof(*index->chains));
    index->nodes = calloc(index->max, sizeof(*index->nodes));
    if (index->chains == NULL || index->nodes == NULL) {
        hsm_index_done(index);
        return err_nomem(err);
    }
    return true;
}

void hsm_index_done(struct hsm_index *index)
{
    free(index->chains);
    free(index->nodes);
    *index = (struct hsm_index){.count = 0};
}

static bool grow(struct hsm_index *index)
{
    struct hsm_index_node *grown =
        reallocarray(index->nodes, 2 * index->max, sizeof(*index->nodes));

    if (grown == NULL) {
        return false;
    }
    index->nodes = grown;
    index->max *= 2;
    return true;
}

static struct hsm_index_chain *chain_of(const struct hsm_index *index, uint64_t hash)
{
    return &index->chains[hash & (index->chain_count - 1)];
}

bool hsm_index_add(struct hsm_index *index, uint64_t hash, size_t item)
{
    if (index->count == index->max && !grow(index)) {
        return false;
    }
    struct hsm_index_chain *chain = chain_of(index, hash);
    index->nodes[index->count++] = (struct hsm_index_node){.hash = hash, .item = item};
    if (chain->first == 0) {
        chain->first = index->count;
    } else {
        index->nodes[chain->last - 1].next = index->count;
    }
    chain->last = index->count;
    return true;
}

bool hsm_index_next(const struct hsm_index *index, uint64_t hash, size_t *at, size_t *item)
{
    size_t i = *at == 0 ? chain_of(index, hash)->first : index->nodes[*at - 1].next;

    while (i != 0 && index->nodes[i - 1].hash != hash) {
        i = index->nodes[i - 1].next;
    }
    if (i == 0) {
        return false;
    }
    *at = i;
    *item = index->nodes[i - 1].item;
    return true;
}
