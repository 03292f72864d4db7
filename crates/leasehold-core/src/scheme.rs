//! From a URL to a backend.

use std::sync::Arc;

use crate::backend::LockBackend;
use crate::backend_error::BackendError;
use crate::service_url::ServiceUrl;

/// Makes the backends that the URLs of some schemes name.
///
/// Every backend brings one, those of this library too; `leasehold::Connector` asks it.
///
/// ```
/// use std::sync::Arc;
/// use leasehold_core::{BackendError, LockBackend, Scheme, ServiceUrl};
///
/// # use leasehold_core::{BackendErrorKind, Capabilities, OpenSession, Session};
/// # struct MyConfig;
/// # impl MyConfig {
/// #     fn new(_: Vec<String>) -> Self { Self }
/// #     fn user(self, _: &str, _: &str) -> Self { self }
/// #     fn tls(self, _: bool) -> Self { self }
/// # }
/// # #[derive(Debug)]
/// # struct MyBackend;
/// # impl MyBackend {
/// #     fn new(_: MyConfig) -> Result<Self, BackendError> { Ok(Self) }
/// # }
/// # #[async_trait::async_trait]
/// # impl LockBackend for MyBackend {
/// #     fn name(&self) -> &'static str { "mine" }
/// #     fn endpoint(&self) -> String { String::new() }
/// #     fn capabilities(&self) -> Capabilities { Capabilities::full(std::time::Duration::ZERO, 0) }
/// #     async fn open_session(&self, _: OpenSession) -> Result<Arc<dyn Session>, BackendError> {
/// #         Err(BackendError::new(BackendErrorKind::Unavailable, "nobody is there"))
/// #     }
/// # }
/// /// The scheme `mine://`.
/// #[derive(Debug, Clone, Copy)]
/// pub struct MyScheme;
///
/// impl Scheme for MyScheme {
///     fn names(&self) -> &'static [&'static str] {
///         &["mine"]
///     }
///
///     fn backend(&self, url: &mut ServiceUrl) -> Result<Arc<dyn LockBackend>, BackendError> {
///         let tls = url.take_flag("tls")?.unwrap_or(false); // mine://host?tls=true
///         let mut config = MyConfig::new(url.hosts_with_port(4711)?).tls(tls);
///         if let Some((user, password)) = url.user_and_password()? {
///             config = config.user(user, password);
///         }
///         Ok(Arc::new(MyBackend::new(config)?))
///     }
/// }
/// ```
pub trait Scheme: Send + Sync + std::fmt::Debug + 'static {
    /// The schemes, each a word of lower-case letters, digits, `+`, `-` and `.` that begins with a letter. The first one is what the
    /// service is called.
    fn names(&self) -> &'static [&'static str];

    /// The backend that the URL names. It connects to nothing yet.
    ///
    /// It takes the options that are its own out of the URL; what is left afterwards is an error. Namespace, TTL, time-outs and epoch are
    /// the coordinator's and are no business of the backend's.
    ///
    /// # Errors
    /// `InvalidConfig` where the URL cannot work, saying which part; never with a password in it.
    fn backend(&self, url: &mut ServiceUrl) -> Result<Arc<dyn LockBackend>, BackendError>;
}
