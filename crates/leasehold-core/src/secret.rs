//! Passwords.

use std::fmt;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use crate::backend_error::{BackendError, BackendErrorKind};

/// Larger files hold something else.
const MAX_BYTES: u64 = 64 * 1024;

/// A password, which nothing shows: not its `Debug`, and no error that this library makes.
///
/// ```
/// use leasehold_core::Secret;
///
/// let secret = Secret::from("hunter2");
/// assert_eq!(format!("{secret:?}"), "Secret(…)");
/// assert_eq!(secret.expose(), "hunter2");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    /// From a file, without the line feed at its end. It is read once, now.
    ///
    /// # Errors
    /// `InvalidConfig`, naming the file, if it cannot be read, is empty, larger than 64 KiB, or no UTF-8.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, BackendError> {
        let path = path.as_ref();
        let refused = |why: &str| invalid(format!("the file {}, of a password, {why}", path.display()));
        let mut bytes = Vec::new();
        std::fs::File::open(path)
            .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
            .map_err(|error| refused(&format!("cannot be read: {error}")).with_source(error))?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(refused("is too large to be one"));
        }
        // The error would hold the bytes.
        let Ok(text) = std::str::from_utf8(&bytes) else { return Err(refused("is no UTF-8")) };
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        if text.is_empty() { Err(refused("is empty")) } else { Ok(Self::from(text)) }
    }

    /// From a variable of the environment.
    ///
    /// # Errors
    /// `InvalidConfig`, naming the variable, if it is not set, empty, or no UTF-8.
    pub fn from_env(name: &str) -> Result<Self, BackendError> {
        let refused = |why: &str| Err(invalid(format!("the variable {name:?}, of a password, {why}")));
        // No variable has such a name, and some systems' functions panic.
        if name.is_empty() || name.contains(['=', '\0']) {
            return refused("has a name that none can have");
        }
        match std::env::var_os(name).map(std::ffi::OsString::into_string) {
            None => refused("is not set"),
            Some(Err(_)) => refused("is no UTF-8"),
            Some(Ok(text)) if text.is_empty() => refused("is empty"),
            Some(Ok(text)) => Ok(Self::from(text)),
        }
    }

    /// The text, for whoever sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

fn invalid(message: String) -> BackendError {
    BackendError::new(BackendErrorKind::InvalidConfig, message)
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<&String> for Secret {
    fn from(text: &String) -> Self {
        Self(text.as_str().into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, bytes: &[u8]) -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("leasehold-secret-{}-{name}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        path
    }

    #[test]
    fn a_file_gives_its_text_without_the_last_line_feed() {
        for (name, bytes, text) in [
            ("a", &b"pass word\n"[..], "pass word"),
            ("b", b" x\n\n", " x\n"),
            ("c", b"y", "y"),
            ("d", b"z\r\n", "z"),
        ] {
            let path = file(name, bytes);
            assert_eq!(Secret::from_file(&path).unwrap().expose(), text);
            std::fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn a_file_that_holds_none_is_named_and_what_it_holds_is_not() {
        for (name, bytes, why) in [
            ("e", &b"\n"[..], "is empty"),
            ("f", b"hunter2\xff", "no UTF-8"),
            ("g", &[b'x'; 70_000], "too large"),
        ] {
            let path = file(name, bytes);
            let error = Secret::from_file(&path).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert_eq!(error.kind(), BackendErrorKind::InvalidConfig);
            assert!(shown.contains(why) && shown.contains(path.to_str().unwrap()), "{shown}");
            assert!(!shown.contains("hunter2"), "{shown}");
            std::fs::remove_file(path).unwrap();
        }
        for path in ["/nowhere/password", "/"] {
            let error = Secret::from_file(path).unwrap_err();
            assert!(error.to_string().contains("cannot be read"), "{error}");
        }
    }

    #[test]
    fn a_variable_gives_its_text_or_is_named() {
        assert_eq!(Secret::from_env("PATH").unwrap().expose(), std::env::var("PATH").unwrap());
        for name in ["LEASEHOLD_NO_SUCH_VARIABLE", "", "a=b", "a\0b"] {
            let error = Secret::from_env(name).unwrap_err();
            assert_eq!(error.kind(), BackendErrorKind::InvalidConfig);
            assert!(error.to_string().contains(&format!("{name:?}")), "{error}");
        }
    }
}
