#!/usr/bin/env bash
# The main job on real input: a real OAuth server issues tokens, the daemon keeps them, and they come out again for those
# who may have them, after a kill -9 and a rotation of the root key too. Each step says what it shows; the first that does
# not hold ends the run with a failure.
#
# Needs cargo, node (18 or newer), npm and curl. Leaves nothing behind but target/ and demo/node_modules/.
# A token is never an argument of a program, and never printed whole.
set -euo pipefail
cd "$(dirname "$0")/.."

step=0 unshown=''
step() { step=$((step + 1)); printf '\n%2d. %s\n' "$step" "$1"; }
say() { printf '    %s\n' "$1"; }
fail() { printf 'demo: step %d failed: %s\n' "$step" "$1" >&2; exit 1; }
need() { command -v "$1" >/dev/null || fail "$1 is missing; install $2"; }

need "${CARGO:=cargo}" "a Rust toolchain with cargo, 1.88 or newer"
need node "nodejs, 18 or newer (Debian: apt-get install nodejs)"
need npm "npm (Debian: apt-get install npm)"
need curl "curl (Debian: apt-get install curl)"
[ "$(node -p 'parseInt(process.versions.node)')" -ge 18 ] || fail "node is $(node --version); install 18 or newer"

work=$(mktemp -d "${TMPDIR:-/tmp}/tokenkeep-demo.XXXXXX")
oauth='' daemon=''
end() {
    status=$?
    for pid in $daemon $oauth; do { kill -9 "$pid" && wait "$pid"; } 2>/dev/null || true; done
    if [ "$status" -ne 0 ] && [ -s "$work/tokenkeepd.log" ]; then
        echo 'demo: the last lines of the daemon:' >&2
        tail -n 5 "$work/tokenkeepd.log" >&2
    fi
    rm -rf "$work"
}
trap end EXIT
trap 'fail "line $LINENO"' ERR
trap 'exit 130' INT TERM

programs=${CARGO_TARGET_DIR:-target}/release
example=${CARGO_TARGET_DIR:-target}/debug/examples/call_api
tokenkeep=$programs/tokenkeep
socket=$work/run/tokenkeep.sock
export TOKENKEEP_ADMIN=unix://$work/run/admin.sock

# Asks the daemon as an application. The body, if there is one, is read from stdin.
ask() { curl -sS --unix-socket "$socket" "http://localhost$1" "${@:2}"; }
# The same, and the answer alone: status and code of the problem, if it is one.
ask_for_code() {
    "${as[@]}" curl -sS --unix-socket "$socket" -w '\n%{http_code}\n' "http://localhost$1" |
        node -e 'const [status, ...body] = require("fs").readFileSync(0, "utf8").trim().split("\n").reverse();
            console.log(status, JSON.parse(body.reverse().join("\n")).code ?? "")'
}
as=(env)
# A field of the JSON on stdin.
field() { node -e 'console.log(JSON.parse(require("fs").readFileSync(0, "utf8"))[process.argv[1]] ?? "")' "$1"; }
# The start of a secret and its length, for people.
masked() { printf '%s… (%d characters)' "${1:0:6}" "${#1}"; }
secrets=$work/secrets # what must not be found on the disk of the daemon; removed at the end

start() {
    "$programs/tokenkeepd" --config "$work/tokenkeep.toml" >>"$work/tokenkeepd.log" 2>&1 &
    daemon=$!
    for _ in $(seq 600); do
        if ask /readyz -f >/dev/null 2>&1; then return; fi
        kill -0 "$daemon" 2>/dev/null || fail "the daemon does not start"
        sleep 0.05
    done
    fail "the daemon does not get ready"
}

# Tokens for an account, by the book: consent, authorization code with PKCE, exchange at the token endpoint.
exchange() {
    local verifier challenge code
    read -r verifier challenge < <(node -e 'const { createHash, randomBytes } = require("crypto");
        const verifier = randomBytes(32).toString("base64url");
        console.log(verifier, createHash("sha256").update(verifier).digest("base64url"))')
    code=$(curl -sSf "$issuer/consent" -d "account=$1" -d "code_challenge=$challenge")
    printf 'grant_type=authorization_code&redirect_uri=https://app.example/callback&client_id=demo-app&client_secret=%s&code=%s&code_verifier=%s' \
        "$client_secret" "$code" "$verifier" | curl -sSf "$issuer/token" --data @-
}

remember() { node -e 'const set = JSON.parse(require("fs").readFileSync(0, "utf8"));
    for (const kind of ["access_token", "refresh_token", "id_token"]) if (set[kind]) console.log(set[kind])' >>"$secrets"; }

step 'Build'
"$CARGO" build --release --locked --quiet --bin tokenkeepd --bin tokenkeep
# As the tests build it: another build for speed would take minutes.
"$CARGO" build --locked --quiet --example call_api
if ! cmp -s demo/package-lock.json demo/node_modules/.demo-lock; then
    (cd demo && npm ci --loglevel=error >/dev/null && cp package-lock.json node_modules/.demo-lock)
fi
say "$($tokenkeep --version)"

step 'A real OAuth server, on a free loopback port'
client_secret=$(node -p 'require("crypto").randomBytes(24).toString("hex")')
CLIENT_SECRET=$client_secret node demo/oauth-server.mjs >"$work/issuer" 2>"$work/oauth.log" &
oauth=$!
for _ in $(seq 200); do
    [ -s "$work/issuer" ] && break
    kill -0 "$oauth" 2>/dev/null || { cat "$work/oauth.log" >&2; fail "the OAuth server does not start"; }
    sleep 0.05
done
issuer=$(cat "$work/issuer")
say "oidc-provider $(node -p 'require("./demo/node_modules/oidc-provider/package.json").version') at $issuer, refresh tokens rotate"

step 'A root key, a configuration, and the daemon on its embedded store'
chmod 755 "$work"
mkdir -m 755 "$work/run"
mkdir -m 700 "$work/state"
$tokenkeep key generate --file "$work/root.key" >/dev/null
(umask 077 && : >"$secrets")
uid=$(id -u)
# Elsewhere root may not run the daemon, nor a plain user where there is swap on a disk.
environment=development
(umask 077 && cat >"$work/tokenkeep.toml") <<TOML
environment = "$environment"
state_directory = "$work/state"

[listen]
unix = "$work/run/tokenkeep.sock"
admin = "$work/run/admin.sock"

[root_key]
source = "file"
path = "$work/root.key"

[[client]]
name = "app"
unix = { user = $uid }
orgs = ["acme"]
providers = ["issuer"]
allow = ["org:create", "connection:*", "token:read", "refresh-token:read"]

[[provider]]
id = "issuer"

# A plain user may lock little memory; production asks for both, which is what is taken where nothing stands here.
[memory]
lock = "preferred"
secret_pages = "preferred"
TOML
start
say "environment $environment; the client \"app\" is uid $uid and may act for org acme alone"

step 'Tokens from the token endpoint go into the vault as they come'
connection=/v1/orgs/acme/connections/issuer/alice
ask /v1/orgs/acme -f -X PUT >/dev/null
set_of_alice=$(exchange alice)
remember <<<"$set_of_alice"
generation=$(ask "$connection" -f -X PUT -H 'Content-Type: application/json' --data @- <<<"$set_of_alice" | field generation)
[ "$generation" = 1 ] || fail "generation $generation"
say "access token $(masked "$(field access_token <<<"$set_of_alice")"), refresh token $(masked "$(field refresh_token <<<"$set_of_alice")")"
say "acme issuer/alice is at generation $generation"

step 'curl reads it back over the Unix socket'
read_bare() { ask "$connection/token" -f -H 'Accept: text/plain'; }
[ "$(read_bare)" = "$(field access_token <<<"$set_of_alice")" ] || fail "it is another token"
say "the same access token: $(masked "$(read_bare)")"

step 'The Rust client reads it and calls the API with it'
call_api() { "$example" "$socket" acme issuer alice "$issuer/me"; }
[ "$(call_api)" = 200 ] || fail "the API refuses the token"
say "$issuer/me answers 200"

step 'The refresh token rotates; the vault takes the new pair, once'
old=$(ask "$connection/refresh-token" -f | field refresh_token)
set_of_alice=$(printf 'grant_type=refresh_token&client_id=demo-app&client_secret=%s&refresh_token=%s' "$client_secret" "$old" |
    curl -sSf "$issuer/token" --data @-)
remember <<<"$set_of_alice"
[ "$(field refresh_token <<<"$set_of_alice")" != "$old" ] || fail "the refresh token did not rotate"
put_over_first() { ask "$connection" -o "$1" -w '%{http_code}' -X PUT -H 'If-Match: "1"' -H 'Content-Type: application/json' --data @- <<<"$set_of_alice"; }
[ "$(put_over_first /dev/null)" = 200 ] || fail "the new pair is refused"
[ "$(put_over_first /dev/null)" = 412 ] || fail "a second writer overwrote it"
say "generation 1 became 2; a second writer that still holds generation 1 gets 412"
[ "$(call_api)" = 200 ] || fail "the API refuses the new token"
say "the API takes the new access token"

step 'Another user of this machine is refused'
if [ "$uid" = 0 ]; then
    need setpriv "util-linux"
    as=(setpriv --reuid 65534 --regid 65534 --clear-groups)
elif unshare --map-root-user --map-auto setpriv --reuid 1 --regid 1 --clear-groups true 2>/dev/null; then
    as=(unshare --map-root-user --map-auto setpriv --reuid 1 --regid 1 --clear-groups)
else
    as=()
fi
if [ ${#as[@]} -gt 0 ]; then
    answer=$(ask_for_code "$connection/token")
    [ "$answer" = '401 unauthenticated' ] || fail "it got: $answer"
    say "$answer"
else
    say 'NOT SHOWN: to be another user takes root, or subordinate ids in /etc/subuid'
    unshown=', but step 8 was not shown'
fi
as=(env)

step 'Another org is refused, whether or not it is there'
$tokenkeep org create globex >/dev/null
set_of_bob=$(exchange bob)
remember <<<"$set_of_bob"
$tokenkeep connection put globex issuer/bob <<<"$set_of_bob" >/dev/null
for org in globex nowhere; do
    answer=$(ask_for_code "/v1/orgs/$org/connections/issuer/bob/token")
    [ "$answer" = '403 cross_org' ] || fail "it got: $answer"
    say "org $org: $answer"
done

step 'kill -9, and everything is there again'
before=$($tokenkeep connection list acme --output json; $tokenkeep connection list globex --output json)
token=$(read_bare)
{ kill -9 "$daemon" && wait "$daemon"; } 2>/dev/null || true
start
after=$($tokenkeep connection list acme --output json; $tokenkeep connection list globex --output json)
same() { node -e 'const [a, b] = process.argv.slice(1).map((text) => text.replace(/"last_read_at":("[^"]*"|null)/g, ""));
    process.exit(a === b ? 0 : 1)' "$1" "$2"; }
same "$before" "$after" || fail "the connections are not what they were"
[ "$(read_bare)" = "$token" ] || fail "the token is not what it was"
say "both connections, their generations, and the token"

step 'The root key is rotated while the daemon serves'
$tokenkeep key generate --file "$work/root.key" >/dev/null 2>&1
$tokenkeep key reload >/dev/null
$tokenkeep key rotate 2>/dev/null | sed 's/^/    /'
$tokenkeep key status --output json | field remaining | grep -qx 0 || fail "something is left under the old key"
sed -i 2d "$work/root.key"
$tokenkeep key reload >/dev/null
kill "$daemon"
wait "$daemon" || fail "the daemon did not stop as asked"
start
[ "$(read_bare)" = "$token" ] || fail "the token is not what it was"
say "the old key is dropped, the daemon started anew with the new one alone: the same token"

step 'The audit log is whole'
$tokenkeep audit verify | sed 's/^/    /'
$tokenkeep audit query --org globex --outcome cross_org | tee "$work/denied" | sed 's/^/    /'
[ "$(wc -l <"$work/denied")" = 1 ] || fail "the refused read is not in it"

step 'No token is on the disk in clear'
count=$(sort -u "$secrets" | wc -l)
[ "$count" -ge 7 ] || fail "only $count tokens were remembered"
grep -qFf "$secrets" <<<"$set_of_alice" || fail "the search finds nothing where there is something"
if grep -rlaFf "$secrets" "$work/state" "$work/tokenkeepd.log"; then fail "a token is in the files above"; fi
say "$count access, refresh and ID tokens searched for in $(find "$work/state" -type f | wc -l) files and the server log: none"

kill "$daemon"
wait "$daemon" || fail "the daemon did not stop as asked"
daemon=''
printf '\ndemo: all %d steps hold%s\n' "$step" "$unshown"
