//! Who a session is at the service.

use leasehold_core::{BackendError, BackendErrorKind, Credentials};

const ID_BYTES: usize = 16;

/// What the credentials of a session of Redis begin with; the session's id and the secret follow.
const CREDENTIALS: &[u8] = b"leasehold redis 1\0";

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
        let parts =
            credentials.as_bytes().strip_prefix(CREDENTIALS).filter(|rest| rest.len() == 2 * ID_BYTES);
        match parts.map(|rest| rest.split_at(ID_BYTES)) {
            Some((id, secret)) => Self::incarnate(hex(id), hex(secret)),
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
        Credentials::from_bytes([CREDENTIALS, &unhex(&self.id), &unhex(&self.secret)].concat())
    }
}

pub(crate) fn random_hex(bytes: usize) -> Result<String, BackendError> {
    let mut random = vec![0; bytes];
    getrandom::fill(&mut random).map_err(|error| {
        let message = "the operating system has no randomness to give";
        BackendError::new(BackendErrorKind::Unavailable, message).with_source(error)
    })?;
    Ok(hex(&random))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of what [`hex`] made.
fn unhex(text: &str) -> Vec<u8> {
    let digit = |digit: &u8| char::from(*digit).to_digit(16).unwrap_or_default() as u8;
    text.as_bytes().chunks(2).map(|pair| pair.iter().fold(0, |byte, at| byte << 4 | digit(at))).collect()
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
        assert_eq!(second.credentials(), first.credentials());
        for bad in ["", "anything", "leasehold redis 1\0", &"0".repeat(50)] {
            let error = Identity::of(&Credentials::from_bytes(bad.to_owned())).map(drop).unwrap_err();
            assert_eq!(error.kind(), BackendErrorKind::InvalidConfig, "{bad}");
        }
    }
}
