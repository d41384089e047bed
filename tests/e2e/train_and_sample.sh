#!/usr/bin/env bash
# The main job: fine-tune through the command line, save, sample before and after.
. "$(dirname "$0")/lib.sh"
start_server

cat >"$work/data.jsonl" <<'DATA'
{"prompt": "colour of the sky?", "completion": " blue"}

{"prompt": "colour of grass?", "completion": " green"}
DATA

run 0 "$TKX_BIN/tkx" sample --base-model tkx/bytes --prompt "colour of grass?" --max-tokens 6 \
    --temperature 0 --json
before=$(json_text text <"$work/out.txt")
prints '^\{"text":.*"tokens":\[.*"logprobs":\[.*"stop_reason":"(stop|length)"'

run 0 "$TKX_BIN/tkx" train sft --data "$work/data.jsonl" --model tkx/bytes --rank 8 --steps 40 --lr 0.003 \
    --batch-size 2 --save colours --json
[ "$(grep -c '"step":' "$work/out.txt")" = 40 ] || fail "not 40 steps"
prints '^\{"step":1,"loss":[0-9.]+,"tokens":[0-9]+\}$'
first=$(sed -n '1s/.*"loss":\([0-9.]*\).*/\1/p' "$work/out.txt")
last=$(sed -n '40s/.*"loss":\([0-9.e-]*\).*/\1/p' "$work/out.txt")
awk -v a="$first" -v b="$last" 'BEGIN { exit !(b < a / 2) }' || fail "loss went from $first to $last"
path=$(tail -n 1 "$work/out.txt" | json_text path)
case $path in
tinker://*/sampler_weights/colours) ;;
*) fail "the path is '$path'" ;;
esac

run 0 "$TKX_BIN/tkx" sample --model-path "$path" --prompt "colour of grass?" --max-tokens 8 --temperature 0 --json
after=$(json_text text <"$work/out.txt")
[ "$after" = " green" ] || fail "after training it says '$after' (before: '$before')"
[ "$before" != "$after" ] || fail "training changed nothing"
prints '"stop_reason":"stop"'

# The same seed gives the same samples; num-samples gives that many lines.
run 0 "$TKX_BIN/tkx" sample --model-path "$path" --prompt "x" --max-tokens 5 --seed 7 --num-samples 3 --json
[ "$(wc -l <"$work/out.txt")" = 3 ] || fail "not 3 samples"
cp "$work/out.txt" "$work/once.txt"
run 0 "$TKX_BIN/tkx" sample --model-path "$path" --prompt "x" --max-tokens 5 --seed 7 --num-samples 3 --json
cmp "$work/once.txt" "$work/out.txt" || fail "the same seed gave other samples"

# Prompts may be ids; a stop string ends a sample.
run 0 "$TKX_BIN/tkx" sample --model-path "$path" --prompt-tokens 99,111,108,111,117,114,32,111,102,32,103,114,97,115,115,63 \
    --max-tokens 8 --temperature 0 --stop re --json
prints '"text":" gre"'

# The server keeps what it saved over a restart.
stop_server
start_server
run 0 "$TKX_BIN/tkx" sample --model-path "$path" --prompt "colour of grass?" --max-tokens 8 --temperature 0 --json
[ "$(json_text text <"$work/out.txt")" = " green" ] || fail "the checkpoint did not survive a restart"
stop_server
