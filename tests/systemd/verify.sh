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
    sed "s#/usr/bin/tokenkeepd#$programs/tokenkeepd#" "$unit" >"$room/$unit"
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
echo "units: ${#units[@]} verified; $(systemd-analyze security --offline=yes "$room/tokenkeepd.service" | tail -1 | tr -d '→ ' | cut -c1-60)"
