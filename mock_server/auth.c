/* SPDX-License-Identifier: Apache-2.0 */
/* auth.c - see the header.  Nothing here is logged. */
#include "mock_server/auth.h"

#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/mem.h"
#include "base/str.h"
#include "mock_server/jw.h"
#include "mock_server/server.h"
#include "mock_server/util.h"

void auth_mac(const mock_server *srv, const char *text, char mac[AUTH_MAC_SIZE])
{
    unsigned char digest[32];
    char encoded[64];
    unsigned int size = sizeof digest;
    HMAC(EVP_sha256(), srv->secret, MOCK_SECRET_SIZE, (const unsigned char *)text,
         strlen(text), digest, &size);
    mock_base64url(digest, sizeof digest, encoded);
    memcpy(mac, encoded, 44);
    mac[43] = '\0';
}

bool auth_mac_fits(const mock_server *srv, const char *text, const char *mac)
{
    char want[AUTH_MAC_SIZE];
    auth_mac(srv, text, want);
    return strlen(mac) == strlen(want) && CRYPTO_memcmp(mac, want, strlen(want)) == 0;
}

void auth_make_token(const mock_server *srv, const char *owner,
                     char token[AUTH_TOKEN_SIZE])
{
    static const char head[] = "{\"alg\":\"HS256\",\"typ\":\"JWT\"}";
    char payload[400], part[640], mac[AUTH_MAC_SIZE];
    int64_t now = mock_now_ms() / 1000;
    int n;
    snprintf(payload, sizeof payload,
             "{\"sub\":\"%s\",\"org_id\":\"mock\",\"email\":\"%.8s@mock.invalid\","
             "\"iat\":%lld,\"exp\":%lld,\"iss\":\"passport-mock\"}",
             owner, owner + strlen("tml:user:"), (long long)now,
             (long long)now + srv->opt.jwt_s);
    mock_base64url(head, strlen(head), part);
    n = snprintf(token, AUTH_TOKEN_SIZE, "%s", part);
    mock_base64url(payload, strlen(payload), part);
    n += snprintf(token + n, AUTH_TOKEN_SIZE - (size_t)n, ".%s", part);
    auth_mac(srv, token, mac);
    snprintf(token + n, AUTH_TOKEN_SIZE - (size_t)n, ".%s", mac);
}

/* The claims of a token whose signature fits. */
static auth_result read_claims(const char *payload, size_t size,
                               char owner[AUTH_OWNER_SIZE])
{
    char text[768];
    tkx__arena arena;
    const jv *claims;
    const char *sub;
    int64_t exp;
    auth_result result = AUTH_BAD;
    ptrdiff_t n = size < 700 ? tkx__base64_decode(payload, size, text) : -1;
    if (n < 0)
        return AUTH_BAD;
    tkx__arena_init(&arena, 1024, 65536);
    if (jv_parse(&arena, text, (size_t)n, &claims, NULL) == TKX_OK &&
        (sub = jv_get_str(claims, "sub")) != NULL && strlen(sub) < AUTH_OWNER_SIZE &&
        jv_i64(jv_get(claims, "exp"), &exp)) {
        memcpy(owner, sub, strlen(sub) + 1);
        result = exp * 1000 > mock_now_ms() ? AUTH_OK : AUTH_EXPIRED;
    }
    tkx__arena_clear(&arena);
    return result;
}

static auth_result check_token(const mock_server *srv, const char *token,
                               char owner[AUTH_OWNER_SIZE])
{
    char text[AUTH_TOKEN_SIZE];
    const char *first = strchr(token, '.');
    const char *second = first ? strchr(first + 1, '.') : NULL;
    if (!second || (size_t)(second - token) >= sizeof text)
        return AUTH_BAD;
    memcpy(text, token, (size_t)(second - token));
    text[second - token] = '\0';
    if (!auth_mac_fits(srv, text, second + 1))
        return AUTH_BAD;
    return read_claims(first + 1, (size_t)(second - first - 1), owner);
}

static bool key_is_good(const mock_server *srv, const char *key)
{
    const char *own = srv->opt.api_key;
    if (own)
        return strlen(key) == strlen(own) && CRYPTO_memcmp(key, own, strlen(own)) == 0;
    return tkx__starts_with(key, "tml-");
}

auth_result auth_owner(const mock_server *srv, const char *credential,
                       char owner[AUTH_OWNER_SIZE])
{
    char digest[MOCK_SHA_SIZE];
    if (tkx__starts_with(credential, "eyJ"))
        return check_token(srv, credential, owner);
    if (!key_is_good(srv, credential))
        return AUTH_BAD;
    mock_sha256_hex(credential, strlen(credential), digest);
    snprintf(owner, AUTH_OWNER_SIZE, "tml:user:%.16s", digest);
    return AUTH_OK;
}

static bool refuse(call *c, bool is_token)
{
    if (is_token) {
        call_set_header(c, "WWW-Authenticate",
                        "Bearer realm=\"tinker\", error=\"invalid_token\"");
        call_error(c, 401, "the token is not valid (any more): exchange the key again");
        return false;
    }
    call_error(c, 401, "Invalid API key: X-API-Key is missing or not accepted here");
    return false;
}

/* Servers that want none take any. */
static bool check_open_dialect(call *c, const char *key)
{
    char digest[MOCK_SHA_SIZE], owner[AUTH_OWNER_SIZE];
    if (c->srv->opt.dialect == DIALECT_TWINKLE && !call_header_in(c, "x-request-id")) {
        call_error(c, 400, "x-request-id is missing");
        return false;
    }
    mock_sha256_hex(key, strlen(key), digest);
    snprintf(owner, sizeof owner, "tml:user:%.16s", digest);
    c->owner = call_keep(c, owner);
    return true;
}

bool auth_check(call *c)
{
    const mock_server *srv = c->srv;
    char owner[AUTH_OWNER_SIZE];
    const char *key = call_header_in(c, "X-API-Key");
    bool is_token = key && tkx__starts_with(key, "eyJ");
    c->owner = "tml:user:nobody";
    if (c->route->flags & ROUTE_OPEN)
        return true;
    if (srv->opt.dialect == DIALECT_TWINKLE || srv->opt.dialect == DIALECT_SKYRL)
        return check_open_dialect(c, key ? key : "");
    if (!key || auth_owner(srv, key, owner) != AUTH_OK)
        return refuse(c, is_token);
    if (srv->opt.jwt_s > 0 && !is_token && !(c->route->flags & ROUTE_RAW_KEY))
        return refuse(c, true);
    c->owner = call_keep(c, owner);
    return true;
}
