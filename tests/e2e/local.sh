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

# Mistakes.
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
prints '"warnings":\['
