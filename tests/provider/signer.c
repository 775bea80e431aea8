/*
 * A server that keeps a token key, as far as the key is concerned: it loads it once and then does
 * what the lines of its standard input say, while the test does things to the token.
 *
 *   p11signer URI
 *     sign     one signature, verified; "ok", or "failed" and the errors
 *     load     loads the key once more, and answers likewise
 *     fork N   N children sign at the same time; "ok" if all of them did
 */
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/store.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void answer(bool ok)
{
    printf("%s\n", ok ? "ok" : "failed");
    for (unsigned long code = 0;;) {
        const char *data = NULL;
        char text[256];
        code = ERR_get_error_all(NULL, NULL, NULL, &data, NULL);
        if (code == 0) {
            break;
        }
        ERR_error_string_n(code, text, sizeof(text));
        printf("  %s: %s\n", text, data);
    }
    printf(".\n");
    (void)fflush(stdout);
}

static EVP_PKEY *load(const char *uri)
{
    OSSL_STORE_CTX *store = OSSL_STORE_open(uri, NULL, NULL, NULL, NULL);
    OSSL_STORE_INFO *info = store != NULL ? OSSL_STORE_load(store) : NULL;
    EVP_PKEY *key = info != NULL ? OSSL_STORE_INFO_get1_PKEY(info) : NULL;

    OSSL_STORE_INFO_free(info);
    OSSL_STORE_close(store);
    return key;
}

static bool sign(EVP_PKEY *key)
{
    static const unsigned char message[] = "a handshake";
    unsigned char value[1024];
    size_t len = sizeof(value);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
              EVP_DigestSign(ctx, value, &len, message, sizeof(message)) == 1;

    EVP_MD_CTX_reset(ctx);
    ok = ok && EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
         EVP_DigestVerify(ctx, value, len, message, sizeof(message)) == 1;
    EVP_MD_CTX_free(ctx);
    return ok;
}

static bool sign_in_children(EVP_PKEY *key, int count)
{
    bool ok = true;

    for (int i = 0; i < count; i++) {
        if (fork() == 0) {
            bool good = sign(key) && sign(key) && sign(key);
            if (!good) {
                answer(false);
            }
            exit(good ? 0 : 1);
        }
    }
    for (int i = 0; i < count; i++) {
        int status = 0;
        ok = wait(&status) > 0 && status == 0 && ok;
    }
    return ok;
}

int main(int argc, char **argv)
{
    char line[64];

    if (argc != 2) {
        return 2;
    }
    EVP_PKEY *key = load(argv[1]);
    answer(key != NULL);
    while (key != NULL && fgets(line, sizeof(line), stdin) != NULL) {
        if (strcmp(line, "sign\n") == 0) {
            answer(sign(key));
        } else if (strcmp(line, "load\n") == 0) {
            EVP_PKEY *again = load(argv[1]);
            answer(again != NULL && sign(again));
            EVP_PKEY_free(again);
        } else if (strncmp(line, "fork ", 5) == 0) {
            answer(sign_in_children(key, atoi(line + 5)));
        }
    }
    EVP_PKEY_free(key);
    return key == NULL;
}
