#!/usr/bin/env bash
# The RL example learns: a short run of one seed raises the reward above the warm-up's.
. "$(dirname "$0")/lib.sh"
start_server

RUN_SECONDS=400 run 0 "$TKX_BIN/tkx-example-rl" --seeds 1 --warm-up 25 --iterations 25
prints '^mean reward of 1 seed\(s\): start 0\.'
awk '/^    mean reward /{r[++n] = $3}
     END {exit !(n == 3 && r[2] > r[1] + 0.05 && r[3] > r[2] + 0.05)}' "$work/out.txt" ||
    {
        cat "$work/out.txt" >&2
        fail "the reward does not rise"
    }

run 2 "$TKX_BIN/tkx-example-rl" --seeds
says "usage: tkx-example-rl"
run 1 "$TKX_BIN/tkx-example-rl" --model no/such-model
says "no/such-model"
stop_server
