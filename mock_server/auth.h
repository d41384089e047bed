/* SPDX-License-Identifier: Apache-2.0 */
/*
 * auth.h - keys, signed tokens, and signed links.
 *
 * A key is never kept: an owner is named by the hash of his key.  Tokens are JWS with
 * HS256, links carry an expiry and a MAC; both are made with the server's secret.
 */
#ifndef MOCK_AUTH_H
#define MOCK_AUTH_H

#include "mock_server/call.h"

enum { AUTH_OWNER_SIZE = 40, AUTH_TOKEN_SIZE = 1024, AUTH_MAC_SIZE = 44 };

typedef enum auth_result { AUTH_OK, AUTH_BAD, AUTH_EXPIRED } auth_result;

/* Who a credential (key or token) belongs to. */
auth_result auth_owner(const mock_server *srv, const char *credential,
                       char owner[AUTH_OWNER_SIZE]);

/* Check a call's credential as its route wants it; false: the answer is filled in. */
bool auth_check(call *c);

/* A token for owner that lives for the server's --jwt seconds. */
void auth_make_token(const mock_server *srv, const char *owner,
                     char token[AUTH_TOKEN_SIZE]);

/* The MAC of a text, in URL-safe characters. */
void auth_mac(const mock_server *srv, const char *text, char mac[AUTH_MAC_SIZE]);
bool auth_mac_fits(const mock_server *srv, const char *text, const char *mac);

#endif
