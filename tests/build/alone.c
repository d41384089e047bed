/* SPDX-License-Identifier: Apache-2.0 */
/* alone.c - what a public header stands before when headers.cmake compiles it. */
extern int a_declaration;
