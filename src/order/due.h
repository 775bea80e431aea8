/*
 * When a certificate is due for renewal, and how long certificates that the public trusts for TLS
 * may last. Pure: dates in, answers out; a decision here asks neither the CA nor a token.
 *
 * A certificate is due when a third of its lifetime is left, one that lasts less than ten days when
 * half of it is left (what RFC 9773 has CAs suggest, without asking them); where people validate
 * (OV, EV) earlier by as much as the rule says. Days are never counted from the end alone: the same
 * thirty days are a tenth of one certificate's life and two thirds of another's.
 */
#ifndef ORDER_DUE_H
#define ORDER_DUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DUE_DAY_S = 86400, DUE_SHORT_DAYS = 10 };

enum due_validation { DUE_DV, DUE_OV, DUE_EV };

/* Both times are part of its life (RFC 5280 section 4.1.2.5). */
struct due_certificate {
    int64_t not_before_s, not_after_s;
    enum due_validation validation;
};

/* How much earlier, because people are asked; seconds. */
struct due_rule {
    int64_t early_ov_s, early_ev_s;
};

enum due_state {
    DUE_UNKNOWN, /* it has no lifetime: it ends before it begins, or its dates are no dates */
    DUE_LATER,
    DUE_NOW,
    DUE_OVER, /* it has expired */
};

struct due {
    enum due_state state;
    int64_t from_s; /* since when, or when first; unless UNKNOWN. Never before its own begin */
    int64_t lead_s; /* how long before its end that is */
};

/* At most two thirds of a lifetime are spent in "due": whatever the rule says, a fresh certificate
 * is never due at once. */
struct due due_judge(const struct due_certificate *cert, const struct due_rule *rule,
                     int64_t now_s);

/* The longest life of a publicly trusted TLS certificate: of those issued from a day on. */
struct due_limit {
    int64_t from_s;
    int days;
};

/* CA/Browser Forum, Baseline Requirements section 6.3.2 (ballots SC-031 and SC-081v3). The i-th
 * row, oldest first; NULL past the end. */
const struct due_limit *due_limit_at(size_t i);

/* What holds for one issued at that time; 0: older than the table. */
int due_limit_days(int64_t issued_s);

/* Whether a lifetime is within the limit of its begin; a second more than a day counts as another
 * day. True for what is older than the table. */
bool due_limit_fits(int64_t not_before_s, int64_t not_after_s);

#endif
