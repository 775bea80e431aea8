#include "order/order.h"

#include "base/str.h"

static const struct {
    const char *name;
    enum order_action action;
    const char *doing;
    const char *sentence;
} states[ORDER_STATES] = {
#define X(symbol, name, action, doing, sentence) [symbol] = {name, action, doing, sentence},
#include "order/states.def"
#undef X
};

#define TO(state) (1U << (state))

const char *order_state_name(enum order_state state)
{
    return states[state].name;
}

const char *order_state_sentence(enum order_state state)
{
    return states[state].sentence;
}

const char *order_state_doing(enum order_state state)
{
    return states[state].doing;
}

enum order_action order_state_action(enum order_state state)
{
    return states[state].action;
}

bool order_state_parse(const char *name, enum order_state *out)
{
    for (int i = 0; i < ORDER_STATES; i++) {
        if (str_equal(states[i].name, name)) {
            *out = (enum order_state)i;
            return true;
        }
    }
    return false;
}

/* What may follow, by the reason why. A state may always be saved again (a note, an error). */
static unsigned followers(enum order_state state)
{
    switch (state) {
    case ORDER_PLANNED:
        return TO(ORDER_KEY_READY) | TO(ORDER_ABANDONED);
    case ORDER_KEY_READY:
        return TO(ORDER_SIGNED) | TO(ORDER_ABANDONED);
    case ORDER_SIGNED:
        return TO(ORDER_AWAITING) | TO(ORDER_SUBMITTING) | TO(ORDER_ABANDONED);
    case ORDER_AWAITING: /* back to signed: what is to be sent has changed */
        return TO(ORDER_SIGNED) | TO(ORDER_SUBMITTING) | TO(ORDER_DECLINED) | TO(ORDER_ABANDONED);
    case ORDER_SUBMITTING: /* back to signed: the CA said no, or was never reached */
        return TO(ORDER_SIGNED) | TO(ORDER_AMBIGUOUS) | TO(ORDER_PENDING);
    case ORDER_AMBIGUOUS: /* back to signed: the CA did not get it (absence.c) */
        return TO(ORDER_SIGNED) | TO(ORDER_PENDING);
    case ORDER_PENDING:
        return TO(ORDER_WAITING) | TO(ORDER_ISSUED) | TO(ORDER_FAILED);
    case ORDER_WAITING:
        return TO(ORDER_PENDING) | TO(ORDER_ISSUED) | TO(ORDER_FAILED);
    case ORDER_ISSUED: /* back: the CA took its word back (approval withdrawn, revoked) */
        return TO(ORDER_COLLECTED) | TO(ORDER_PENDING) | TO(ORDER_WAITING) | TO(ORDER_FAILED) |
               TO(ORDER_REVOKED);
    case ORDER_COLLECTED:
        return TO(ORDER_VERIFIED) | TO(ORDER_REJECTED) | TO(ORDER_REVOKED);
    case ORDER_VERIFIED:
        return TO(ORDER_DONE) | TO(ORDER_REVOKED);
    case ORDER_REJECTED: /* the roots were corrected: the stored answer is checked again */
        return TO(ORDER_COLLECTED) | TO(ORDER_REVOKED);
    case ORDER_DONE:
        return TO(ORDER_REVOKED);
    case ORDER_FAILED:
    case ORDER_REVOKED:
    case ORDER_ABANDONED:
    case ORDER_DECLINED:
    case ORDER_NOT_ORDERED:
    case ORDER_STATES:
        break;
    }
    return 0;
}

bool order_state_may_follow(enum order_state from, enum order_state to)
{
    return from == to || (followers(from) & TO(to)) != 0;
}

bool order_state_is_final(enum order_state state)
{
    return states[state].action == ACTION_NONE;
}

bool order_state_is_sent(enum order_state state)
{
    switch (state) {
    case ORDER_PLANNED:
    case ORDER_KEY_READY:
    case ORDER_SIGNED:
    case ORDER_AWAITING:
    case ORDER_ABANDONED:
    case ORDER_DECLINED:
        return false;
    case ORDER_SUBMITTING:
    case ORDER_AMBIGUOUS:
    case ORDER_PENDING:
    case ORDER_WAITING:
    case ORDER_ISSUED:
    case ORDER_COLLECTED:
    case ORDER_VERIFIED:
    case ORDER_DONE:
    case ORDER_FAILED:
    case ORDER_REJECTED:
    case ORDER_REVOKED:
    case ORDER_NOT_ORDERED:
    case ORDER_STATES:
        break;
    }
    return true;
}

enum order_claim order_claim(enum order_state state, bool valid, bool superseded)
{
    if (state == ORDER_DONE) {
        return valid ? ORDER_CLAIM_DONE : ORDER_CLAIM_NONE;
    }
    if (state == ORDER_REJECTED) {
        return superseded ? ORDER_CLAIM_NONE : ORDER_CLAIM_REJECTED;
    }
    if (order_state_is_final(state)) {
        return ORDER_CLAIM_NONE;
    }
    return order_state_is_sent(state) ? ORDER_CLAIM_OPEN : ORDER_CLAIM_UNSENT;
}

enum order_state order_state_of_phase(enum ca_phase phase)
{
    switch (phase) {
    case CA_PENDING:
        return ORDER_PENDING;
    case CA_WAITING:
        return ORDER_WAITING;
    case CA_ISSUED:
        return ORDER_ISSUED;
    case CA_FAILED:
        break;
    }
    return ORDER_FAILED;
}
