//! The URLs of the backend.

use std::sync::Arc;

use leasehold_core::{BackendError, BackendErrorKind, LockBackend, Scheme, ServiceUrl};

use crate::backend::PostgresBackend;
use crate::config::PostgresConfig;

/// The schemes `postgres://` and `postgresql://`:
/// `postgres://USER:PASSWORD@HOST:PORT,HOST:PORT/NAMESPACE?database=app&synchronous_replicas=false`.
///
/// There is no TLS yet: an `sslmode` other than `disable` is refused.
#[derive(Debug, Clone, Copy, Default)]
pub struct PostgresScheme;

impl Scheme for PostgresScheme {
    fn names(&self) -> &'static [&'static str] {
        &["postgres", "postgresql"]
    }

    fn backend(&self, url: &mut ServiceUrl) -> Result<Arc<dyn LockBackend>, BackendError> {
        if let Some(mode) = url.take_option("sslmode").filter(|mode| mode != "disable") {
            let message =
                format!("sslmode={mode}: leasehold-postgres has no TLS and takes sslmode=disable only");
            return Err(BackendError::new(BackendErrorKind::InvalidConfig, message));
        }
        let database = url.take_option("database");
        let synchronous = url.take_flag("synchronous_replicas")?.unwrap_or(false);
        let mut config = PostgresConfig::new(url.hosts_with_port(5432)?).synchronous_replicas(synchronous);
        if let Some((user, password)) = url.user_and_password()? {
            config = config.user(user, password);
        }
        if let Some(database) = database {
            config = config.database(database);
        }
        Ok(Arc::new(PostgresBackend::new(config)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backend(text: &str) -> Result<Arc<dyn LockBackend>, BackendError> {
        let mut url = ServiceUrl::parse(text)?;
        let backend = PostgresScheme.backend(&mut url)?;
        url.finish()?;
        Ok(backend)
    }

    #[test]
    fn a_url_says_everything() {
        let text =
            "postgres://me:hush@a,b:7/team/prod?database=app&synchronous_replicas=true&sslmode=disable";
        let backend = backend(text).unwrap();
        assert_eq!(backend.endpoint(), "a:5432,b:7");
        assert!(backend.capabilities().durable_tokens);
        assert!(!format!("{backend:?}").contains("hush"));
    }

    #[test]
    fn what_would_be_in_the_clear_is_refused() {
        for mode in ["require", "prefer", "verify-full"] {
            let refused = backend(&format!("postgresql://me:hush@a/x?sslmode={mode}")).unwrap_err();
            assert_eq!(refused.kind(), BackendErrorKind::InvalidConfig);
            assert!(refused.to_string().contains(mode) && !refused.to_string().contains("hush"), "{refused}");
        }
    }

    #[test]
    fn what_is_unknown_is_refused() {
        for text in [
            "postgres://",
            "postgres://a?databse=x",
            "postgres://:hush@a",
            "postgres://a?synchronous_replicas=1",
        ] {
            assert_eq!(backend(text).unwrap_err().kind(), BackendErrorKind::InvalidConfig, "{text}");
        }
    }
}
