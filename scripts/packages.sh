# shellcheck shell=sh disable=SC2034
# Which Debian packages a script needs, and how it gets them. Sourced by the scripts beside it. Where the name depends
# on the release, "old|new": whichever is installed, or that the archive has.

# To build the client and the provider.
build_packages="gcc libc6-dev cmake ninja-build pkg-config libssl-dev libp11-dev libp11-kit-dev
libcurl4-openssl-dev libcjson-dev libsqlite3-dev libinih-dev"

# To run them on a software token, and the sandbox CA.
run_packages="openssl softhsm2 python3 python3-cryptography"

# To test: frameworks, other people's token tools and tokens, observers.
test_packages="libcmocka-dev python3-pytest python3-jsonschema opensc gnutls-bin p11-kit p11-kit-modules swtpm swtpm-tools
libtpm2-pkcs11-1 libtss2-tcti-swtpm0|libtss2-tcti-swtpm0t64 libnss3 libnss3-tools opencryptoki
openjdk-17-jre-headless|openjdk-21-jre-headless knot bind9-dnsutils uacme jq strace gdb valgrind procps mandoc git
squid dehydrated dehydrated-hook-ddns-tsig|dehydrated python3-certbot pebble time"

# Programs of others that use token keys in the tests. apache2-bin is httpd without its service.
consumer_packages="curl nginx apache2-bin haproxy stunnel4"

# The peer in the benchmarks.
bench_packages="libengine-pkcs11-openssl"

# To check sources.
check_packages="clang clang-format clang-tidy libclang-rt-14-dev|libclang-rt-dev cppcheck shellcheck pyflakes3"

# The machine's own locale must not translate what scripts read, nor its TLS settings reach the tests.
export LC_ALL=C.UTF-8

say() {
    printf '%s\n' "$*"
}

fail() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

is_installed() {
    dpkg-query -W -f='${db:Status-Abbrev}' "$1" 2>/dev/null | grep -q '^ii'
}

in_archive() {
    apt-cache policy "$1" 2>/dev/null | grep -q 'Candidate: [^(]'
}

# Prints the name of "old|new" that a test holds for, or else the first.
name_that() {
    for name in $(printf '%s' "$2" | tr '|' ' '); do
        if "$1" "$name"; then
            printf '%s' "$name"
            return 0
        fi
    done
    printf '%s' "${2%%|*}"
}

# Prints those of the packages that are not installed, by the names that the archive has.
missing_packages() {
    for package in "$@"; do
        if ! is_installed "$(name_that is_installed "$package")"; then
            printf '%s ' "$(name_that in_archive "$package")"
        fi
    done
}

# Servers are wanted as programs: their packages start no service while this file is there (invoke-rc.d(8)). One that
# was there before, as in containers, stays as it is.
policy=/usr/sbin/policy-rc.d
policy_is_ours=0

# What an interrupted run left behind is ours as well.
forbid_services() {
    if [ -e "$policy" ] && ! grep -q 'p11enroll installs' "$policy"; then
        return 0
    fi
    trap 'allow_services; exit 130' INT TERM HUP
    policy_is_ours=1
    printf '#!/bin/sh\n# p11enroll installs what its tests need: remove this file if no such run goes on\nexit 101\n' >"$policy"
    chmod 755 "$policy"
}

allow_services() {
    if [ "$policy_is_ours" -eq 1 ]; then
        rm -f "$policy"
        trap - INT TERM HUP
    fi
    policy_is_ours=0
}

# Nor shall they start with the machine from now on. Only what we installed is touched.
disable_services() {
    command -v systemctl >/dev/null 2>&1 || return 0
    for pair in nginx:nginx haproxy:haproxy stunnel4:stunnel4 opencryptoki:pkcsslotd squid:squid knot:knot; do
        case " $* " in
        *" ${pair%%:*} "*) systemctl disable --quiet "${pair##*:}.service" >/dev/null 2>&1 || true ;;
        esac
    done
}

# Installs what is missing, or says what that is and ends.
ensure_packages() {
    command -v dpkg-query >/dev/null 2>&1 ||
        fail "this is no Debian system (there is no dpkg); install the equivalents of: $*"
    missing=$(missing_packages "$@")
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" -ne 0 ]; then
        fail "these packages are missing: $missing
  Run this script as root, or install them first: apt-get install --no-install-recommends $missing"
    fi
    command -v apt-get >/dev/null 2>&1 || fail "there is no apt-get to install: $missing"
    say "== installing: $missing"
    export DEBIAN_FRONTEND=noninteractive
    log=$(mktemp)
    forbid_services
    # shellcheck disable=SC2046 # a list of words, and only now can the names in the archive be told
    if ! { apt-get -q update && apt-get -q -y install --no-install-recommends $(missing_packages "$@"); } >"$log" 2>&1; then
        allow_services
        tail -n 20 "$log" >&2
        rm -f "$log"
        fail "installing these packages failed: $missing"
    fi
    allow_services
    # shellcheck disable=SC2086 # a list of words
    disable_services $missing
    rm -f "$log"
    missing=$(missing_packages "$@")
    [ -z "$missing" ] || fail "these packages are still missing after the installation: $missing"
}

# Prints the address that this machine takes Debian from.
debian_mirror() {
    # shellcheck disable=SC2016 # these are apt's own variables
    apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT)' 2>/dev/null |
        sed -n 's,^\([^ ]*/debian\)/* [a-z]* main$,\1,p' | head -n 1
}

# Runs a command and shows what it said only if it fails.
quietly() {
    log=$(mktemp)
    if "$@" >"$log" 2>&1; then
        rm -f "$log"
        return 0
    fi
    tail -n 60 "$log" >&2
    rm -f "$log"
    fail "this failed: $*"
}
