/*
 * The loop that brings an order on: with hooks of our own, a clock that jumps, a real journal, and
 * a CA that is not there (a port nobody listens on). What a CA answers is played in tests/e2e.
 */
#include "order/order.h"

#include "unit/pki.h"
#include "unit/unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* A clock that advances when somebody sleeps. */
struct fake_clock {
    int64_t ms;
    int sleeps;
    bool stopped; /* sleeping ends with a signal */
};

static struct fake_clock fake;

static int64_t wall(void *ctx UNUSED)
{
    return PKI_NOW + fake.ms / 1000;
}

static int64_t mono(void *ctx UNUSED)
{
    return fake.ms;
}

static bool sleep_now(void *ctx UNUSED, int64_t ms)
{
    fake.sleeps++;
    fake.ms += ms;
    return !fake.stopped;
}

static const struct clock fake_clock = {.wall_s = wall, .mono_ms = mono, .sleep_ms = sleep_now};

/* Hooks that count, and fail if told so. */
struct hooks {
    int keys, signs, verifies, binds, told;
    enum err_code fail_key, fail_sign, fail_verify, fail_bind;
    int64_t longest_wait_ms;
};

static bool done_or(enum err_code code, const char *what, struct err *err)
{
    return code == E_NONE || err_set(err, code, "%s did not work", what);
}

static bool make_key(void *ctx, struct order *order, struct err *err)
{
    struct hooks *h = ctx;

    h->keys++;
    return done_or(h->fail_key, "making the key", err) &&
           order_set(&order->key_uri, "pkcs11:id=%01", err) &&
           order_set(&order->key_type, "EC P-256", err);
}

static bool sign(void *ctx, struct order *order, struct err *err)
{
    struct hooks *h = ctx;

    h->signs++;
    return done_or(h->fail_sign, "signing", err) && order_set(&order->csr_pem, "CSR", err);
}

static bool verify(void *ctx, struct order *order, struct err *err)
{
    struct hooks *h = ctx;

    h->verifies++;
    return done_or(h->fail_verify, "verifying", err) && order_set(&order->serial, "01", err);
}

static bool bind_cert(void *ctx, struct order *order UNUSED, struct err *err)
{
    struct hooks *h = ctx;

    h->binds++;
    return done_or(h->fail_bind, "binding", err);
}

static void progress(void *ctx, const struct order *order UNUSED, int64_t elapsed_ms UNUSED,
                     int64_t wait_ms)
{
    struct hooks *h = ctx;

    h->told++;
    h->longest_wait_ms = wait_ms > h->longest_wait_ms ? wait_ms : h->longest_wait_ms;
}

/* A journal, an order in it, and what drives it. */
struct scene {
    struct journal *journal;
    struct order order;
    struct hooks h;
    struct drive_hooks hooks;
    struct drive drive;
    struct http_client *http;
    struct secret password;
    int port_holder;
};

static void scene_done(struct scene *s)
{
    ca_close(s->drive.ca);
    http_client_free(s->http);
    secret_done(&s->password);
    order_done(&s->order);
    journal_close(s->journal);
    if (s->port_holder >= 0) {
        (void)close(s->port_holder);
    }
}

DEFINE_AUTO_DONE(scene, struct scene, scene_done)

static void begin(struct scene *s, enum order_state at)
{
    struct err err = ERR_INIT;
    int64_t other = 0;

    *s = (struct scene){.port_holder = -1};
    fake = (struct fake_clock){.ms = 1000000};
    s->hooks = (struct drive_hooks){.make_key = make_key,
                                    .sign = sign,
                                    .verify = verify,
                                    .bind = bind_cert,
                                    .progress = progress,
                                    .ctx = &s->h};
    assert_ok(journal_open(tmp_dir(), &fake_clock, &s->journal, &err), &err);
    order_init(&s->order);
    assert_ok(order_new_mark(s->order.mark, &err), &err);
    assert_ok(order_set(&s->order.dedupe, "d", &err), &err);
    assert_ok(order_set(&s->order.names, "www.example.org", &err), &err);
    assert_ok(order_set(&s->order.csr_pem, "CSR", &err), &err);
    assert_ok(order_set(&s->order.answer_pem, "ANSWER", &err), &err);
    assert_ok(order_set(&s->order.ca_state, "{\"id\":77}", &err), &err);
    assert_ok(order_set(&s->order.ca_order_id, "77", &err), &err);
    s->order.product_id = 1;
    s->order.term_days = 365;
    s->order.state = at;
    assert_ok(journal_add(s->journal, &s->order, false, &other, &err), &err);
    s->drive = (struct drive){
        .journal = s->journal,
        .clock = &fake_clock,
        .backoff = {.kind = BACKOFF_STEPS, .deadline_ms = 100000, .scale_percent = 100},
        .hooks = &s->hooks};
}

/* An address that refuses every connection: bound, and nobody listens. */
static int refusing_port(int *port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(addr);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
    *port = ntohs(addr.sin_port);
    return fd;
}

static void add_unreachable_ca(struct scene *s)
{
    struct err err = ERR_INIT;
    int port = 0;

    s->port_holder = refusing_port(&port);
    struct http_settings http = {.base_url = tmp_printf("https://127.0.0.1:%d", port),
                                 .connect_timeout_ms = 5000,
                                 .timeout_ms = 5000};
    assert_ok(http_client_new(&http, &s->http, &err), &err);
    assert_ok(secret_set(&s->password, "x", 1, &err), &err);
    struct ca_settings ca = {.type = "scm",
                             .http = s->http,
                             .clock = &fake_clock,
                             .api_path = "/api",
                             .private_prefix = "/private",
                             .api_version = "v1",
                             .login_kind = CA_LOGIN_PASSWORD,
                             .customer_uri = "uri",
                             .login = "me",
                             .password = &s->password,
                             .org_id = 1};
    assert_ok(ca_open(&ca, &s->drive.ca, &err), &err);
}

static bool drive(struct scene *s, struct err *err)
{
    return order_drive(&s->drive, &s->order, err);
}

/* The order is in that state, here and in the journal. */
static void is_in(struct scene *s, enum order_state want)
{
    AUTO(order) struct order saved;
    struct err err = ERR_INIT;

    order_init(&saved);
    assert_ok(journal_load(s->journal, s->order.id, &saved, &err), &err);
    assert_string_equal(order_state_name(saved.state), order_state_name(want));
    assert_string_equal(order_state_name(s->order.state), order_state_name(want));
}

static bool add_event_text(void *ctx, int64_t at_s UNUSED, const char *state, const char *text)
{
    buf_addf(ctx, "%s: %s\n", state, text);
    return true;
}

static const char *events(struct scene *s)
{
    AUTO(buf) struct buf out = BUF_INIT(10000);
    struct err err = ERR_INIT;

    assert_ok(journal_events(s->journal, s->order.id, add_event_text, &out, &err), &err);
    return tmp_printf("%s", buf_str(&out));
}

/* Without a CA */

static void test_failing_key_keeps_the_state(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct err err = ERR_INIT;

    begin(&s, ORDER_PLANNED);
    s.h.fail_key = E_TOKEN;
    assert_fails(drive(&s, &err), &err, E_TOKEN, "making the key did not work");
    is_in(&s, ORDER_PLANNED);
    assert_string_equal(s.order.last_error, "making the key did not work");
    assert_int_equal(s.h.signs, 0);
    assert_golden(events(&s), "planned: planned\n"
                              "planned: making the key did not work\n");
}

static void test_failing_signature_keeps_the_state(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct err err = ERR_INIT;

    begin(&s, ORDER_PLANNED);
    s.h.fail_sign = E_PIN_WRONG;
    assert_fails(drive(&s, &err), &err, E_PIN_WRONG, "signing did not work");
    is_in(&s, ORDER_KEY_READY);
    assert_int_equal(s.h.keys, 1);
}

static void test_second_drive_does_what_is_left(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct err err = ERR_INIT;

    begin(&s, ORDER_PLANNED);
    s.h.fail_sign = E_TOKEN;
    assert_false(drive(&s, &err));
    s.h.fail_sign = E_NONE;
    s.h.fail_verify = E_TOKEN;
    s.order.state = ORDER_COLLECTED; /* as if the CA had done its part */
    assert_false(drive(&s, &err));
    assert_int_equal(s.h.keys, 1);
    assert_int_equal(s.h.verifies, 1);
}

static void test_collected_order_is_verified_bound_and_done(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct err err = ERR_INIT;

    begin(&s, ORDER_COLLECTED);
    assert_ok(drive(&s, &err), &err);
    is_in(&s, ORDER_DONE);
    assert_int_equal(s.h.verifies, 1);
    assert_int_equal(s.h.binds, 1);
    assert_true(s.h.told >= 2);
    assert_golden(events(&s), "collected: planned\n"
                              "verified: verified: serial 01\n"
                              "done: done\n");
}

static void test_verified_order_is_bound(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct err err = ERR_INIT;

    begin(&s, ORDER_VERIFIED);
    assert_ok(drive(&s, &err), &err);
    is_in(&s, ORDER_DONE);
    assert_int_equal(s.h.verifies, 0);
}

static void test_rejected_certificate_ends_the_order(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct err err = ERR_INIT;

    begin(&s, ORDER_COLLECTED);
    s.h.fail_verify = E_CERT_REJECTED;
    assert_fails(drive(&s, &err), &err, E_CERT_REJECTED, "verifying did not work");
    is_in(&s, ORDER_REJECTED);
    assert_string_equal(s.order.last_error, "verifying did not work");
    assert_int_equal(s.h.binds, 0);
}

static void test_verification_that_fails_otherwise_can_be_repeated(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct err err = ERR_INIT;

    begin(&s, ORDER_COLLECTED);
    s.h.fail_verify = E_CONFIG;
    assert_fails(drive(&s, &err), &err, E_CONFIG, "verifying did not work");
    is_in(&s, ORDER_COLLECTED);
    s.h.fail_verify = E_NONE;
    assert_ok(drive(&s, &err), &err);
    assert_null(s.order.last_error);
}

static void test_failing_bind_can_be_repeated(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct err err = ERR_INIT;

    begin(&s, ORDER_COLLECTED);
    s.h.fail_bind = E_TOKEN_MISSING;
    assert_fails(drive(&s, &err), &err, E_TOKEN_MISSING, "binding did not work");
    is_in(&s, ORDER_VERIFIED);
    s.h.fail_bind = E_NONE;
    assert_ok(drive(&s, &err), &err);
    assert_int_equal(s.h.verifies, 1);
    is_in(&s, ORDER_DONE);
}

static void test_done_order_stays_done(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct err err = ERR_INIT;

    begin(&s, ORDER_DONE);
    assert_ok(drive(&s, &err), &err);
    assert_int_equal(s.h.told, 0);
}

static void test_failed_order_says_why(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct err err = ERR_INIT;

    begin(&s, ORDER_FAILED);
    assert_ok(order_set(&s.order.ca_text, "Declined", &err), &err);
    assert_fails(drive(&s, &err), &err, E_ORDER_FAILED,
                 "order 1 (77 at the CA) has ended: the CA says 'Declined'");
}

static void test_rejected_order_says_why(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct err err = ERR_INIT;

    begin(&s, ORDER_REJECTED);
    assert_ok(order_set(&s.order.last_error, "wrong key", &err), &err);
    assert_fails(drive(&s, &err), &err, E_CERT_REJECTED,
                 "order 1: its certificate was rejected: wrong key");
}

static void test_order_that_cannot_be_saved_stops(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct err err = ERR_INIT;

    begin(&s, ORDER_COLLECTED);
    s.order.id = 99;
    assert_fails(drive(&s, &err), &err, E_JOURNAL, "order 99 cannot be saved");
    assert_int_equal(s.order.state, ORDER_COLLECTED);
    assert_int_equal(s.h.binds, 0);
}

/* order.h: "NULL: stop before the CA is needed". In a child: it may not survive. */
static bool drive_without_a_ca(void *ctx)
{
    struct scene *s = ctx;
    struct err err = ERR_INIT;

    return !drive(s, &err) && err.code != E_NONE && s->order.state == ORDER_SIGNED;
}

static void test_without_a_ca_it_stops_before_one_is_needed(void **state UNUSED)
{
    AUTO(scene) struct scene s;

    begin(&s, ORDER_SIGNED);
    assert_child_ok(unit_child(drive_without_a_ca, &s));
}

/* With a CA that cannot be reached */

static void test_order_that_was_not_sent_can_be_sent_again(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct err err = ERR_INIT;

    begin(&s, ORDER_PLANNED);
    add_unreachable_ca(&s);
    assert_fails(drive(&s, &err), &err, E_NETWORK, "enroll: POST /api/ssl/v1/enroll");
    is_in(&s, ORDER_SIGNED);
    assert_golden(tmp_printf("%.*s", (int)strcspn(strstr(events(&s), "signed: not"), "\n") + 1,
                             strstr(events(&s), "signed: not")),
                  "signed: not ordered\n");
    assert_int_equal(fake.sleeps, 0);
}

static void test_intent_is_written_before_the_request(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct err err = ERR_INIT;

    begin(&s, ORDER_SIGNED);
    add_unreachable_ca(&s);
    assert_false(drive(&s, &err));
    assert_contains(events(&s), "submitting: sending the request to the CA\nsigned: not ordered\n");
}

static void test_order_that_cannot_be_built_is_refused(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct err err = ERR_INIT;

    begin(&s, ORDER_SIGNED);
    add_unreachable_ca(&s);
    assert_ok(order_set(&s.order.custom_fields, "nonsense", &err), &err);
    assert_fails(drive(&s, &err), &err, E_CONFIG, "custom_fields");
    is_in(&s, ORDER_SIGNED);
}

static void test_waiting_goes_on_while_the_network_is_away(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct err err = ERR_INIT;

    begin(&s, ORDER_PENDING);
    add_unreachable_ca(&s);
    assert_fails(drive(&s, &err), &err, E_NETWORK,
                 "order 1 (77 at the CA) could not be asked about: status: ");
    is_in(&s, ORDER_PENDING);
    assert_int_equal(fake.ms - 1000000, 100000);
    assert_in_range(s.h.longest_wait_ms, 36000, 54000);
}

static void test_unreachable_ca_leaves_the_state(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct err err = ERR_INIT;

    begin(&s, ORDER_WAITING);
    add_unreachable_ca(&s);
    s.drive.backoff.deadline_ms = 0;
    assert_fails(drive(&s, &err), &err, E_NETWORK, "could not be asked about");
    is_in(&s, ORDER_WAITING);
}

static void test_deadline_of_zero_asks_once(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct err err = ERR_INIT;

    begin(&s, ORDER_PENDING);
    add_unreachable_ca(&s);
    s.drive.backoff.deadline_ms = 0;
    assert_fails(drive(&s, &err), &err, E_NETWORK, "");
    assert_int_equal(s.h.longest_wait_ms, 0);
}

static void test_powers_ask_a_number_of_times(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct err err = ERR_INIT;

    begin(&s, ORDER_ISSUED);
    add_unreachable_ca(&s);
    s.drive.backoff = (struct backoff){
        .kind = BACKOFF_POWER, .base_s = 2, .max_s = 8, .attempts = 3, .scale_percent = 100};
    assert_fails(drive(&s, &err), &err, E_NETWORK, "collect: ");
    assert_int_equal(s.h.longest_wait_ms, 4000);
}

static void test_signal_while_waiting_interrupts(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct err err = ERR_INIT;

    begin(&s, ORDER_PENDING);
    add_unreachable_ca(&s);
    fake.stopped = true;
    assert_fails(drive(&s, &err), &err, E_INTERRUPTED, "interrupted");
    is_in(&s, ORDER_PENDING);
}

static void
test_crash_while_sending_leads_to_a_search_and_never_to_a_second_order(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct err err = ERR_INIT;

    begin(&s, ORDER_SUBMITTING);
    add_unreachable_ca(&s);
    assert_fails(drive(&s, &err), &err, E_NETWORK, "looking for the order");
    is_in(&s, ORDER_AMBIGUOUS);
    assert_contains(events(&s), "ambiguous: a process ended while it was sending the request\n");
    assert_lacks(events(&s), "sending the request to the CA");
}

static void test_order_without_a_number_is_reported(void **state UNUSED)
{
    AUTO(scene) struct scene s;
    struct err err = ERR_INIT;

    begin(&s, ORDER_PENDING);
    add_unreachable_ca(&s);
    assert_ok(order_set(&s.order.ca_state, "{}", &err), &err);
    assert_fails(drive(&s, &err), &err, E_JOURNAL, "no usable number for this order");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_failing_key_keeps_the_state),
        cmocka_unit_test(test_failing_signature_keeps_the_state),
        cmocka_unit_test(test_second_drive_does_what_is_left),
        cmocka_unit_test(test_collected_order_is_verified_bound_and_done),
        cmocka_unit_test(test_verified_order_is_bound),
        cmocka_unit_test(test_rejected_certificate_ends_the_order),
        cmocka_unit_test(test_verification_that_fails_otherwise_can_be_repeated),
        cmocka_unit_test(test_failing_bind_can_be_repeated),
        cmocka_unit_test(test_done_order_stays_done),
        cmocka_unit_test(test_failed_order_says_why),
        cmocka_unit_test(test_rejected_order_says_why),
        cmocka_unit_test(test_order_that_cannot_be_saved_stops),
        cmocka_unit_test(test_without_a_ca_it_stops_before_one_is_needed),
        cmocka_unit_test(test_order_that_was_not_sent_can_be_sent_again),
        cmocka_unit_test(test_intent_is_written_before_the_request),
        cmocka_unit_test(test_order_that_cannot_be_built_is_refused),
        cmocka_unit_test(test_waiting_goes_on_while_the_network_is_away),
        cmocka_unit_test(test_unreachable_ca_leaves_the_state),
        cmocka_unit_test(test_deadline_of_zero_asks_once),
        cmocka_unit_test(test_powers_ask_a_number_of_times),
        cmocka_unit_test(test_signal_while_waiting_interrupts),
        cmocka_unit_test(test_crash_while_sending_leads_to_a_search_and_never_to_a_second_order),
        cmocka_unit_test(test_order_without_a_number_is_reported),
    };

    return UNIT_RUN(tests);
}
