#!/usr/bin/env bash
# Installs the missing prerequisites of a build of SWOOSH; prints nothing if all are installed.
#
# RocksDB is C++ (compiler) and its bindings are generated with libclang; libgit2 uses the system's OpenSSL,
# found with pkg-config. Rust itself comes from rustup, which only its user should run.
#
# Arguments:
#   tests   strace (injects disk faults; without it those tests are skipped), prometheus with promtool (tests of dashboards
#           and alerts), PyYAML (a second YAML parser), jq (steps of pipelines), cryptography (signatures of the Python agent in docs/agents.md), packer,
#           chromium and npm (the console in a browser), and the toolchains of sdk/: Go, Node.js, Python's packages. Without all of them but strace, their tests fail and name
#           this script.
#   packer  packer alone, which builds images.
#   chaos   strace alone; without it, the chaos run reports those faults as skipped.
set -euo pipefail

has() { command -v "$1" >/dev/null 2>&1; }

has_libclang() {
    [ -n "${LIBCLANG_PATH:-}" ] && return 0
    ls /usr/lib/llvm-*/lib/libclang*.so* /usr/lib/*/libclang*.so* /usr/lib*/libclang*.so* >/dev/null 2>&1 && return 0
    local prefix
    prefix=$(llvm-config --libdir 2>/dev/null) && ls "$prefix"/libclang*.so* >/dev/null 2>&1
}

has_openssl() {
    [ -n "${OPENSSL_DIR:-}" ] || pkg-config --exists openssl >/dev/null 2>&1
}

missing=()
{ has cc && has c++; } || missing+=(build-essential)
has clang || missing+=(clang)
has_libclang || missing+=(libclang-dev)
has pkg-config || missing+=(pkg-config)
has_openssl || missing+=(libssl-dev)
has git || missing+=(git)
has curl || missing+=(curl)

if [ ${#missing[@]} -gt 0 ]; then
    if ! has apt-get; then
        echo "Building SWOOSH needs: ${missing[*]} (names of Debian packages)." >&2
        echo "There is no apt-get here to install them with; install them the way this system does, then try again." >&2
        exit 1
    fi
    as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        if ! has sudo; then
            echo "Building SWOOSH needs: ${missing[*]}. Neither root nor sudo is available here; as root, run:" >&2
            echo "  apt-get update && apt-get install --yes ${missing[*]}" >&2
            exit 1
        fi
        as_root=(sudo)
    fi
    echo "installing with apt-get: ${missing[*]}"
    ${as_root[@]+"${as_root[@]}"} apt-get update --quiet
    ${as_root[@]+"${as_root[@]}"} env DEBIAN_FRONTEND=noninteractive apt-get install --quiet --yes --no-install-recommends "${missing[@]}"
fi

# Installs one package for a part of the work, and prints its purpose. Returns false without a message if it cannot.
install_one() {
    has apt-get || return 1
    if [ "$(id -u)" -eq 0 ]; then as_root=(); elif has sudo; then as_root=(sudo --non-interactive); else as_root=(false); fi
    echo "installing with apt-get: $1, $2"
    ${as_root[@]+"${as_root[@]}"} apt-get update --quiet &&
        ${as_root[@]+"${as_root[@]}"} env DEBIAN_FRONTEND=noninteractive apt-get install --quiet --yes --no-install-recommends "$1"
}

if [ "${1:-}" = tests ] && has apt-get && ! has strace; then
    install_one strace "with which tests break the disk under a daemon" || echo "strace could not be installed; tests that break the disk under a daemon will be skipped" >&2
fi
if [ "${1:-}" = chaos ] && has apt-get; then
    has strace || install_one strace "which breaks the disk under a daemon" || echo "strace could not be installed; chaos reports those faults as skipped" >&2
fi

# A program named packer that is not the image builder (cracklib has one) does not count.
has_packer() { "${SWOOSH_PACKER:-packer}" version </dev/null 2>/dev/null | grep -q '^Packer v'; }
if { [ "${1:-}" = tests ] || [ "${1:-}" = packer ]; } && ! has_packer; then
    install_one packer "which builds images (the demo builds one)" || true
    if ! has_packer; then
        echo "packer could not be installed, and builds need it. Install 1.6.6 or later (Debian: apt-get install packer;" >&2
        echo "elsewhere: https://developer.hashicorp.com/packer/install), or let SWOOSH_PACKER name it, then try again." >&2
        [ "${1:-}" = tests ] || exit 1
    fi
fi

if [ "${1:-}" = tests ] && has apt-get && ! { has chromium || has chromium-browser || has google-chrome; }; then
    install_one chromium "with which the console is tried" || echo "chromium could not be installed; as root, run: apt-get install --yes chromium" >&2
fi
if [ "${1:-}" = tests ] && has apt-get && ! has npm; then
    install_one npm "which installs the libraries of the console's tests" || echo "npm could not be installed; as root, run: apt-get install --yes npm" >&2
fi

if [ "${1:-}" = tests ] && has apt-get && ! { has prometheus && has promtool; }; then
    install_one prometheus "with which dashboards and alerts are tried" ||
        echo "prometheus could not be installed; as root, run: apt-get install --yes prometheus" >&2
    # Its package starts a server of its own; nothing here needs one that runs for good.
    if has systemctl && [ -d /run/systemd/system ]; then
        ${as_root[@]+"${as_root[@]}"} systemctl disable --now prometheus >/dev/null 2>&1 || true
    fi
fi

has_pyyaml() { python3 -c "import yaml" >/dev/null 2>&1; }
if [ "${1:-}" = tests ] && has apt-get && ! has_pyyaml; then
    install_one python3-yaml "with which tests read every YAML file of the repository" ||
        echo "python3-yaml could not be installed; as root, run: apt-get install --yes python3-yaml" >&2
fi

if [ "${1:-}" = tests ] && has apt-get && ! has jq; then
    install_one jq "with which the steps of pipelines read documents" ||
        echo "jq could not be installed; as root, run: apt-get install --yes jq" >&2
fi

has_cryptography() { python3 -c "import cryptography.hazmat.primitives.asymmetric.ed25519" >/dev/null 2>&1; }
if [ "${1:-}" = tests ] && has apt-get && ! has_cryptography; then
    install_one python3-cryptography "with which the Python agent of docs/agents.md signs" ||
        echo "python3-cryptography could not be installed; as root, run: apt-get install --yes python3-cryptography" >&2
fi

# Release 20 is the first with the test runner and WebCrypto that the SDK uses.
has_node() { has node && [ "$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0)" -ge 20 ]; }

# The toolchains of sdk/. Node.js of other packagers brings npm along, and then refuses Debian's.
if [ "${1:-}" = tests ] && has apt-get; then
    has go || install_one golang-go "with which the Go SDK is tested" ||
        echo "golang-go could not be installed; as root, run: apt-get install --yes golang-go" >&2
    has_node || install_one nodejs "with which the JavaScript SDK is tested" && has_node ||
        echo "nodejs could not be installed (20 or later); as root, run: apt-get install --yes nodejs" >&2
    python3 -c "import ensurepip" >/dev/null 2>&1 || install_one python3-venv "with which the Python SDK is tested" ||
        echo "python3-venv could not be installed; as root, run: apt-get install --yes python3-venv" >&2
fi

# Python's packages for the tests of sdk/python, by their hashes, beside the build products. A changed list is installed again.
install_sdk_packages() {
    local home=$1 list
    list=$(dirname "$0")/../sdk/python/requirements-test.txt
    cmp --silent "$list" "$home/installed.txt" && return 0
    echo "installing Python packages for the tests of the SDK into $home"
    rm -rf "$home" && python3 -m venv "$home" &&
        "$home/bin/pip" install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r "$list" &&
        cp "$list" "$home/installed.txt"
}
if [ "${1:-}" = tests ]; then
    install_sdk_packages "${CARGO_TARGET_DIR:-$HOME/.cache/swoosh/target}/sdk-venv" ||
        echo "the packages of sdk/python/requirements-test.txt could not be installed; the tests of the Python SDK will fail" >&2
fi

if [ "${1:-}" = tests ] && has apt-get && ! has systemd-analyze; then
    install_one systemd "whose systemd-analyze checks the unit" ||
        echo "systemd-analyze could not be installed; the tests of the unit will be skipped" >&2
fi

if ! has cargo; then
    echo "Rust is missing. Install it from https://rustup.rs (Debian's own may be too old), open a new shell, and try again." >&2
    exit 1
fi
