#!/usr/bin/env bash
# Runs in the container: each act is a function that fails with a word on what was seen. A table at the end.
set -uo pipefail

APP=/run/tokenkeep/tokenkeep.sock
ADMIN=/run/tokenkeep/admin.sock
CONFIG=/etc/tokenkeep/tokenkeep.toml
TOKEN=/v1/orgs/acme/connections/github/main/token
DROPINS=/etc/systemd/system/tokenkeepd.service.d

fail() { echo "  $*"; return 1; }
property() { systemctl show -P "$1" tokenkeepd.service; }
status() { property StatusText; }
# Waits until a command succeeds; a bound that only a broken daemon reaches.
until_true() { local i; for i in $(seq 600); do "$@" && return 0; sleep 0.1; done; fail "waited in vain: $*"; }
is() { [ "$(systemctl is-active "$1")" = "$2" ]; }
stands() { case $(status) in $1) return 0 ;; *) return 1 ;; esac; }
# The HTTP status that a user gets.
ask_as() { runuser -u "$1" -- curl -s -o /dev/null -w '%{http_code}' --max-time 60 --unix-socket "$APP" "http://x$2"; }
expect() { local got; got=$("${@:2}"); [ "$got" = "$1" ] || fail "expected $1, got $got: ${*:2}"; }
remote() {
    curl -s -o /dev/null -w '%{http_code}' --max-time 60 --cacert /test/ca.crt --cert /test/web.crt --key /test/web.key \
        "https://localhost:8443$1"
}
asleep() { systemctl stop tokenkeepd.service && is tokenkeepd.service inactive && is tokenkeepd.socket active; }
drop_in() { mkdir -p $DROPINS; printf '%s\n' "${@:2}" >"$DROPINS/$1.conf"; systemctl daemon-reload; }
drop_out() { rm -f "$DROPINS/$1.conf"; systemctl daemon-reload; }

# Where root may not raise limits, LimitMEMLOCK=infinity gives no more than there is.
may_lock() { [ "$(ulimit -Hl)" = unlimited ] || printf '[memory]\nlock = "preferred"\n'; }
configure() { # allowed actions of the client web
    cat >"$CONFIG.new" <<TOML
environment = "production"
state_directory = "/var/lib/tokenkeep"
[listen.mtls]
address = "127.0.0.1:8443"
certificate = "/etc/tokenkeep/server.crt"
key = { credential = "tls-key" }
client_ca = "/etc/tokenkeep/ca.crt"
[root_key]
source = "systemd-credential"
name = "tokenkeep-root"
[[client]]
name = "web"
unix = { user = "webapp" }
mtls = { san = "spiffe://example/web" }
orgs = ["*"]
providers = ["*"]
allow = [$1]
[[client]]
name = "bound"
unix = { user = "bound", unit = "web.service" }
orgs = ["*"]
providers = ["*"]
allow = ["token:read"]
[[provider]]
id = "github"
$(if [ $# -gt 1 ]; then echo "$2"; fi)
$(may_lock)
TOML
    mv "$CONFIG.new" "$CONFIG"
}

prepare() {
    systemd-sysusers && useradd webapp && useradd bound && useradd other || return 1
    mkdir -p /etc/tokenkeep /etc/credstore.encrypted
    cp /test/server.crt /test/ca.crt /etc/tokenkeep/
    configure '"*"'
    tokenkeep key generate >/test/root.key
    systemd-creds encrypt --name=tokenkeep-root /test/root.key /etc/credstore.encrypted/tokenkeep-root 2>/dev/null || return 1
    drop_in tls '[Service]' 'LoadCredential=tls-key:/test/server.key'
    systemctl start tokenkeepd.socket tokenkeepd-admin.socket tokenkeepd-mtls.socket
}

the_first_connect_to_each_socket_starts_the_daemon() {
    is tokenkeepd.service inactive || fail 'it runs already' || return 1
    expect 200 ask_as webapp /v1/status && is tokenkeepd.service active || return 1
    asleep || return 1
    tokenkeep status >/dev/null && is tokenkeepd.service active || fail 'over the admin socket' || return 1
    asleep || return 1
    expect 200 remote /v1/status && is tokenkeepd.service active
}
the_sockets_have_their_modes() {
    expect 666 stat -c %a $APP && expect '600 tokenkeep' stat -c '%a %U' $ADMIN && expect 401 ask_as other /v1/status
}
it_says_that_it_is_ready() {
    expect 201 ask_put /v1/orgs/acme '' && expect 201 ask_put /v1/orgs/acme/connections/github/main \
        '{"access_token":"at-1","refresh_token":"rt-1","expires_in":3600}' || return 1
    systemctl restart tokenkeepd.service && stands 'serving: 3 records, store ok, audit ok' || fail "$(status)"
}
ask_put() { # the body through a pipe: command lines get into the journal
    runuser -u webapp -- curl -s -o /dev/null -w '%{http_code}' --max-time 60 --unix-socket $APP -X PUT \
        ${2:+-H 'content-type: application/json' -d @-} "http://x$1" <<<"$2"
}
after_a_crash_the_next_connect_works() {
    local pid; pid=$(property MainPID)
    kill -9 "$pid"
    expect 200 ask_as webapp $TOKEN || return 1
    [ "$(property MainPID)" != "$pid" ]
}
ten_crashes_in_a_row_fail_no_socket() {
    local i pid
    for i in 1 2 3 4 5 6 7 8 9 10; do
        pid=$(property MainPID)
        kill -9 "$pid"
        expect 200 ask_as webapp $TOKEN || return 1
    done
    is tokenkeepd.socket active && is tokenkeepd-admin.socket active && is tokenkeepd-mtls.socket active
}
a_reload_takes_a_new_configuration() {
    local pid; pid=$(property MainPID)
    configure '"connection:read"'
    systemctl reload tokenkeepd.service || fail 'the reload failed' || return 1
    until_true gets 403 || return 1
    configure '"*"'
    systemctl reload tokenkeepd.service
    until_true gets 200 && [ "$(property MainPID)" = "$pid" ] && is tokenkeepd.service active
}
gets() { [ "$(ask_as webapp $TOKEN)" = "$1" ]; }
a_reload_of_a_broken_configuration_is_refused_and_the_old_one_stands() {
    configure '"everything"'
    systemctl reload tokenkeepd.service 2>/dev/null && fail 'the reload did not fail' && return 1
    expect 200 ask_as webapp $TOKEN || return 1
    kill -HUP "$(property MainPID)"
    until_true stands '*the last reload was refused: /etc/tokenkeep/tokenkeep.toml:*' || return 1
    expect 200 ask_as webapp $TOKEN && is tokenkeepd.service active || return 1
    configure '"*"' $'[limits]\nconnections = 7'
    kill -HUP "$(property MainPID)"
    until_true stands '*refused: \[limits\] cannot change*' || return 1
    configure '"*"'
    systemctl reload tokenkeepd.service && until_true stands 'serving: 3 records, store ok, audit ok'
}
a_stopped_process_is_killed_and_started_again() {
    drop_in watchdog '[Service]' 'WatchdogSec=4s'
    systemctl restart tokenkeepd.service
    local pid; pid=$(property MainPID)
    kill -STOP "$pid"
    until_true replaced "$pid" && until_true is tokenkeepd.service active && expect 200 ask_as webapp $TOKEN || return 1
    journalctl -q -u tokenkeepd.service >/tmp/journal
    grep -q 'Watchdog timeout' /tmp/journal || fail 'systemd does not say why'
}
replaced() { local now; now=$(property MainPID); [ "$now" != 0 ] && [ "$now" != "$1" ]; }
held_still() { # a thread's name, the words of the status
    systemctl restart tokenkeepd.service
    local pid seen; pid=$(property MainPID)
    coproc HOLD { exec python3 /test/hold.py "$pid" "$1"; }
    local holder=$HOLD_PID
    read -r seen <&"${HOLD[0]}" && [ "$seen" = held ] || fail 'not held' || return 1
    until_true stands "not well: $2" || { kill "$holder"; return 1; }
    until_true replaced "$pid"; local replaced=$?
    kill "$holder" 2>/dev/null; wait "$holder" 2>/dev/null
    [ $replaced = 0 ] && until_true is tokenkeepd.service active && expect 200 ask_as webapp $TOKEN
}
a_committer_that_is_stuck_stops_the_feeding() { held_still store-committer "the store's committer does not answer"; }
a_syncer_that_is_stuck_stops_the_feeding() { held_still audit-sync "the audit log's thread does not move"; drop_out watchdog; }
a_request_in_flight_is_answered_over_a_stop() {
    systemctl restart tokenkeepd.service
    rm -f /tmp/go /tmp/go.begun
    runuser -u webapp -- python3 /test/slow.py $APP /tmp/go >/tmp/slow.out & local slow=$!
    until_true test -e /tmp/go.begun || return 1
    systemctl stop --no-block tokenkeepd.service
    until_true stands 'draining*' || return 1
    touch /tmp/go
    wait $slow
    expect 201 cat /tmp/slow.out || return 1
    until_true is tokenkeepd.service inactive && [ "$(property Result)" = success ] || fail "$(property Result)" || return 1
    expect 200 ask_as webapp ${TOKEN/main/slow}
}
a_restart_under_load_drops_nobody() {
    local i pid callers=()
    rm -f /tmp/load.*
    touch /tmp/load.1 /tmp/load.2 /tmp/load.3
    for i in 1 2 3; do
        ( while [ ! -e /tmp/load.end ]; do ask_as webapp $TOKEN; echo; done >>/tmp/load.$i ) & callers+=($!)
    done
    for i in 1 2 3; do
        # Each restart comes upon callers that were served after the one before.
        until_true served_since "$(answers)" && systemctl restart tokenkeepd.service || return 1
    done
    until_true served_since "$(answers)" || return 1
    touch /tmp/load.end
    for pid in "${callers[@]}"; do wait "$pid"; done
    cat /tmp/load.[123] >/tmp/load.all
    ! grep -v '^200$' /tmp/load.all || fail 'not all of them are 200'
}
answers() { cat /tmp/load.[123] | wc -l; }
served_since() { [ "$(answers)" -gt $(($1 + 3)) ]; }
the_log_is_in_a_namespace_of_seven_days() {
    journalctl -q --namespace=tokenkeep -u tokenkeepd.service -o json >/tmp/own
    journalctl -q -o json >/tmp/common
    # The line that the daemon logs, with its fields, beside the one that it prints.
    grep '"MESSAGE":"ready"' /tmp/own >/tmp/ready || fail 'no line in the namespace' || return 1
    grep -q '"F_ENVIRONMENT":"production"' /tmp/ready || fail 'no fields' || return 1
    grep -q '"MESSAGE":"ready"' /tmp/common && fail 'in the journal of all' && return 1
    grep -qE 'acme|at-1|rt-1' /tmp/own && fail 'it names what it must not' && return 1
    systemd-analyze cat-config systemd/journald@tokenkeep.conf >/tmp/conf 2>/dev/null
    grep -q '^MaxRetentionSec=7day' /tmp/conf || fail 'no seven days' || return 1
    ls /var/log/journal/*.tokenkeep/system.journal >/dev/null
}
a_client_is_bound_to_its_unit() {
    local unit
    for unit in web other; do
        printf '[Service]\nType=oneshot\nUser=bound\nExecStart=curl -s -o /dev/null -w %%%%{http_code} --unix-socket %s http://x%s\nStandardOutput=truncate:/tmp/%s.out\n' \
            $APP $TOKEN $unit >/run/systemd/system/$unit.service
    done
    systemctl daemon-reload
    systemctl start web.service other.service || return 1
    expect 200 cat /tmp/web.out && expect 401 cat /tmp/other.out && expect 401 ask_as bound $TOKEN
}
a_plain_credential_is_a_root_key_too() {
    drop_in root '[Service]' 'LoadCredentialEncrypted=' 'LoadCredential=tls-key:/test/server.key' 'LoadCredential=tokenkeep-root:/test/root.key'
    systemctl restart tokenkeepd.service && expect 200 ask_as webapp $TOKEN || return 1
    drop_out root
    systemctl restart tokenkeepd.service && expect 200 ask_as webapp $TOKEN
}
without_its_root_key_it_does_not_start_and_says_why() {
    mv /etc/credstore.encrypted/tokenkeep-root /test/away
    systemctl restart tokenkeepd.service 2>/dev/null && fail 'it started' && return 1
    local exit; exit=$(property ExecMainStatus)
    mv /test/away /etc/credstore.encrypted/tokenkeep-root
    [ "$exit" = 78 ] || fail "exit $exit: $(status)" || return 1
    systemctl start tokenkeepd.service && expect 200 ask_as webapp $TOKEN
}
a_wrong_configuration_is_told_and_once_mended_whoever_waits_is_answered() {
    configure '"everything"'
    systemctl restart tokenkeepd.service 2>/dev/null && fail 'it started' && return 1
    expect 78 property ExecMainStatus || return 1
    case $(status) in 'wrong configuration: /etc/tokenkeep/tokenkeep.toml:'*) ;; *) fail "$(status)" || return 1 ;; esac
    ask_as webapp $TOKEN >/tmp/waiting.out & local waiting=$!
    # At least two more attempts, each a pause apart.
    local before; before=$(property NRestarts)
    until_true restarted_since "$before" || return 1
    configure '"*"'
    wait $waiting
    expect 200 cat /tmp/waiting.out && expect 200 remote $TOKEN && is tokenkeepd.socket active
}
restarted_since() { [ "$(property NRestarts)" -ge $(($1 + 2)) ]; }
the_root_key_comes_through_egress_into_a_private_network() {
    systemd-run -q --unit=bao -p WorkingDirectory=/test python3 bao.py server.crt server.key root.key bao-token bao-address
    until_true test -s /test/bao-address || return 1
    local address pid; address=$(cat /test/bao-address)
    drop_in bao '[Service]' 'LoadCredential=bao-token:/test/bao-token'
    configure '"*"' $'[egress]\nsocket = "/run/tokenkeep-egress/egress.sock"'
    sed -i "s#^source = .*#source = \"openbao\"\naddress = \"$address\"\npath = \"tokenkeep/root\"\nca = \"/etc/tokenkeep/ca.crt\"#
        s#^name = \"tokenkeep-root\"#token = { credential = \"bao-token\" }#" $CONFIG
    is tokenkeep-egress.service inactive || fail 'egress runs before anybody asked it' || return 1
    systemctl restart tokenkeepd.service && expect 200 ask_as webapp $TOKEN && is tokenkeep-egress.service active || return 1
    pid=$(property MainPID)
    # Its network is one interface that is down, and that it got the key by itself cannot be.
    [ "$(tail -n +3 "/proc/$pid/net/dev" | wc -l)" = 1 ] || fail 'it has a network' || return 1
    nsenter -t "$pid" -n curl -sk --max-time 5 "$address/v1/sys/health" && fail 'it reaches OpenBao' && return 1
    tokenkeep key reload >/dev/null || fail 'the keys cannot be read again' || return 1
    # Killed, it is started again by the next who asks.
    systemctl kill -s KILL tokenkeep-egress.service && until_true tokenkeep key reload >/dev/null || return 1
    journalctl -q --namespace=tokenkeep -u tokenkeep-egress.service -o cat >/tmp/egress
    grep -q '^tokenkeep-egress: localhost: connected, [0-9]* ms$' /tmp/egress || fail 'it does not say so' || return 1
    grep -qE 'tokenkeep/root|hvs\.' /tmp/egress && fail 'it says more' && return 1
    # Taken away, and named no more.
    systemctl stop tokenkeep-egress.socket tokenkeep-egress.service
    tokenkeep key reload >/dev/null 2>&1 && fail 'without egress' && return 1
    tokenkeep audit query --action key:reload --output json >/tmp/audit
    grep -q '"reason": *"outbound_egress"' /tmp/audit || fail 'not audited' || return 1
    systemctl start tokenkeep-egress.socket
    expect 200 ask_as webapp $TOKEN
}
without_a_private_network_it_connects_by_itself() {
    drop_in direct '[Service]' PrivateNetwork=no IPAddressDeny= IPAddressAllow= 'RestrictAddressFamilies=AF_INET AF_INET6'
    sed -i '/^\[egress\]/,/^socket/d' $CONFIG
    systemctl stop tokenkeep-egress.socket tokenkeep-egress.service
    systemctl restart tokenkeepd.service && expect 200 ask_as webapp $TOKEN || return 1
    drop_out direct
    drop_out bao
    configure '"*"'
    systemctl start tokenkeep-egress.socket && systemctl stop bao.service
    systemctl restart tokenkeepd.service && expect 200 ask_as webapp $TOKEN
}
a_doorman_who_is_killed_is_there_for_the_next() {
    local i
    for i in 1 2 3; do
        systemctl kill -s KILL tokenkeep-doorman.service
        expect 200 ask_as webapp $TOKEN && expect 401 ask_as other /v1/status || return 1
    done
    is tokenkeep-doorman.socket active
}
a_credential_that_was_tampered_with_starts_nothing() {
    local file=/etc/credstore.encrypted/tokenkeep-root
    cp $file /test/away
    # One character in the middle of its text.
    python3 - $file <<'PYTHON'
import sys
text = open(sys.argv[1]).read()
at = len(text) // 2
at += text[at] == "\n"
open(sys.argv[1], "w").write(text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1:])
PYTHON
    systemctl restart tokenkeepd.service 2>/dev/null && fail 'it started' && return 1
    # systemd's own code: the program was not even begun.
    expect 243 property ExecMainStatus || return 1
    cp /test/away $file
    until_true is tokenkeepd.service active && expect 200 ask_as webapp $TOKEN
}
its_state_is_writable_and_nothing_else_and_every_trick_from_inside_is_refused() {
    local unit=/run/systemd/system/probe.service beyond
    systemd-run -q --unit=beyond -p WorkingDirectory=/test python3 -c '
import socket, time
one = socket.socket(socket.AF_UNIX)
one.bind("\0tokenkeep-beyond")
one.listen(8)
time.sleep(3600)'
    until_true grep -q tokenkeep-beyond /proc/net/unix || return 1
    beyond=$(systemctl show -P MainPID beyond.service)
    touch /test/others && chmod 600 /test/others
    # The daemon's own unit, with a program in its place that tries. Python is let be executed, and nothing else is changed.
    systemctl stop tokenkeepd.service
    systemctl cat tokenkeepd.service | sed -e "s#^ExecStart=.*#ExecStart=/usr/bin/python3 /test/probe.py $beyond#" -e 's#^Type=.*#Type=oneshot#' \
        -e '/^Sockets=/d' -e '/^WatchdogSec=/d' -e '/^Restart=/d' -e '/^ExecReload=/d' -e '/^LogNamespace=/d' \
        -e 's#^\(ExecPaths=.*\)#\1 /usr/bin/python3 /usr/bin/python3.11\nStandardOutput=truncate:/run/probe.out\nStandardError=truncate:/run/probe.err#' >$unit
    systemctl daemon-reload
    systemctl start probe.service || { cat /run/probe.err; return 1; }
    sed 's/^/  /' /run/probe.out
    # That an attempt succeeds where nothing forbids it: the same by an ordinary user.
    runuser -u other -- python3 /test/probe.py "$beyond" >/tmp/control.out 2>/dev/null
    systemctl stop beyond.service
    grep -qE '^[0-9]+ attempts, 0 succeeded$' /run/probe.out || return 1
    grep -qE '^[0-9]+ attempts, (1[5-9]|[2-9][0-9]) succeeded$' /tmp/control.out || fail "of an ordinary user: $(cat /tmp/control.out)" || return 1
    expect 200 ask_as webapp $TOKEN
}
what_root_itself_could_write_in_there_is_its_state() {
    local unit pid
    # Egress does not start where nothing asks for it.
    configure '"*"' $'[egress]\nsocket = "/run/tokenkeep-egress/egress.sock"'
    for unit in tokenkeepd tokenkeep-doorman tokenkeep-egress; do
        systemctl start $unit.service || return 1
        pid=$(systemctl show -P MainPID $unit.service)
        # Of what is mounted on a place, the last is what is there.
        python3 - "/proc/$pid" <<'PYTHON' >/tmp/writable || return 1
import os
import sys

for place in sorted({line.split()[4] for line in open(sys.argv[1] + "/mountinfo")}):
    try:
        if not os.statvfs(sys.argv[1] + "/root" + place).f_flag & os.ST_RDONLY:
            print(place)
    except OSError:
        pass
PYTHON
        # Devices, each of which does no harm, are no files; of /proc and /sys the kernel has its own rules; /run/host is
        # the container's.
        grep -vE '^(/proc(/.*)?|/sys(/.*)?|/dev(/(pts|console|full|null|random|tty|urandom|zero))?|/run/credentials/.*|/run/host/.*)$' /tmp/writable >/tmp/beyond
        # systemd 252 leaves what may be executed (ExecPaths=) writable for root, whom the files in it belong to.
        sed -i -E '\#^/usr/(bin/(tokenkeep[a-z-]*|kill)|lib|lib64|lib32|libx32)$#d' /tmp/beyond
        [ $unit != tokenkeepd ] || sed -i '\#^/var/lib/tokenkeep$#d' /tmp/beyond
        [ ! -s /tmp/beyond ] || fail "$unit: $(tr '\n' ' ' </tmp/beyond)" || return 1
    done
    configure '"*"'
}
a_crash_leaves_nothing_in_any_journal_and_no_core() {
    local signal pid at=0 needles=/tmp/needles found=/tmp/found
    # That the search finds what is there: what another unit says, a long line, which the journal compresses, among it.
    echo control-of-the-search-1 >$needles
    systemd-run -q --wait --unit=talker python3 -c 'print("x" * 3000 + "control-of-the-search-1")'
    searched <$needles >$found
    [ -s $found ] || fail 'the search finds nothing' || return 1
    : >$needles
    for signal in SEGV ABRT BUS ILL FPE QUIT TRAP SYS; do
        at=$((at + 1))
        openssl rand -hex 24 >>$needles 2>/dev/null || python3 -c 'import secrets; print(secrets.token_hex(24))' >>$needles
        expect 201 ask_put /v1/orgs/acme/connections/github/crash$at "{\"access_token\":\"$(tail -1 $needles)\",\"expires_in\":3600}" || return 1
        expect 200 ask_as webapp ${TOKEN/main/crash$at} || return 1
        pid=$(property MainPID)
        until_true hit $signal "$pid" && until_true is tokenkeepd.service active && expect 200 ask_as webapp $TOKEN || return 1
    done
    # Into a file: a journal that is no longer listened to fails the pipe.
    journalctl -q -u tokenkeepd.service -o cat >/tmp/ends
    grep -o 'code=[a-z]*, status=[0-9]*/[A-Z]*' /tmp/ends | sort | uniq -c | sed 's/^/  /'
    ! grep -q 'code=dumped' /tmp/ends || fail 'systemd says that it dumped core' || return 1
    for signal in SEGV ABRT BUS ILL FPE QUIT TRAP SYS; do
        grep -q "code=killed, status=[0-9]*/$signal" /tmp/ends || fail "no crash by $signal" || return 1
    done
    # The root key as its text and as its bytes in hex.
    python3 - >>$needles <<'PYTHON'
import base64
for line in open("/test/root.key").read().split():
    print(line)
    print(base64.urlsafe_b64decode(line).hex())
PYTHON
    searched <$needles >$found
    [ ! -s $found ] || fail "$(wc -l <$found) lines of a journal, or cores: $(head -c 300 $found | tr -c '[:print:]' ' ')" || return 1
}
# Again until it falls: the first may only take a handler away.
hit() { kill -s "$1" "$2" 2>/dev/null; replaced "$2"; }
# Each journal as it reads and as it lies there, and every place of cores, for lines that have one of the texts of stdin.
searched() {
    local texts; texts=$(cat)
    journalctl --sync; journalctl --namespace=tokenkeep --sync
    {
        journalctl -q --all -o export; journalctl -q --all --namespace=tokenkeep -o export
        find /var/log /run/log /var/tmp /tmp/journal /var/lib/systemd/coredump -type f -exec cat {} + 2>/dev/null
    } | grep -aF -e "$texts"
    find / -xdev \( -name 'core' -o -name 'core.*' \) -type f -size +0 -not -path '/usr/*' -not -path '/proc/*' 2>/dev/null
}
no_core_and_no_capability() {
    local pid; pid=$(property MainPID)
    grep -q 'Max core file size *0 *0' "/proc/$pid/limits" && grep -q 'CapEff:.*0000000000000000' "/proc/$pid/status" &&
        grep -q 'Seccomp:.*2' "/proc/$pid/status" && grep -q 'NoNewPrivs:.*1' "/proc/$pid/status"
}
the_manual_and_the_completion_are_installed() {
    test -s /usr/share/man/man8/tokenkeepd.8 && test -s /usr/share/man/man8/tokenkeep-egress.8 && test -s /usr/share/man/man1/tokenkeep-key-rotate.1 &&
        bash -c 'source /usr/share/bash-completion/completions/tokenkeep && complete -p tokenkeep' >/dev/null
}

acts=(
    the_first_connect_to_each_socket_starts_the_daemon
    the_sockets_have_their_modes
    it_says_that_it_is_ready
    after_a_crash_the_next_connect_works
    ten_crashes_in_a_row_fail_no_socket
    a_reload_takes_a_new_configuration
    a_reload_of_a_broken_configuration_is_refused_and_the_old_one_stands
    a_stopped_process_is_killed_and_started_again
    a_committer_that_is_stuck_stops_the_feeding
    a_syncer_that_is_stuck_stops_the_feeding
    a_request_in_flight_is_answered_over_a_stop
    a_restart_under_load_drops_nobody
    the_log_is_in_a_namespace_of_seven_days
    a_client_is_bound_to_its_unit
    a_plain_credential_is_a_root_key_too
    without_its_root_key_it_does_not_start_and_says_why
    a_wrong_configuration_is_told_and_once_mended_whoever_waits_is_answered
    the_root_key_comes_through_egress_into_a_private_network
    without_a_private_network_it_connects_by_itself
    a_doorman_who_is_killed_is_there_for_the_next
    a_credential_that_was_tampered_with_starts_nothing
    its_state_is_writable_and_nothing_else_and_every_trick_from_inside_is_refused
    what_root_itself_could_write_in_there_is_its_state
    a_crash_leaves_nothing_in_any_journal_and_no_core
    no_core_and_no_capability
    the_manual_and_the_completion_are_installed
)
[ $# -eq 0 ] || acts=("$@")
prepare || { echo 'the container could not be prepared'; exit 1; }
failed=0 table=''
for act in "${acts[@]}"; do
    echo "- $act"
    began=$(date +%s.%N)
    if "$act"; then verdict=ok; else verdict=FAILED failed=$((failed + 1)); echo "  status: $(status)"; fi
    took=$(python3 -c "import time; print(f'{time.time() - $began:.1f}')")
    table+=$(printf '%-8s %6s s  %s' "$verdict" "$took" "${act//_/ }")$'\n'
done
printf '\n%s\n%s of %s\n' "$table" $((${#acts[@]} - failed)) ${#acts[@]}
if [ $failed -gt 0 ]; then
    journalctl -q --namespace=tokenkeep -n 40 --no-pager
    journalctl -q -u 'tokenkeep*' -n 60 --no-pager
fi
[ $failed -eq 0 ]
