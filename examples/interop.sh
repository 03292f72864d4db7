#!/usr/bin/env bash
# `leasehold run` and `etcdctl lock` take turns on one lock of etcd, while `leasehold who` shows the queue; then the same command works over
# Redis, and `leasehold doctor` says what is promised no longer. It fails unless what it prints is so:
#
#     cargo build --package leasehold-cli
#     ci/with-servers.sh examples/interop.sh target/debug/leasehold
set -euo pipefail

leasehold=${1:?usage: examples/interop.sh LEASEHOLD, with LEASEHOLD_ETCD_URL and LEASEHOLD_REDIS_URL in the environment}
etcd=${LEASEHOLD_ETCD_URL:?a URL of etcd, as ci/with-servers.sh gives it}
redis=${LEASEHOLD_REDIS_URL:?a URL of Redis, as ci/with-servers.sh gives it}
command -v etcdctl >/dev/null || { echo "there is no etcdctl (Debian package etcd-client)" >&2; exit 1; }

# What any step may take, in seconds.
readonly patience=30
path=/interop/$$
dir=$(mktemp -d)
groups=()

# Each job is a process group of its own, so that no command outlives the script, whatever it has started.
set -m
cleanup() {
    local group
    for group in "${groups[@]}"; do
        kill -KILL -- "-$group" 2>/dev/null || true
    done
    rm -rf "$dir"
}
trap cleanup EXIT

fail() {
    echo "interop: $*" >&2
    exit 1
}

# in_background COMMAND [ARGUMENT...]: its process id is in $!.
in_background() {
    timeout "$patience" "$@" </dev/null &
    groups+=("$!")
}

# until_so CONDITION...: fails if it never is.
until_so() {
    local deadline=$((SECONDS + patience))
    until "$@"; do
        [ "$SECONDS" -lt "$deadline" ] || fail "it never came to this: $*"
        sleep 0.05
    done
}

ours() { timeout "$patience" "$leasehold" --url "$etcd" "$@"; }
place=(--path "$path" --profile etcd-v3)
# etcdctl wants the endpoint alone.
theirs=(etcdctl --endpoints "${etcd#etcd://}")
export ETCDCTL_API=3

# queue COUNT HOLDERS: whether so many are in the queue, and so many of them hold.
queue() {
    local told
    told=$(ours who "${place[@]}" --json | tr '{' '\n')
    [ "$(grep -c '"place":' <<<"$told")" -eq "$1" ] && [ "$(grep -c '"holds":true' <<<"$told")" -eq "$2" ]
}

# One turn: nobody may be inside, and whoever is writes into the log.
cat >"$dir/turn" <<'TURN'
mkdir "$1/inside" || exit 9
echo "$2" >>"$1/log"
[ "$3" = - ] || until [ -e "$1/$3" ]; do sleep 0.05; done
sleep 0.1
rmdir "$1/inside"
TURN
turn() { printf '%s\n' sh "$dir/turn" "$dir" "$@"; }

echo "-- leasehold holds the lock $path of etcd, and etcdctl waits behind it"
mapfile -t held < <(turn leasehold go-1)
in_background "$leasehold" --url "$etcd" run "${place[@]}" -- "${held[@]}"
until_so queue 1 1
mapfile -t held < <(turn etcdctl go-2)
in_background "${theirs[@]}" lock "$path" -- "${held[@]}"
until_so queue 2 1
ours who "${place[@]}"

echo "-- etcdctl holds it, and leasehold waits"
touch "$dir/go-1"
until_so grep -q etcdctl "$dir/log"
mapfile -t held < <(turn leasehold -)
in_background "$leasehold" --url "$etcd" run "${place[@]}" -- "${held[@]}"
until_so queue 2 1
ours who "${place[@]}"
status=0
ours run "${place[@]}" --no-wait -- true 2>"$dir/told" || status=$?
[ "$status" -eq 75 ] || fail "a third that does not wait ends with $status, not 75"
echo "a third that does not wait ends with 75: $(cat "$dir/told")"

echo "-- both go on, three more turns each"
touch "$dir/go-2"
for _ in 1 2 3; do
    mapfile -t held < <(turn leasehold -)
    in_background "$leasehold" --url "$etcd" run "${place[@]}" -- "${held[@]}"
    mapfile -t held < <(turn etcdctl -)
    in_background "${theirs[@]}" lock "$path" -- "${held[@]}"
done
for group in "${groups[@]}"; do
    # A turn that found another inside fails.
    wait "$group" || fail "a turn ended with $?"
done
ours who "${place[@]}" | grep -q nobody || fail "somebody is left in the queue"
for who in leasehold etcdctl; do
    count=$(grep -c "^$who\$" "$dir/log" || true)
    echo "$who had it $count times, and never both at once"
done
[ "$(head -3 "$dir/log" | tr '\n' ' ')" = 'leasehold etcdctl leasehold ' ] || fail "the turns were not in the order of the queue"
[ "$(wc -l <"$dir/log")" -eq 9 ] || fail "there were $(wc -l <"$dir/log") turns, not 9"

echo "-- the same command over Redis: another URL, and a name in the place of the path"
for url in "$etcd" "$redis"; do
    # shellcheck disable=SC2016 # they are the inner shell's
    timeout "$patience" "$leasehold" --url "$url" run interop -- \
        sh -c 'echo "${1%%:*}: under the token $LEASEHOLD_TOKEN"' sh "$url"
done

# What the doctor finds in the promises of a service.
weaknesses() {
    timeout "$patience" "$leasehold" --url "$1" doctor --json |
        sed -n '/"check":"promises"/s/.*"what":"\([^"]*\)".*/\1/p'
}
weaknesses "$etcd" >"$dir/etcd"
weaknesses "$redis" >"$dir/redis"
[ ! -s "$dir/etcd" ] || fail "of etcd too is said: $(cat "$dir/etcd")"
[ -s "$dir/redis" ] || fail "nothing is said of Redis"
echo "what etcd promises and Redis does not:"
sed 's/^/  /' "$dir/redis"
