//! What the examples share.

/// The URL of a service (`etcd`, `zookeeper`) that the environment names as `LEASEHOLD_<SERVICE>_URL`, as
/// `ci/with-servers.sh` does.
pub fn url_from_environment(service: &str) -> Option<String> {
    std::env::var(format!("LEASEHOLD_{}_URL", service.to_uppercase())).ok()
}
