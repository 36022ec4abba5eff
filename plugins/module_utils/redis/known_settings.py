# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which type each setting has, which cannot be changed while Redis runs, which are secrets.

Compared with servers of three versions by a test. Booleans and numbers are not listed: the value
that the server shows tells. So are settings of modules and of later versions.
"""

from __future__ import annotations

from .values import (
    Boolean,
    Choice,
    Duration,
    EventFlags,
    Integer,
    Kind,
    Memory,
    MemoryOrPercent,
    OutputLimits,
    Save,
    Text,
    Words,
)

POLICIES = (
    "volatile-lru",
    "volatile-lfu",
    "volatile-lrm",
    "volatile-random",
    "volatile-ttl",
    "allkeys-lru",
    "allkeys-lfu",
    "allkeys-lrm",
    "allkeys-random",
    "noeviction",
)

_MEMORY = """
    active-defrag-ignore-bytes auto-aof-rewrite-min-size client-query-buffer-limit
    cluster-link-sendbuf-limit hash-max-listpack-value hash-max-ziplist-value
    hll-sparse-max-bytes maxmemory proto-max-bulk-len repl-backlog-size
    replica-full-sync-buffer-limit stream-node-max-bytes
    zset-max-listpack-value zset-max-ziplist-value
"""
_DURATIONS = {
    "s": """
        min-replicas-max-lag min-slaves-max-lag repl-backlog-ttl repl-diskless-sync-delay
        repl-ping-replica-period repl-ping-slave-period repl-timeout shutdown-timeout
        tcp-keepalive timeout tls-session-cache-timeout
    """,
    "ms": "busy-reply-threshold cluster-node-timeout latency-monitor-threshold lua-time-limit",
    "us": "slowlog-log-slower-than",
    "m": "lfu-decay-time",
}
_CHOICES = {
    "acl-pubsub-default": ("allchannels", "resetchannels"),
    "appendfsync": ("everysec", "always", "no"),
    "cluster-preferred-endpoint-type": ("ip", "hostname", "unknown-endpoint"),
    "loglevel": ("debug", "verbose", "notice", "warning", "nothing"),
    "maxmemory-policy": POLICIES,
    "oom-score-adj": ("no", "yes", "relative", "absolute"),
    "propagation-error-behavior": ("ignore", "panic", "panic-on-replicas"),
    "repl-diskless-load": ("disabled", "on-empty-db", "swapdb", "flush-before-load"),
    "sanitize-dump-payload": ("no", "yes", "clients"),
    "tls-auth-clients": ("no", "yes", "optional"),
}
# Texts that may look like a number or a yes; the empty text is a value of theirs.
_TEXTS = """
    bind-source-addr cluster-announce-hostname cluster-announce-human-nodename
    cluster-announce-ip dbfilename dir ignore-warnings locale-collate masteruser
    proc-title-template replica-announce-ip slave-announce-ip tls-ca-cert-dir tls-ca-cert-file
    tls-cert-file tls-ciphers tls-ciphersuites tls-client-cert-file tls-client-key-file
    tls-dh-params-file tls-key-file tls-protocols
"""
_WORDS = """
    bind latency-tracking-info-percentiles oom-score-adj-values shutdown-on-sigint
    shutdown-on-sigterm
"""

_SECRETS = """
    masterauth primaryauth requirepass sentinel-pass tls-client-key-file-pass tls-key-file-pass
"""

# What CONFIG SET refuses as immutable, or as unsupported before 7.0.
_IMMUTABLE = """
    aclfile always-show-logo aof-rewrite-cpulist aof_rewrite_cpulist appenddirname appendfilename
    bgsave-cpulist bgsave_cpulist bio-cpulist bio_cpulist cluster-config-file cluster-enabled
    cluster-port daemonize databases disable-thp enable-debug-command enable-module-command
    enable-protected-configs io-threads io-threads-do-reads logfile pidfile rdbchecksum replicaof
    server-cpulist server_cpulist set-proc-title slaveof socket-mark-id supervised syslog-enabled
    syslog-facility syslog-ident tcp-backlog unixsocket unixsocketperm
"""

SECRETS = frozenset(_SECRETS.split())
IMMUTABLE = frozenset(_IMMUTABLE.split())

KINDS: dict[str, Kind] = {
    "client-output-buffer-limit": OutputLimits(),
    "maxmemory-clients": MemoryOrPercent(),
    "notify-keyspace-events": EventFlags(),
    "save": Save(),
    **{name: Choice(words) for name, words in _CHOICES.items()},
    **{name: Memory() for name in _MEMORY.split()},
    **{name: Text() for name in _TEXTS.split()},
    **{name: Words() for name in _WORDS.split()},
    **{name: Duration(unit) for unit, names in _DURATIONS.items() for name in names.split()},
}
_MAY_BE_EMPTY = (EventFlags, Save, Text, Words)


def kind_of(name: str, current: str) -> Kind:
    """The type of a setting, by its name or by the value that a server shows."""
    if name in KINDS:
        return KINDS[name]
    if current in ("yes", "no"):
        return Boolean()
    return Integer() if current.lstrip("-").isdigit() else Text()


def may_be_empty(kind: Kind | None) -> bool:
    """Whether the empty text is a value of this type; where it is not, it means unset."""
    return isinstance(kind, _MAY_BE_EMPTY)
