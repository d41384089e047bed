/* SPDX-License-Identifier: Apache-2.0 */
/* fixtures_rules.h - where our client means to differ from the SDK. */
#ifndef TESTS_CONFORMANCE_FIXTURES_RULES_H
#define TESTS_CONFORMANCE_FIXTURES_RULES_H

#include "fixtures.h"

/* Is our status right for an error that the SDK sorts otherwise? */
bool fixture_rule_status(const fixture *f, const char *domain, int64_t http_status,
                         tkx_status ours);
/* Is a pause of ours what is expected from waits[from] on?  How many of them; 0: no. */
size_t fixture_rule_wait(const fixture *f, const jdom *waits, size_t from, int64_t ms);
/* May there be a pause after the kth request that the SDK does not take? */
bool fixture_rule_extra_wait(const fixture *f, size_t k, int64_t ms);
/* Does the end of a wait go unmentioned in the case? */
bool fixture_rule_silent_end(const fixture *f);
/* May the route be asked so often more? */
bool fixture_rule_more_requests(const fixture *f, int64_t more);
/* ... or so often less? */
bool fixture_rule_fewer_requests(const fixture *f, int64_t fewer);
/* Do we go on where this status ends the SDK's call? */
bool fixture_rule_other_way(const fixture *f, int64_t http);
/* Is it the end of a wait, which an unreadable answer may leave untold? */
bool fixture_rule_silent_failure(const jdom *last_event);
/* The same values with our own padding? */
bool fixture_rule_padded(const fixture *f, const jdom *ours, const jdom *theirs);

#endif
