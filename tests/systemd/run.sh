#!/usr/bin/env bash
# Boots a real systemd in a container, installs tokenkeep in it, and runs inside.sh there.
#   run.sh BIN_DIR [--where-possible] [ACT...]
# The first run makes a Debian below target/systemd; later ones put an overlay over it. Needs root. Where there can be no
# container at all, it fails; with --where-possible it says so and is content.
set -euo pipefail
programs=$(realpath "$1")
shift
impossible() { echo "no container: $*"; exit 1; }
if [ "${1:-}" = --where-possible ]; then
    shift
    impossible() { echo "NOT RUN: the units under a live systemd: $*"; exit 0; }
fi
cd "$(dirname "$0")/../.."
rooms=$PWD/target/systemd
base=$rooms/root run=$rooms/run

[ "$(id -u)" = 0 ] || impossible 'it takes root to boot one'
missing=()
need() { command -v "$1" >/dev/null || missing+=("$2"); }
need debootstrap debootstrap
need systemd-nspawn systemd-container
need openssl openssl
need pgrep procps
if [ ${#missing[@]} -gt 0 ]; then
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}"; } ||
        impossible "${missing[*]} cannot be installed"
fi

if [ ! -d "$base" ]; then
    rm -rf "$base.new"
    mkdir -p "$rooms"
    # From where this host has its packages.
    mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 'Component: main' | head -1)
    debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,curl,procps,python3 bookworm "$base.new" "$mirror" >"$rooms/debootstrap.log" 2>&1 ||
        { tail -5 "$rooms/debootstrap.log"; impossible 'debootstrap failed'; }
    mv "$base.new" "$base"
fi

end() {
    [ -z "${init:-}" ] || kill -s SIGRTMIN+4 "$init" 2>/dev/null || true
    for _ in $(seq 100); do
        [ -n "${nspawn:-}" ] && kill -0 "$nspawn" 2>/dev/null || break
        sleep 0.1
    done
    [ -z "${nspawn:-}" ] || kill -9 "$nspawn" 2>/dev/null || true
    umount -l "$run/root" 2>/dev/null || true
}
trap end EXIT

umount -l "$run/root" 2>/dev/null || true
rm -rf "$run"
mkdir -p "$run/upper" "$run/work" "$run/root"
mount -t overlay none -o "lowerdir=$base,upperdir=$run/upper,workdir=$run/work" "$run/root" ||
    impossible 'nothing can be mounted here'

# As a package would: programs, units, manual, completion.
make --no-print-directory install DESTDIR="$run/root" PREFIX=/usr PROGRAMS="$programs" >"$run/install.log"
mkdir -p "$run/root/test"
cp tests/systemd/{inside.sh,slow.py,hold.py,bao.py,probe.py} tests/daemon/root_key/openbao_stand_in.py "$run/root/test/"
(
    cd "$run/root/test"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=ca \
        -keyout ca.key -out ca.crt
    issue() { # NAME PURPOSE SAN
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" -keyout "$1.key" -out "$1.csr"
        printf 'extendedKeyUsage=%s\nsubjectAltName=%s\nkeyUsage=digitalSignature\n' "$2" "$3" |
            openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 1 -extfile /dev/stdin -out "$1.crt"
    }
    issue server serverAuth DNS:localhost
    issue web clientAuth URI:spiffe://example/web
) >"$run/openssl.log" 2>&1

# Beside nspawn's own filter, what the unit asks for.
SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 systemd-nspawn --register=no --keep-unit -q -D "$run/root" --boot --private-network \
    --system-call-filter='@memlock memfd_secret landlock_create_ruleset landlock_add_rule landlock_restrict_self @keyring bpf' --capability=CAP_NET_ADMIN,CAP_BPF,CAP_PERFMON \
    systemd.unit=multi-user.target </dev/null >"$run/boot.log" 2>&1 &
nspawn=$!
init='' state=''
for _ in $(seq 300); do
    init=$(pgrep -P "$nspawn" | head -1 || true)
    if [ -n "$init" ] && [ "$(cat "/proc/$init/comm" 2>/dev/null)" = systemd ]; then
        state=$(nsenter -t "$init" -a systemctl is-system-running 2>/dev/null || true)
        case $state in running | degraded) break ;; esac
    fi
    sleep 0.1
done
case $state in running | degraded) ;; *) tail -20 "$run/boot.log"; impossible "it does not boot (${state:-no systemd})" ;; esac
echo "systemd $(nsenter -t "$init" -a systemctl --version | head -1) runs in a container ($state)"
timeout 900 nsenter -t "$init" -a bash /test/inside.sh "$@"
