/*
 * Finding items of a list by a hash of something that they have: an id, a label, a public half.
 *
 * The index holds numbers of items, and only says which of them may fit: whoever asks compares. So
 * an item that changed is simply added again, under its new hash.
 */
#ifndef HSM_INDEX_H
#define HSM_INDEX_H

#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hsm_index_chain;
struct hsm_index_node;

struct hsm_index {
    struct hsm_index_chain *chains; /* owned; by hash */
    size_t chain_count;
    struct hsm_index_node *nodes; /* owned */
    size_t count, max;
};

/* Room for so many items at first; it grows. E_MEMORY. */
bool hsm_index_init(struct hsm_index *index, size_t items, struct err *err) NODISCARD;
void hsm_index_done(struct hsm_index *index);

/* False when out of memory. */
bool hsm_index_add(struct hsm_index *index, uint64_t hash, size_t item) NODISCARD;

/* Items in the order in which they were added: *at is 0 at first. False at the end. */
bool hsm_index_next(const struct hsm_index *index, uint64_t hash, size_t *at, size_t *item);

/* FNV-1a, 64 bits. */
uint64_t hsm_index_hash(const void *data, size_t len);

DEFINE_AUTO_DONE(hsm_index, struct hsm_index, hsm_index_done)

#endif
