#!/usr/bin/env bash
# The crates that are published, in the order in which they have to be: to be sourced.

# shellcheck disable=SC2034 # for whoever sources this
readonly published='leasehold-core leasehold-memory leasehold-tls leasehold-etcd leasehold-zookeeper leasehold-redis leasehold
    leasehold-testkit leasehold-postgres leasehold-cli'
