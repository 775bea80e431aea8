#include "x509/x509.h"

#include "base/str.h"

#include <arpa/inet.h>
#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

static void extensions_free(X509_EXTENSIONS *list)
{
    sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
}

DEFINE_AUTO(csr_extensions, X509_EXTENSIONS *, extensions_free)
DEFINE_AUTO(csr_names, GENERAL_NAMES *, GENERAL_NAMES_free)

/* The text as it stands there; NULL if it has a NUL byte within, or there is no memory. */
static char *text_of(const ASN1_STRING *string)
{
    size_t len = (size_t)ASN1_STRING_length(string);
    char *copy = str_ndup((const char *)ASN1_STRING_get0_data(string), len);

    if (copy != NULL && strlen(copy) != len) {
        free(copy);
        return NULL;
    }
    return copy;
}

/* Only one that is written like a name: a person's CN is none. Whether it was. */
static bool add_cn(X509_REQ *csr, struct x509_names *out)
{
    X509_NAME *subject = X509_REQ_get_subject_name(csr);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    struct err ignored = ERR_INIT;
    unsigned char *text = NULL;

    if (at < 0) {
        return false;
    }
    int len =
        ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    bool added = len > 0 && memchr(text, '\0', (size_t)len) == NULL &&
                 strchr((char *)text, '.') != NULL && x509_names_add(out, (char *)text, &ignored);
    OPENSSL_free(text);
    ERR_clear_error();
    return added;
}

static bool add_address(const ASN1_OCTET_STRING *ip, struct x509_names *out, struct err *err)
{
    char text[INET6_ADDRSTRLEN];
    int len = ASN1_STRING_length(ip);

    if (len != 4 && len != 16) {
        return err_set(err, E_USAGE, "the request asks for an IP address of %d bytes", len);
    }
    (void)inet_ntop(len == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(ip), text, sizeof(text));
    return x509_names_add(out, text, err);
}

static bool add_one(const GENERAL_NAME *name, struct x509_names *out, struct err *err)
{
    if (name->type == GEN_IPADD) {
        return add_address(name->d.iPAddress, out, err);
    }
    if (name->type != GEN_DNS && name->type != GEN_EMAIL) {
        return err_set(err, E_USAGE,
                       "the request asks for an alternative name that is no DNS name, IP address "
                       "or e-mail address; such a name cannot be ordered");
    }
    AUTO(str) char *text = text_of(name->type == GEN_DNS ? name->d.dNSName : name->d.rfc822Name);
    if (text == NULL) {
        return err_set(err, E_USAGE, "a name in the request cannot be read");
    }
    return x509_names_add(out, text, err);
}

bool x509_names_of_csr(X509_REQ *csr, struct x509_names *out, struct err *err)
{
    AUTO(csr_extensions) X509_EXTENSIONS *extensions = X509_REQ_get_extensions(csr);
    AUTO(csr_names)
    GENERAL_NAMES *names =
        extensions != NULL ? X509V3_get_d2i(extensions, NID_subject_alt_name, NULL, NULL) : NULL;

    (void)add_cn(csr, out);
    for (int i = 0; names != NULL && i < sk_GENERAL_NAME_num(names); i++) {
        if (!add_one(sk_GENERAL_NAME_value(names, i), out, err)) {
            return false;
        }
    }
    ERR_clear_error();
    return true;
}
