/* The one symbol of p11enroll.so. The client does not link this file: it registers prov_init()
 * itself. */
#include "provider/provider.h"

__attribute__((visibility("default"))) OSSL_provider_init_fn OSSL_provider_init;

int OSSL_provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in,
                       const OSSL_DISPATCH **out, void **provctx)
{
    return prov_init(handle, in, out, provctx);
}
