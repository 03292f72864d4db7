//! What one incarnation of a leader leaves to the next.
//!
//! The bytes: [`MAGIC`], the attempt's text, the length of the path (two bytes, big-endian), the path, the credentials.

use std::fmt;

use crate::attempt::AttemptId;
use crate::backend::Credentials;

const MAGIC: &[u8] = b"leadership ticket 1\n";

/// The length of an attempt's text.
const ATTEMPT: usize = 32;

/// What resumes a [`Leadership`](crate::Leadership) after a restart of the process: the credentials of its session, and which
/// candidacy it is.
///
/// A secret: whoever has it can take the leadership, and everything else in the session. `Debug` does not show it. It stays the same for
/// all incarnations of one leadership.
#[derive(Clone, PartialEq, Eq)]
pub struct LeadershipTicket {
    credentials: Credentials,
    attempt: AttemptId,
    path: String,
}

/// The bytes are not those of a [`LeadershipTicket`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("these bytes are no leadership's ticket")]
pub struct ParseTicketError;

impl LeadershipTicket {
    pub(super) fn new(credentials: Credentials, attempt: AttemptId, path: &str) -> Self {
        Self { credentials, attempt, path: path.to_owned() }
    }

    /// What the [successor's coordinator](crate::CoordinatorBuilder::resume) is built with.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    pub(super) fn attempt(&self) -> AttemptId {
        self.attempt
    }

    /// The path of the election.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The secret itself, to be kept where only the successor can read it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let attempt = self.attempt.to_string();
        // Namespace and name are at most 255 bytes each, before they are escaped.
        let length = u16::try_from(self.path.len()).unwrap_or(u16::MAX).to_be_bytes();
        [MAGIC, attempt.as_bytes(), &length, self.path.as_bytes(), self.credentials.as_bytes()].concat()
    }

    /// Reads [`LeadershipTicket::to_bytes`] back.
    ///
    /// # Errors
    /// [`ParseTicketError`] if they are not of that form. Whether the ticket is still of use shows when it is used.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ParseTicketError> {
        let parse = || {
            let (attempt, rest) = bytes.strip_prefix(MAGIC)?.split_at_checked(ATTEMPT)?;
            let (length, rest) = rest.split_first_chunk::<2>()?;
            let (path, credentials) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
            Some(Self {
                credentials: Credentials::from_bytes(credentials),
                attempt: std::str::from_utf8(attempt).ok()?.parse().ok()?,
                path: std::str::from_utf8(path).ok()?.to_owned(),
            })
        };
        parse().ok_or(ParseTicketError)
    }
}

impl fmt::Debug for LeadershipTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LeadershipTicket(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempt::AttemptIds;

    #[test]
    fn bytes_read_back_and_nothing_else_is_accepted() {
        let attempt = AttemptIds::new().unwrap().next();
        let credentials = Credentials::from_bytes(*b"secret\0\xff");
        let ticket = LeadershipTicket::new(credentials, attempt, "a/elections/b%2Fc");
        let bytes = ticket.to_bytes();
        assert_eq!(LeadershipTicket::from_bytes(&bytes), Ok(ticket.clone()));
        assert_eq!(format!("{ticket:?}"), "LeadershipTicket(…)");
        let path_ends = bytes.len() - 8;
        for cut in 0..path_ends {
            assert_eq!(LeadershipTicket::from_bytes(&bytes[..cut]), Err(ParseTicketError), "{cut} bytes");
        }
        for at in [0, MAGIC.len(), MAGIC.len() + ATTEMPT] {
            let mut bad = bytes.clone();
            bad[at] = b'~';
            assert_eq!(LeadershipTicket::from_bytes(&bad), Err(ParseTicketError), "byte {at}");
        }
    }
}
