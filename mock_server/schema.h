/* SPDX-License-Identifier: Apache-2.0 */
/* schema.h - the tables of DIR/records.sqlite; docs/design/mock_server.md tells them. */
#ifndef MOCK_SCHEMA_H
#define MOCK_SCHEMA_H

extern const char mock_schema[];

#endif
