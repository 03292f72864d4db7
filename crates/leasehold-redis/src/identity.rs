//! Who a session is at the service.

use leasehold_core::{BackendError, BackendErrorKind, Credentials};

const ID_BYTES: usize = 16;

/// Who a session is: its id, a secret that proves it, and the incarnation that owns it.
///
/// The keys of the session hold [`Identity::text`]. Every script compares it, so an older incarnation changes nothing
/// more from the moment on that a newer one has taken over.
pub(crate) struct Identity {
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) text: String,
}

impl Identity {
    /// A session that was never there before.
    pub(crate) fn fresh() -> Result<Self, BackendError> {
        Self::incarnate(random_hex(ID_BYTES)?, random_hex(ID_BYTES)?)
    }

    /// A new incarnation of the session that these credentials are of.
    pub(crate) fn of(credentials: &Credentials) -> Result<Self, BackendError> {
        let sound = |part: &&str| part.len() == ID_BYTES * 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
        let parts = std::str::from_utf8(&credentials.0).ok().and_then(|text| text.split_once(':'));
        match parts.filter(|(id, secret)| sound(id) && sound(secret)) {
            Some((id, secret)) => Self::incarnate(id.to_owned(), secret.to_owned()),
            None => {
                let message = "these are no credentials of a session of Redis";
                Err(BackendError::new(BackendErrorKind::InvalidConfig, message))
            }
        }
    }

    fn incarnate(id: String, secret: String) -> Result<Self, BackendError> {
        let text = format!("{secret}.{}", random_hex(ID_BYTES)?);
        Ok(Self { id, secret, text })
    }

    pub(crate) fn credentials(&self) -> Credentials {
        Credentials(format!("{}:{}", self.id, self.secret).into())
    }
}

fn random_hex(bytes: usize) -> Result<String, BackendError> {
    let mut random = vec![0; bytes];
    getrandom::fill(&mut random).map_err(|error| {
        let message = "the operating system has no randomness to give";
        BackendError::new(BackendErrorKind::Unavailable, message).with_source(error)
    })?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_lead_to_the_same_session_and_another_incarnation() {
        let first = Identity::fresh().unwrap();
        let second = Identity::of(&first.credentials()).unwrap();
        assert_eq!((&first.id, &first.secret), (&second.id, &second.secret));
        assert_ne!(first.text, second.text);
        assert!(second.text.starts_with(&first.secret));
        for bad in ["", "anything", ":", &"0".repeat(65)] {
            let error = Identity::of(&Credentials(bad.to_owned().into())).map(drop).unwrap_err();
            assert_eq!(error.kind(), BackendErrorKind::InvalidConfig, "{bad}");
        }
    }
}
