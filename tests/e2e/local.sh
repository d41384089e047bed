#!/usr/bin/env bash
# A model and an adapter's archive on this machine: the same samples from folder and tar,
# for any number of threads; mistakes are named.
. "$(dirname "$0")/lib.sh"
tkx=$TKX_BIN/tkx
models=$(cd "$(dirname "$0")/../data/models" && pwd)
sample=("$tkx" sample --local "$models/llama" --prompt "Hello there" --max-tokens 8 --seed 3 --json)

# What does not depend on how the adapter is packed, nor on the threads.
core() {
    sed 's/"adapter":"[^"]*"//' "$work/out.txt"
}
run 0 "${sample[@]}" --adapter "$models/llama/adapters/r4" --threads 1
core >"$work/folder"
grep -q '"backend":"local"' "$work/folder" || fail "no backend"
grep -q '"weight_type":"F32"' "$work/folder" || fail "no weight type"
grep -q '"logprob_mode":"raw"' "$work/folder" || fail "no logprob mode"
run 0 "${sample[@]}" --adapter "$models/llama/adapters/r4.tar.gz" --threads 2
core | cmp - "$work/folder" || fail "the archive gives other samples than the folder"
run 0 "${sample[@]}"
core | cmp -s - "$work/folder" && fail "the adapter changes nothing"

# Ids in, scores out: no tokenizer is needed.
echo '[5, 9, 200]' >"$work/ids.json"
run 0 "$tkx" logprobs --local "$models/gguf/qwen2-Q4_0.gguf" --prompt-file "$work/ids.json" \
    --topk-prompt-logprobs 2 --compute f32 --json
grep -q '"prompt_logprobs":\[null,-' "$work/out.txt" || fail "no prompt logprobs"
grep -q '"topk_prompt_logprobs":\[null,\[\[' "$work/out.txt" || fail "no top-k"
run 0 "$tkx" logprobs --local "$models/gguf/qwen2-Q4_0.gguf" --prompt-file "$work/ids.json" --topk-prompt-logprobs 2
prints $'^5\t-$'
prints $'^200\t-[0-9.]+\t[0-9]+ -[0-9.]+\t[0-9]+ -[0-9.]+$'

# Another base model's name is a warning, in the result too.
grep -q '"warning"' "$work/folder" && fail "a warning without a reason"
cp -r "$models/llama/adapters/r4" "$work/other"
sed -i 's,tiny/llama,meta-llama/Llama-3.2-1B,' "$work/other/adapter_config.json"
run 0 "${sample[@]}" --adapter "$work/other"
prints '"warning":"the adapter was trained on meta-llama/Llama-3.2-1B'
says "Warning: the adapter was trained on"

# A prompt from a pipe, as text, as ids, and as tkx tokenize writes them.
piped() { # piped COMMAND... - its output is the prompt
    "$@" | "$tkx" logprobs --local "$models/llama" --prompt-file - --json >"$work/out.txt" 2>"$work/err.txt" ||
        fail "no scores of what '$*' printed: $(cat "$work/err.txt")"
}
run 0 "$tkx" logprobs --local "$models/llama" --prompt "Hello there" --json
cp "$work/out.txt" "$work/scores"
piped printf 'Hello there'
cmp "$work/out.txt" "$work/scores" || fail "the piped text has other scores"
piped "$tkx" tokenize "$models/llama" --text "Hello there" --json
cmp "$work/out.txt" "$work/scores" || fail "the piped ids have other scores"
printf '\n{ "ids" :\n [39, 68,\n 75] }\n' >"$work/pretty.json"
run 0 "$tkx" tokenize "$models/llama" --decode "$work/pretty.json" --json
prints '"text": "Hel"'
run 0 "$tkx" logprobs --local "$models/llama" --prompt-file <(printf 'Hello there') --json
cmp "$work/out.txt" "$work/scores" || fail "the text from a descriptor has other scores"
printf 'Hi' >"$work/said"
run 0 "$tkx" sample --local "$models/llama" --chat --chat-format chatml --prompt-file "$work/said" --seed 1 \
    --max-tokens 3 --json
cp "$work/out.txt" "$work/chat"
run 0 "$tkx" sample --local "$models/llama" --chat --chat-format chatml --prompt Hi --seed 1 --max-tokens 3 --json
cmp "$work/out.txt" "$work/chat" || fail "--chat reads a file another way"
printf '[5, 9' >"$work/cut.json"
run 1 "$tkx" logprobs --local "$models/llama" --prompt-file "$work/cut.json"
says "no JSON array"
printf '[[5, 9]]' >"$work/cut.json"
run 1 "$tkx" logprobs --local "$models/llama" --prompt-file "$work/cut.json"
says "no JSON array"
printf '[5, 2.5]' >"$work/cut.json"
run 1 "$tkx" logprobs --local "$models/llama" --prompt-file "$work/cut.json"
says "entry 1 is not a token id"

# A model that says NUL (id 188 of a byte-level vocabulary): all of the text comes.
run 0 "$tkx" sample --local "$models/llama" --prompt "x" --logit-bias 188=1000 --max-tokens 2 --json
prints '"text":"\\u0000\\u0000"'

# Ids in, ids out, without a vocabulary.
sed 's/tokenizer\.ggml/tokenizer_ggml/g' "$models/gguf/qwen2-Q4_0.gguf" >"$work/bare.gguf"
run 0 "$tkx" sample --local "$work/bare.gguf" --prompt-tokens 5,9 --max-tokens 3 --no-stop
prints '^[0-9]+,[0-9]+,[0-9]+$'
run 1 "$tkx" sample --local "$work/bare.gguf" --prompt x
says "cannot use the tokenizer"

# Mistakes.
run 2 "$tkx" sample --adapter "$models/llama/adapters/r4" --base-model m --prompt x
says "give --local MODEL"
run 2 "$tkx" logprobs --backend remote --local "$models/llama" --adapter "$models/llama/adapters/r4" \
    --base-model m --prompt x
says "--adapter is applied here"
run 2 "$tkx" sample --local "$models/llama" --prompt x --system "be kind"
says "--system is for --chat"
run 2 "$tkx" sample --local "$models/llama" --prompt x --adapter a --adapter b
says "give one --adapter"
run 2 "$tkx" sample --local "$models/llama" --prompt x --stop ''
says "--stop ''"
run 1 "$tkx" sample --local "$models/llama" --prompt x --min-p -1
says "min_p is -1"
run 1 "$tkx" sample --local "$models/llama" --prompt x --logit-bias 1=inf
says "no number up to 1e30"
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n' >"$work/pointer.gguf"
run 1 "$tkx" sample --local "$work/pointer.gguf" --prompt x
says "is a git-lfs pointer"
run 1 "$tkx" sample --local "$work/bare.tokens" --prompt x
says "there is no model"
run 1 "$tkx" sample --local "$models/gpt-oss" --prompt x
says "later version"
run 1 "$tkx" sample --local "$models/qwen2" --adapter "$models/llama/adapters/r4" --prompt x
says "does not fit the qwen2 model"
run 1 "$tkx" sample --local "$models/llama" --prompt x --max-memory 1
says "does not fit"
run 2 "$tkx" sample --local "$models/llama" --prompt x --compute f64
says "expected f32 or fast"

# The service first, this machine in its place.
auto=("$tkx" sample --backend auto --local "$models/llama" --prompt-tokens 5,9,200 --max-tokens 6 --seed 4
    --no-stop --compute f32 --json)
answer() {
    sed 's/"backend":.*//' "$work/out.txt"
}
start_server --base-model "tests/llama=$models/llama"
run 0 "${auto[@]}" --base-model tests/llama
prints '"backend":"remote".*"reason":"answered"'
answer >"$work/remote"
run 0 "${auto[@]}" --base-model tests/gone
prints '"backend":"local".*"reason":"retired"'
run 1 "${auto[@]}" --model-path tinker://gone/sampler_weights/x --base-model tests/llama \
    --adapter "$models/llama/adapters/r4"
run 2 "${auto[@]}" --model-path tinker://gone/sampler_weights/x
says "needs --adapter"
run 2 "${auto[@]}"
says "give --base-model NAME"
run 1 "${auto[@]}" --base-model tests/llama --min-p 0.1
says "local engine only"
stop_server
run 0 "${auto[@]}" --base-model tests/llama
prints '"backend":"local".*"reason":"unreachable"'

run 0 "$tkx" sample --backend auto --local "$models/llama" --base-model tests/llama --prompt x --max-tokens 2
says "answered by the local side: unreachable"

run 0 "$TKX_BIN/tkx-example-sample-auto" tests/llama "$models/llama" "Hello there"
says "(local: unreachable)"

# Controls that only this machine has.
run 0 "${sample[@]}" --logit-bias 7=1000 --logprob-mode filtered
prints '"tokens":\[7,7,7,7,7,7,7,7\],"logprobs":\[0,0'
prints '"logprob_mode":"filtered"'
run 0 "${sample[@]}" --temperature 0 --logprob-mode filtered
prints '"logprob_mode":"raw"'
run 2 "${sample[@]}" --logit-bias 7
says "expected ID=NUMBER"
run 0 "${sample[@]}" --prompt-logprobs --prompt-logprobs-last-n 1
prints '"prompt_logprobs":\[null,.*null,-[0-9.]+\]'

# What fits, and how the model comes to be that small.
run 0 "$tkx" hw fit "$models/qwen2"
prints '^BF16 .*fits.*\(as stored\)'
prints '^Q8_0 .*\(--weights q8_0\)'
prints '^Q6_K .*\(another file\)'
run 0 "$tkx" hw fit "$models/gguf/qwen2-Q4_0.gguf" --json
prints '"weight_type":"Q8_0","is_stored":false,"how":"another file"'
run 0 "$tkx" sample --local "$models/qwen2" --weights q8_0 --prompt-tokens 1,2 --max-tokens 2 --json
prints '"weight_type":"Q8_0"'
run 1 "$tkx" sample --local "$models/qwen2" --weights q9 --prompt-tokens 1,2
says "q8_0 and q4_0"
run 0 "$tkx" doctor --json
prints '"has_api_key":(true|false)'
prints '"warnings":\['
mkdir -p "$HOME/.tinker"
printf '{"default":"k","keys":{}}' >"$HOME/.tinker/credentials.json"
chmod 644 "$HOME/.tinker/credentials.json"
run 0 env -u TINKER_API_KEY "$tkx" doctor
prints '^key +none'
prints '^warning: no key can be used: .*credentials.json'
