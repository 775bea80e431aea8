#include "x509/x509.h"

#include "base/str.h"

#include <openssl/bio.h>
#include <openssl/x509v3.h>
#include <time.h>

DEFINE_AUTO(bio, BIO *, BIO_free_all)
DEFINE_AUTO(eku, EXTENDED_KEY_USAGE *, EXTENDED_KEY_USAGE_free)

static char *name_text(const X509_NAME *name)
{
    AUTO(bio) BIO *mem = BIO_new(BIO_s_mem());
    char *data = NULL;

    if (mem == NULL ||
        X509_NAME_print_ex(mem, name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) < 0) {
        return NULL;
    }
    long len = BIO_get_mem_data(mem, &data);
    return str_ndup(data, (size_t)len);
}

static char *serial_text(X509 *cert)
{
    const ASN1_INTEGER *serial = X509_get0_serialNumber(cert);
    size_t len = (size_t)ASN1_STRING_length(serial); /* at most 20 by RFC 5280, and CAs err */
    AUTO(buf) struct buf hex = BUF_INIT(2 * len + 1);

    str_add_hex(&hex, ASN1_STRING_get0_data(serial), len, '\0');
    return buf_take_str(&hex);
}

bool x509_seconds(const ASN1_TIME *time, int64_t *out)
{
    struct tm tm;

    if (ASN1_TIME_to_tm(time, &tm) != 1) {
        return false;
    }
    *out = (int64_t)timegm(&tm);
    return true;
}

static void read_usage(X509 *cert, struct x509_info *out)
{
    AUTO(eku) EXTENDED_KEY_USAGE *usage = X509_get_ext_d2i(cert, NID_ext_key_usage, NULL, NULL);

    out->has_eku = usage != NULL;
    out->can_client_auth = usage == NULL;
    for (int i = 0; usage != NULL && i < sk_ASN1_OBJECT_num(usage); i++) {
        int nid = OBJ_obj2nid(sk_ASN1_OBJECT_value(usage, i));
        if (nid == NID_client_auth || nid == NID_anyExtendedKeyUsage) {
            out->can_client_auth = true;
        }
    }
}

void x509_info_done(struct x509_info *info)
{
    free(info->subject);
    free(info->issuer);
    free(info->serial);
    *info = (struct x509_info){.subject = NULL};
}

bool x509_info(X509 *cert, struct x509_info *out, struct err *err)
{
    *out = (struct x509_info){
        .subject = name_text(X509_get_subject_name(cert)),
        .issuer = name_text(X509_get_issuer_name(cert)),
        .serial = serial_text(cert),
    };
    if (out->subject == NULL || out->issuer == NULL || out->serial == NULL) {
        x509_info_done(out);
        return err_nomem(err);
    }
    if (!x509_seconds(X509_get0_notBefore(cert), &out->not_before_s) ||
        !x509_seconds(X509_get0_notAfter(cert), &out->not_after_s)) {
        x509_info_done(out);
        return err_set(err, E_CERT_REJECTED, "the certificate has dates that cannot be read");
    }
    read_usage(cert, out);
    return true;
}
