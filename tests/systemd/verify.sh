#!/usr/bin/env bash
# The units, read by systemd itself: not a word of complaint, with the programs that were built. usage: verify.sh BIN_DIR
set -euo pipefail
programs=$(realpath "$1")
cd "$(dirname "$0")/../../systemd"

if ! command -v systemd-analyze >/dev/null; then
    echo 'NOT RUN: the units are not verified: systemd-analyze is not installed (apt-get install systemd)'
    exit 0
fi

room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
for unit in *.service *.socket; do
    sed "s#/usr/bin/tokenkeep#$programs/tokenkeep#g" "$unit" >"$room/$unit"
done
units=("$room"/*.service "$room"/*.socket)
[ ${#units[@]} -ge 4 ]

# That a fault would be found at all.
sed 's/^Type=notify$/Type=notfy/' "$room/tokenkeepd.service" >"$room/broken.service"
if said=$(systemd-analyze verify --man=no "$room/broken.service" 2>&1) && [ -z "$said" ]; then
    echo 'systemd-analyze verify finds nothing wrong with a unit that is wrong'
    exit 1
fi
rm "$room/broken.service"

said=$(systemd-analyze verify --man=no "${units[@]}" 2>&1) || { echo "$said"; exit 1; }
if [ -n "$said" ]; then
    echo "$said"
    exit 1
fi
said=$(systemd-sysusers --dry-run "$PWD/tokenkeep.sysusers.conf" 2>&1) || { echo "$said"; exit 1; }
echo "units: ${#units[@]} verified"

# As systemd rates them, from 10 (open) to 0 (shut): no worse than this.
rated() { # UNIT AT_MOST
    local rating
    rating=$(systemd-analyze security --offline=yes "$room/$1" | sed -n 's/.*Overall exposure level for [^:]*: \([0-9.]*\).*/\1/p')
    [ -n "$rating" ] || { echo "$1 has no rating"; return 1; }
    printf '%-28s %s (at most %s)\n' "$1" "$rating" "$2"
    awk "BEGIN { exit !($rating <= $2) }" || { echo "$1 is rated worse than $2"; return 1; }
}
rated tokenkeepd.service 0.2
rated tokenkeep-egress.service 1.1
rated tokenkeep-doorman.service 0.5
