#!/usr/bin/env bash
# Stored keys: logging in, what the file looks like, who may read it, logging out; and that no
# key is ever printed or logged.
. "$(dirname "$0")/lib.sh"
start_server --api-key tml-the-right-key-0123456789
unset TINKER_API_KEY
file=$HOME/.tinker/credentials.json
sample=("$TKX_BIN/tkx" sample --base-model tkx/bytes --prompt x --max-tokens 1 --json)

login() { # login STATUS KEY OPTION... - the key comes by standard input
    local expected=$1 status=0
    printf '%s\n' "$2" | timeout 600 "$TKX_BIN/tkx" auth login "${@:3}" >"$work/out.txt" 2>"$work/err.txt" || status=$?
    [ "$status" = "$expected" ] || fail "login ended with $status: $(cat "$work/out.txt" "$work/err.txt")"
    cat "$work/out.txt" "$work/err.txt" >>"$work/all.txt"
}

run 1 "${sample[@]}"
says "no API key"
says "auth login"
run 1 "$TKX_BIN/tkx" auth status
run 1 "$TKX_BIN/tkx" auth logout

# A key that the service refuses is not stored, nor is none.
login 1 tml-the-wrong-key-0123456789 --verbose
says "401"
login 2 ""
[ ! -e "$file" ] || fail "a wrong key was stored"

# Where nobody answers, --timeout holds.
login 1 tml-the-right-key-0123456789 --base-url http://127.0.0.1:1 --timeout 1
says "gave up after 1 s"
[ ! -e "$file" ] || fail "a key that nobody took was stored"

login 0 tml-the-right-key-0123456789 --verbose
[ "$(stat -c %a "$file")" = 600 ] || fail "mode $(stat -c %a "$file")"
[ "$(stat -c %a "$HOME/.tinker")" = 700 ] || fail "folder: mode $(stat -c %a "$HOME/.tinker")"
[ "$(ls "$HOME/.tinker")" = credentials.json ] || fail "left over: $(ls "$HOME/.tinker")"
grep -q '"version":' "$file" || fail "$(cat "$file")"
run 0 "$TKX_BIN/tkx" auth status --json
prints '"source":"stored".*"access":true'
run 0 "${sample[@]}" --verbose
cat "$work/err.txt" >>"$work/all.txt"

# What others wrote beside it stays; another login replaces the key of the same id.
sed -i 's/"version"/"theirs": {"a": [1, null]}, "version"/' "$file"
login 0 tml-the-right-key-0123456789
grep -q '"theirs"' "$file" || fail "another program's entry is gone"
[ "$(grep -o 'tml-the-right-key' "$file" | wc -l)" = 1 ] || fail "the key is there twice"

# The environment comes first, and status says so.
TINKER_API_KEY=tml-the-wrong-key-0123456789 run 1 "$TKX_BIN/tkx" auth status --json
prints '"source":"TINKER_API_KEY".*"access":false'
TINKER_CREDENTIAL_CMD='echo tml-the-right-key-0123456789' run 0 "$TKX_BIN/tkx" auth status
prints 'TINKER_CREDENTIAL_CMD'

# Others could read it: not used, not changed, and it says what to do.
chmod 644 "$file"
run 1 "${sample[@]}"
says "chmod 600"
run 1 "$TKX_BIN/tkx" auth status
says "chmod 600"
login 1 tml-the-right-key-0123456789
chmod 600 "$file"
run 0 "${sample[@]}"

# Broken or foreign files are errors, not crashes.
cp "$file" "$work/good"
printf '{"version": 1, "default": "7", "keys": {"7"' >"$file"
run 1 "${sample[@]}"
says "credentials.json"
printf '{"version": 1, "default": "7", "keys": {"8": {"key": "tml-x"}}}' >"$file"
run 1 "${sample[@]}"
says "no API key"
cp "$work/good" "$file"

run 0 "$TKX_BIN/tkx" auth logout
[ ! -e "$file" ] || fail "the file is still there"
run 1 "${sample[@]}"
stop_server

# With tokens: the stored key is exchanged, and neither is in the log.
start_server --api-key tml-the-right-key-0123456789 --jwt 100
unset TINKER_API_KEY
login 0 tml-the-right-key-0123456789 --verbose
run 0 "${sample[@]}" --verbose
cat "$work/err.txt" "$work/out.txt" >>"$work/all.txt"
stop_server
! grep -qE 'the-(right|wrong)-key|eyJ' "$work/all.txt" || fail "a key was shown: $(grep -E 'the-(right|wrong)-key|eyJ' "$work/all.txt" | head -n 3)"
