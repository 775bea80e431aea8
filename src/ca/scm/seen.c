#include "ca/scm/scm.h"

#include <stdlib.h>

/* Two tables: when the present one is full, it takes the place of the one before. 8 bytes a slot,
 * at most half of them used: 16 MB together. */
enum { SLOTS_FIRST = 1 << 10, SLOTS_MAX = 1 << 20 };

static size_t slot_of(const int64_t *table, size_t slots, int64_t id)
{
    uint64_t hash = (uint64_t)id * 0x9E3779B97F4A7C15U; /* Fibonacci hashing */
    size_t at = (size_t)(hash >> 32) & (slots - 1);

    while (table[at] != 0 && table[at] != id) {
        at = (at + 1) & (slots - 1);
    }
    return at;
}

static bool has(const int64_t *table, size_t slots, int64_t id)
{
    return table != NULL && table[slot_of(table, slots, id)] == id;
}

static int64_t *new_table(size_t slots)
{
    return calloc(slots, sizeof(int64_t));
}

/* Makes room: a table of twice the size, or a fresh one beside the full one. */
static bool make_room(struct scm_seen *seen)
{
    bool grow = seen->slots < SLOTS_MAX;
    size_t slots = seen->slots == 0 ? SLOTS_FIRST : grow ? 2 * seen->slots : SLOTS_MAX;
    int64_t *table = new_table(slots);

    if (table == NULL) {
        return false;
    }
    if (!grow) {
        free(seen->before);
        seen->before = seen->now;
        seen->used = 0;
    } else {
        for (size_t i = 0; i < seen->slots; i++) {
            if (seen->now[i] != 0) {
                table[slot_of(table, slots, seen->now[i])] = seen->now[i];
            }
        }
        free(seen->now);
    }
    seen->now = table;
    seen->slots = slots;
    return true;
}

bool scm_seen_is_new(struct scm_seen *seen, int64_t id, bool *is_new, struct err *err)
{
    if (2 * seen->used >= seen->slots && !make_room(seen)) {
        return err_nomem(err);
    }
    *is_new = !has(seen->now, seen->slots, id) && !has(seen->before, SLOTS_MAX, id);
    if (*is_new) {
        seen->now[slot_of(seen->now, seen->slots, id)] = id;
        seen->used++;
    }
    return true;
}

void scm_seen_done(struct scm_seen *seen)
{
    free(seen->now);
    free(seen->before);
    *seen = (struct scm_seen){.now = NULL};
}
