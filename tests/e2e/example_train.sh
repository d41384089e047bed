#!/usr/bin/env bash
# The first example learns its text, and says why it cannot.
. "$(dirname "$0")/lib.sh"
start_server

run 0 "$TKX_BIN/tkx-example-train"
prints '^step 1: loss [0-9]'
prints '^step 30: loss 0\.[0-9]'
prints '^sample: \.\.\.e, or not to be, that is the question\.$'

run 2 "$TKX_BIN/tkx-example-train" tkx/bytes
says "usage: "
run 1 "$TKX_BIN/tkx-example-train" no/such-model bytes
says "no/such-model"
stop_server
