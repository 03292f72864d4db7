//! The form of an endpoint.

use leasehold_core::{BackendError, BackendErrorKind};

/// Refuses what is not `host:port` or `[address]:port`. No endpoint that may hold a secret is repeated.
pub(crate) fn check(what: &str, endpoint: &str) -> Result<(), BackendError> {
    let invalid = |why: String| Err(BackendError::new(BackendErrorKind::InvalidConfig, why));
    if endpoint.contains('@') {
        return invalid(format!("the endpoint of {what} holds a user's name; give it beside the endpoint"));
    }
    match fault(endpoint) {
        Some(why) => invalid(format!("{endpoint:?} is no endpoint of {what}: {why}")),
        None => Ok(()),
    }
}

fn fault(endpoint: &str) -> Option<&'static str> {
    let Some((host, port)) = endpoint.rsplit_once(':') else { return Some("the port is missing") };
    if !port.bytes().all(|b| b.is_ascii_digit()) || !port.parse::<u16>().is_ok_and(|port| port != 0) {
        return Some("the port is no number of 1 to 65535");
    }
    let in_brackets = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let sound = match in_brackets {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
            !host.is_empty() && host.bytes().all(allowed)
        }
    };
    (!sound).then_some("the host is neither a name nor an address; IPv6 goes into brackets")
}

/// The endpoint of a host and a port as servers tell them, IPv6 without brackets.
pub(crate) fn join(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// The host of an endpoint, without brackets.
pub(crate) fn host(endpoint: &str) -> &str {
    let host = endpoint.rsplit_once(':').map_or(endpoint, |(host, _)| host);
    host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_checked_without_a_connection() {
        for good in ["localhost:6379", "10.0.0.1:6379", "[::1]:6379", "redis-0.redis.svc:1", "my_redis:65535"]
        {
            assert!(check("Redis", good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "localhost",
            "a:",
            "a:0",
            "a:65536",
            "a:+1",
            ":1",
            "::1:1",
            "a b:1",
            "redis://a:1",
            "a:1,b:2",
        ] {
            let error = check("Redis", bad).unwrap_err();
            assert_eq!(error.kind(), BackendErrorKind::InvalidConfig, "{bad}");
        }
        let error = check("Redis", "app:hunter2@a:1").unwrap_err();
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }

    #[test]
    fn hosts_and_ports_are_put_together_and_taken_apart() {
        for (host_of, port, endpoint) in
            [("::1", 7, "[::1]:7"), ("10.0.0.1", 7, "10.0.0.1:7"), ("a", 1, "a:1")]
        {
            assert_eq!(join(host_of, port), endpoint);
            assert_eq!(host(endpoint), host_of);
        }
    }
}
