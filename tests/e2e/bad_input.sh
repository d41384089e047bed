#!/usr/bin/env bash
# Every mistake has an answer that says what was tried, on what, and what to do.
. "$(dirname "$0")/lib.sh"
tkx=$TKX_BIN/tkx
echo '{"prompt": "a", "completion": "b"}' >"$work/good.jsonl"
train=(--model tkx/bytes --rank 2 --steps 1 --lr 0.001 --batch-size 1 --save x)

# Flags.
run 2 "$tkx" nonsense
says "unknown command 'nonsense'"
run 2 "$tkx" train
says "train sft "
run 2 "$tkx" auth nonsense
says "unknown command 'auth nonsense'"
says "auth login"
run 0 "$tkx" checkpoint --help
run 2 "$tkx" sample --frobnicate
says "unknown option '--frobnicate'"
run 2 "$tkx" sample --base-model m --prompt x --max-tokens ten
says "--max-tokens ten: expected a whole number"
run 2 "$tkx" sample --base-model m --prompt x --temperature nan
says "--temperature nan: expected a number"
run 2 "$tkx" sample --prompt x
says "--base-model"
run 2 "$tkx" sample --base-model m --model-path tinker://a/sampler_weights/b --prompt x
run 2 "$tkx" sample --base-model m
says "--prompt"
run 2 "$tkx" train sft "${train[@]}"
says "--data"

# Data, before anything is sent.
export TINKER_BASE_URL=http://127.0.0.1:9 TINKER_API_KEY=tml-test
run 1 "$tkx" train sft --data "$work/none.jsonl" "${train[@]}"
says "none.jsonl"
: >"$work/empty.jsonl"
run 1 "$tkx" train sft --data "$work/empty.jsonl" "${train[@]}"
says "has no training pairs"
printf '{"prompt": "a", "completion": "b"}\n\n{"prompt": "a"}\n' >"$work/bad.jsonl"
run 1 "$tkx" train sft --data "$work/bad.jsonl" "${train[@]}"
says "bad.jsonl line 3 has no text \"completion\""
printf '{"prompt": "a", "completion": "b"\n' >"$work/bad.jsonl"
run 1 "$tkx" train sft --data "$work/bad.jsonl" "${train[@]}"
says "bad.jsonl line 1 is not JSON"
printf '["a"]\n' >"$work/bad.jsonl"
run 1 "$tkx" train sft --data "$work/bad.jsonl" "${train[@]}"
says "line 1 is not an object"

# Keys and hosts.
run 1 env -u TINKER_API_KEY "$tkx" sample --base-model tkx/bytes --prompt x
says "TINKER_API_KEY"
run 1 "$tkx" sample --base-model tkx/bytes --prompt x --api-key secret-value
grep -q secret-value "$work/err.txt" "$work/out.txt" && fail "the key is shown"
run 1 "$tkx" sample --base-model tkx/bytes --prompt x --base-url ftp://x
says "ftp://x"
run 1 "$tkx" sample --base-model tkx/bytes --prompt x --base-url http://127.0.0.1:9 --timeout 2
says "127.0.0.1"

# A live server.
start_server --api-key only-this
run 1 "$tkx" sample --base-model tkx/bytes --prompt x --api-key eyJwrong
says "401"
stop_server
start_server
run 1 "$tkx" sample --base-model no/such-model --prompt-tokens 1 --max-tokens 1
says "no/such-model"
run 1 "$tkx" sample --model-path tinker://nothing --prompt x
says "tinker://nothing"
run 1 "$tkx" sample --model-path tinker://a:train:0/sampler_weights/none --prompt-tokens 1 --max-tokens 1
says "none"
run 1 "$tkx" sample --base-model tkx/bytes --prompt-tokens 99999 --max-tokens 1
says "99999"
run 1 "$tkx" sample --base-model tkx/bytes --prompt-tokens 4294967296 --max-tokens 1
says "4294967296"
run 2 "$tkx" sample --base-model tkx/bytes --prompt-tokens 1,,2 --max-tokens 1
says "token ids"
stop_server
