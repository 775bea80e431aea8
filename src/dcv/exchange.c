#include "dcv/dns.h"

#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/rand.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { TRIES = 3, POLL_MS = 100 };

/* One question on its way. */
struct question {
    const struct dns_server *server;
    const struct dcv_look *look;
    const char *name;
    enum dns_type type;
    dns_value_fn *visit;
    void *ctx;
    uint16_t id;
    struct buf message;
};

static int64_t now_ms(void)
{
    struct timespec now = {.tv_sec = 0};

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
    }
}

DEFINE_AUTO_DONE(fd, int, close_fd)

static bool is_stopped(const struct question *question)
{
    return question->look->stop != NULL && *question->look->stop;
}

/* Whether a descriptor becomes ready before the end; with short naps, to see a wish to stop. */
static bool wait_ready(const struct question *question, int fd, short events, int64_t end_ms)
{
    while (!is_stopped(question)) {
        int64_t left = end_ms - now_ms();
        struct pollfd poll_fd = {.fd = fd, .events = events};
        if (left <= 0) {
            return false;
        }
        if (poll(&poll_fd, 1, left < POLL_MS ? (int)left : POLL_MS) > 0) {
            return true;
        }
    }
    return false;
}

static bool no_way(int saved_errno)
{
    return saved_errno == ENETUNREACH || saved_errno == EHOSTUNREACH ||
           saved_errno == EADDRNOTAVAIL || saved_errno == EAFNOSUPPORT;
}

/* A connected socket gets answers from that server alone. */
static enum dns_exchange open_socket(const struct question *question, int type, int *fd)
{
    const struct dns_server *server = question->server;

    *fd = socket(server->address.ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (*fd < 0) {
        return no_way(errno) ? DNS_NO_WAY : DNS_SILENT;
    }
    if (connect(*fd, (const struct sockaddr *)&server->address, server->address_len) == 0 ||
        errno == EINPROGRESS) {
        return DNS_ANSWERED;
    }
    return no_way(errno) ? DNS_NO_WAY : DNS_SILENT;
}

static bool take_answer(const struct question *question, const uint8_t *data, size_t len,
                        struct dns_answer *out)
{
    return dns_parse(data, len, question->id, question->name, question->type, question->visit,
                     question->ctx, out);
}

/* Waits for an answer to what was sent; others are passed over. */
static enum dns_exchange receive_udp(const struct question *question, int fd, int64_t end_ms,
                                     struct dns_answer *out)
{
    uint8_t data[4096];

    while (wait_ready(question, fd, POLLIN, end_ms)) {
        ssize_t got = recv(fd, data, sizeof(data), 0);
        if (got < 0 && errno != EAGAIN && errno != EINTR) {
            return no_way(errno) ? DNS_NO_WAY : DNS_SILENT;
        }
        if (got > 0 && take_answer(question, data, (size_t)got, out)) {
            return DNS_ANSWERED;
        }
    }
    return is_stopped(question) ? DNS_STOPPED : DNS_SILENT;
}

static enum dns_exchange ask_udp(const struct question *question, struct dns_answer *out)
{
    int64_t each = question->look->timeout_ms / TRIES;
    AUTO(fd) int fd = -1;
    enum dns_exchange result = open_socket(question, SOCK_DGRAM, &fd);

    for (int i = 0; result == DNS_ANSWERED && i < TRIES; i++) {
        if (send(fd, question->message.data, question->message.len, MSG_NOSIGNAL) < 0 &&
            no_way(errno)) {
            return DNS_NO_WAY;
        }
        enum dns_exchange now = receive_udp(question, fd, now_ms() + each, out);
        if (now != DNS_SILENT || i + 1 == TRIES) {
            return now;
        }
    }
    return result;
}

/* Sends or reads exactly that much. */
static bool move_all(const struct question *question, int fd, uint8_t *data, size_t len, bool write,
                     int64_t end_ms)
{
    size_t at = 0;

    while (at < len) {
        if (!wait_ready(question, fd, write ? POLLOUT : POLLIN, end_ms)) {
            return false;
        }
        ssize_t done =
            write ? send(fd, data + at, len - at, MSG_NOSIGNAL) : recv(fd, data + at, len - at, 0);
        if (done > 0) {
            at += (size_t)done;
        } else if (done == 0 || (errno != EAGAIN && errno != EINTR)) {
            return false;
        }
    }
    return true;
}

/* RFC 1035 section 4.2.2: two bytes of length before each message. */
static enum dns_exchange ask_tcp(const struct question *question, struct dns_answer *out)
{
    AUTO(fd) int fd = -1;
    AUTO(buf) struct buf sent = BUF_INIT(DNS_UDP_MAX);
    AUTO(bytes) uint8_t *data = malloc(DNS_MESSAGE_MAX);
    int64_t end = now_ms() + question->look->timeout_ms;
    uint8_t length[2];
    enum dns_exchange result = open_socket(question, SOCK_STREAM, &fd);

    buf_add_byte(&sent, (uint8_t)(question->message.len >> 8));
    buf_add_byte(&sent, (uint8_t)(question->message.len & 0xff));
    buf_add(&sent, question->message.data, question->message.len);
    if (result != DNS_ANSWERED || data == NULL || !buf_ok(&sent)) {
        return result != DNS_ANSWERED ? result : DNS_SILENT;
    }
    if (move_all(question, fd, sent.data, sent.len, true, end) &&
        move_all(question, fd, length, sizeof(length), false, end)) {
        size_t len = (size_t)(length[0] << 8 | length[1]);
        if (move_all(question, fd, data, len, false, end) &&
            take_answer(question, data, len, out)) {
            return DNS_ANSWERED;
        }
    }
    return is_stopped(question) ? DNS_STOPPED : DNS_SILENT;
}

enum dns_exchange dns_ask(const struct dns_server *server, const struct dcv_look *look,
                          const char *name, enum dns_type type, dns_value_fn *visit, void *ctx,
                          struct dns_answer *out)
{
    struct question question = {.server = server,
                                .look = look,
                                .name = name,
                                .type = type,
                                .visit = visit,
                                .ctx = ctx,
                                .message = BUF_INIT(DNS_UDP_MAX)};
    struct err ignored = ERR_INIT;
    enum dns_exchange result = DNS_SILENT;

    *out = (struct dns_answer){.rcode = 0};
    if (RAND_bytes((unsigned char *)&question.id, sizeof(question.id)) == 1 &&
        dns_build(name, type, question.id, false, &question.message, &ignored)) {
        result = ask_udp(&question, out);
        if (result == DNS_ANSWERED && out->truncated) {
            result = ask_tcp(&question, out);
        }
    }
    buf_done(&question.message);
    return result;
}
