#!/usr/bin/env bash
# A checkpoint as a folder: the archive of a sampler checkpoint, what stands there already,
# and paths that lead nowhere, against two kinds of servers.
. "$(dirname "$0")/lib.sh"
start_server

printf '{"prompt": "a", "completion": " b"}\n' >"$work/data.jsonl"
train() { # train NAME - sets path and folder
    run 0 "$TKX_BIN/tkx" train sft --data "$work/data.jsonl" --model tkx/bytes --rank 4 --steps 3 \
        --batch-size 1 --save "$1" --json
    path=$(tail -n 1 "$work/out.txt" | json_text path)
    folder=$(printf %s "${path#tinker://}" | tr / _)
}

whole() { # whole FOLDER - it has what an adapter needs
    [ "$(ls -A "$1" | tr '\n' ' ')" = "adapter_config.json adapter_model.safetensors checkpoint_complete " ] ||
        fail "the folder holds $(ls -A "$1")"
    grep -q '"peft_type"' "$1/adapter_config.json" || fail "adapter_config.json is none"
    [ "$(stat -c %s "$1/adapter_model.safetensors")" -gt 100 ] || fail "no tensors"
}

alone() { # alone DIR - nothing but the folder is left in it
    [ "$(ls -A "$1")" = "$folder" ] || fail "$1 holds $(ls -A "$1")"
}

train first
run 0 "$TKX_BIN/tkx" checkpoint download "$path" -o "$work/some/where"
prints "^$work/some/where/$folder\$"
whole "$work/some/where/$folder"
alone "$work/some/where"

# The same bytes again, in other words.
run 0 "$TKX_BIN/tkx" checkpoint download "$path" --output="$work/again" --json
prints '^\{"checkpoint_path":"tinker://.*","destination":".*","file_size_bytes":[0-9]+\}$'
cmp "$work/some/where/$folder/adapter_model.safetensors" "$work/again/$folder/adapter_model.safetensors" ||
    fail "two downloads differ"

# What stands there stays, unless it is to be replaced.
echo mine >"$work/again/$folder/notes"
run 1 "$TKX_BIN/tkx" checkpoint download "$path" "-o$work/again"
says "exists already"
says "--force"
[ -e "$work/again/$folder/notes" ] || fail "a refused download changed the folder"
run 0 "$TKX_BIN/tkx" checkpoint download "$path" -o "$work/again" --force
whole "$work/again/$folder"
alone "$work/again"

# Unknown ones, and no paths at all.
run 1 "$TKX_BIN/tkx" checkpoint download "${path%/*}/nothing" -o "$work/none"
says "cannot be downloaded"
[ ! -e "$work/none" ] || fail "a download of nothing left $(ls -A "$work/none")"
run 2 "$TKX_BIN/tkx" checkpoint download "tinker://one" -o "$work/none"
says "tinker://one"
run 2 "$TKX_BIN/tkx" checkpoint download
run 2 "$TKX_BIN/tkx" checkpoint download "$path" -o
says "-o needs a value"
run 2 "$TKX_BIN/tkx" checkpoint download "$path" -x
stop_server

# A gzipped archive behind a redirect, under the bare name; a tar behind a redirect.
for dialect in skyrl hosted25; do
    start_server --dialect "$dialect"
    run 0 "$TKX_BIN/tkx" checkpoint download "$path" -o "$work/$dialect"
    whole "$work/$dialect/$folder"
    cmp "$work/again/$folder/adapter_model.safetensors" "$work/$dialect/$folder/adapter_model.safetensors" ||
        fail "another server of the same state gave other tensors"
    stop_server
done
