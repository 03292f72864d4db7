//! What the backends of leasehold share of TLS: the [settings](Tls), the [handshake](Handshake), and what its
//! [errors](TlsFault) mean.
//!
//! Applications use [`Tls`] by way of the crate `leasehold`, or write it into a URL. The rest is for backends.
//!
//! # In URLs
//!
//! | option | is |
//! |---|---|
//! | `tls_ca` | a file with the certificates of the authorities to trust, instead of the system's |
//! | `tls_cert`, `tls_key` | files with the certificate that we show, its chain behind it, and with its key |
//! | `tls_server_name` | the name that the servers' certificates are for, where it is not the host of the URL |
//!
//! All files are PEM, and read once, when the backend is made.

mod fault;
mod handshake;
mod pem;
mod tls;

pub use fault::TlsFault;
pub use handshake::Handshake;
pub use tls::Tls;
#[doc(no_inline)]
pub use tokio_rustls::{client::TlsStream, rustls};
