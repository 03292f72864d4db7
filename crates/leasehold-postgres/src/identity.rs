//! Who a session is at the service.

use leasehold_core::{BackendError, BackendErrorKind, Credentials};

const BYTES: usize = 16;

/// What the credentials of a session of PostgreSQL begin with; the session's id and the secret follow.
const CREDENTIALS: &[u8] = b"leasehold postgres 1\0";

/// Who a session is: its id, a secret that proves it, and the incarnation that owns it.
pub(crate) struct Identity {
    pub(crate) id: String,
    pub(crate) secret: [u8; BYTES],
    pub(crate) incarnation: String,
    id_bytes: [u8; BYTES],
}

impl Identity {
    /// A session that was never there before.
    pub(crate) fn fresh() -> Result<Self, BackendError> {
        Self::incarnate(random()?, random()?)
    }

    /// A new incarnation of the session that these credentials are of.
    pub(crate) fn of(credentials: &Credentials) -> Result<Self, BackendError> {
        let parts = credentials.as_bytes().strip_prefix(CREDENTIALS).and_then(|rest| {
            let (id, secret) = rest.split_at_checked(BYTES)?;
            Some((id.try_into().ok()?, secret.try_into().ok()?))
        });
        let (id, secret) = parts.ok_or_else(|| {
            let message = "these are no credentials of a session of PostgreSQL";
            BackendError::new(BackendErrorKind::InvalidConfig, message)
        })?;
        Self::incarnate(id, secret)
    }

    fn incarnate(id_bytes: [u8; BYTES], secret: [u8; BYTES]) -> Result<Self, BackendError> {
        Ok(Self { id: hex(&id_bytes), secret, incarnation: fresh_text()?, id_bytes })
    }

    pub(crate) fn credentials(&self) -> Credentials {
        Credentials::from_bytes([CREDENTIALS, &self.id_bytes, &self.secret].concat())
    }
}

/// A text that nobody else has: of an incarnation, of a write.
pub(crate) fn fresh_text() -> Result<String, BackendError> {
    Ok(hex(&random()?))
}

fn random() -> Result<[u8; BYTES], BackendError> {
    let mut random = [0; BYTES];
    getrandom::fill(&mut random).map_err(|error| {
        let message = "the operating system has no randomness to give";
        BackendError::new(BackendErrorKind::Unavailable, message).with_source(error)
    })?;
    Ok(random)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_lead_to_the_same_session_and_another_incarnation() {
        let first = Identity::fresh().unwrap();
        let second = Identity::of(&first.credentials()).unwrap();
        assert_eq!((&first.id, first.secret), (&second.id, second.secret));
        assert_ne!(first.incarnation, second.incarnation);
        assert_eq!(second.credentials(), first.credentials());
    }

    #[test]
    fn bytes_of_another_form_are_refused() {
        let good = Identity::fresh().unwrap().credentials().as_bytes().to_vec();
        let mut longer = good.clone();
        longer.push(0);
        for bytes in [vec![], b"leasehold redis 1\0".to_vec(), good[..good.len() - 1].to_vec(), longer] {
            let refused = Identity::of(&Credentials::from_bytes(bytes)).err().unwrap();
            assert_eq!(refused.kind(), BackendErrorKind::InvalidConfig);
        }
    }
}
