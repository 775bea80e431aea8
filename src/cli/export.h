/* journal export: what its two files share. */
#ifndef CLI_EXPORT_H
#define CLI_EXPORT_H

#include "cli/cli.h"

/* One export at work. */
struct exporting {
    struct out *out;     /* the command's, or the next */
    struct out document; /* of a file */
    struct journal *journal;
    bool csv, history;
    int64_t orders;
    const struct order *order;
    /* of the submission that is being looked at */
    bool sending;
    int64_t sent_s;
    struct err err;
};

/* Writes all orders into e->out. E_JOURNAL. */
bool export_all(struct exporting *e, struct err *err) NODISCARD;

#endif
