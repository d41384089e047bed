#!/usr/bin/env bash
# A conversation from a pipe: here, there, and here in place of there; Ctrl-C ends an answer.
. "$(dirname "$0")/lib.sh"
tkx=$TKX_BIN/tkx
models=$(cd "$(dirname "$0")/../data/models" && pwd)
short=(--max-tokens 12 --seed 3 --chat-format chatml)

talk() { # talk STATUS OPTION... - lines on stdin
    local expected=$1 status=0
    shift
    timeout -k 5 600 "$tkx" chat "$@" >"$work/out.txt" 2>"$work/err.txt" || status=$?
    [ "$status" = "$expected" ] || {
        cat "$work/out.txt" "$work/err.txt" >&2
        fail "expected status $expected, got $status: chat $*"
    }
}
lines() {
    wc -l <"$work/out.txt"
}

# Here: an answer for each line, the same ones again; /clear forgets.
printf 'Hello there\nAnd now?\n' | talk 0 --local "$models/llama" "${short[@]}" --threads 1
cp "$work/out.txt" "$work/first"
[ "$(lines)" -ge 2 ] || fail "two lines had fewer than two answers"
printf 'Hello there\nAnd now?' | talk 0 --local "$models/llama" "${short[@]}" --threads 2
cmp -s "$work/out.txt" "$work/first" || fail "the same conversation went another way"
printf 'And now?\n/clear\nHello there\nAnd now?\n/exit\nnever sent\n' |
    talk 0 --local "$models/llama" "${short[@]}"
head -c "$(wc -c <"$work/first")" <(tail -c "$(wc -c <"$work/first")" "$work/out.txt") |
    cmp -s - "$work/first" || fail "/clear did not begin anew"
printf '/help\n/nonsense\n' | talk 0 --local "$models/llama" "${short[@]}"
says "/clear"
says "/nonsense is no command"
[ "$(lines)" = 0 ] || fail "commands are not answered by the model"

# A stop string stands beside the ends of an answer: the end's id is forced, and ends it.
printf 'Hello\n' | talk 0 --local "$models/qwen2" --max-tokens 400 --seed 1 --chat-format qwen2
cp "$work/out.txt" "$work/first"
printf 'Hello\n' | talk 0 --local "$models/qwen2" --max-tokens 400 --seed 1 --chat-format qwen2 --stop "no such text"
cmp -s "$work/out.txt" "$work/first" || fail "a stop string that does not come changes the answer"
end=$("$tkx" tokenize "$models/qwen2" --text '<|im_end|>')
for stop in "" "--stop=zzz"; do
    run 0 "$tkx" sample --local "$models/qwen2" --chat --prompt Hello ${stop:+"$stop"} --logit-bias "$end=1000" \
        --max-tokens 5 --json
    prints "\"stop_reason\":\"$([ "$stop" ] && echo length || echo stop)\""
done

# What is shown is UTF-8, whatever the model says.
printf 'x\n' | talk 0 --local "$models/qwen2" --max-tokens 200 --seed 9 --chat-format qwen2
iconv -f UTF-8 -t UTF-8 "$work/out.txt" >/dev/null || fail "the answer is not UTF-8"

# A model without a template needs a format's name.
printf 'x\n' | talk 1 --local "$models/gguf/qwen2-Q4_0.gguf" --chat-format nonsense
talk 2 --local "$models/llama" --compute f64 </dev/null
talk 2 </dev/null

# There, and here when the service is gone.
start_server --base-model "tests/llama=$models/llama"
both=(--backend auto --base-model tests/llama --local "$models/llama" --compute f32)
printf 'Hello there\n' | talk 0 --backend remote --base-model tests/llama --tokenizer "$models/llama" "${short[@]}"
cp "$work/out.txt" "$work/remote"
printf 'Hello there\n' | talk 0 "${both[@]}" "${short[@]}"
says "answered by the remote side"
cmp -s "$work/out.txt" "$work/remote" || fail "auto does not answer as the service does"
stop_server
printf 'Hello there\n' | talk 0 "${both[@]}" "${short[@]}"
says "answered by the local side: unreachable"
cmp -s "$work/out.txt" "$work/remote" || fail "the local side does not answer as the service did"

# Ctrl-C ends the answer, not the conversation: the first one would not come, the second one does.
# Until the program has read its lines, an interrupt ends it.
echo '{"rules":[{"route":"POST /asample","nth":[1],"phase":"after","fault":"stall","ms":600000}]}' >"$work/faults"
start_server --base-model "tests/llama=$models/llama" --scenario "$work/faults"
printf 'go on and on\nHello there\n/exit\n' >"$work/in"
set -m
"$tkx" chat --base-model tests/llama --tokenizer "$models/llama" "${short[@]}" \
    <"$work/in" >"$work/out.txt" 2>"$work/chat.err" &
chat=$!
set +m
while grep -q '^pos:[[:space:]]*0$' "/proc/$chat/fdinfo/0"; do sleep 0.02; done
kill -INT "$chat"
status=0
wait "$chat" || status=$?
[ "$status" = 0 ] || fail "an interrupted answer ended the program with $status"
[ -z "$(head -n 1 "$work/out.txt")" ] || fail "the interrupted answer is $(head -n 1 "$work/out.txt")"
[ -n "$(tail -n +2 "$work/out.txt")" ] || fail "no answer after the interrupted one"
stop_server
