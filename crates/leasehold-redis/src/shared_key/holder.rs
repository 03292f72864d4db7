//! Who has a key, as far as the key tells, and taking it from that one.

use std::fmt;
use std::sync::LazyLock;
use std::time::Duration;

use leasehold_core::{BackendError, Error};
use redis::Script;

use super::claim::{REMOVE, done, expiry, no_lock};
use super::lock::SharedKeyLock;
use crate::error::{Effect, corrupt};
use crate::link::Call;

static LOOK: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/look.lua")));

/// What a key tells of its holder: that there is one, its token, and how long it has the key unless it renews it. The key does not tell
/// who that is, where and since when, nor whether anybody waits.
#[derive(Clone, PartialEq, Eq)]
pub struct SharedKeyHolder {
    token: Vec<u8>,
    expires_in: Option<Duration>,
}

impl SharedKeyHolder {
    /// The value of the key: bytes that the holder drew, another one's and another hold's differ.
    pub fn token(&self) -> &[u8] {
        &self.token
    }

    /// When the key expires unless it is renewed, as of the look; `None` if it does not expire.
    pub fn expires_in(&self) -> Option<Duration> {
        self.expires_in
    }
}

impl fmt::Debug for SharedKeyHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedKeyHolder")
            .field("token", &String::from_utf8_lossy(&self.token))
            .field("expires_in", &self.expires_in)
            .finish()
    }
}

impl SharedKeyLock {
    /// Who has the key now; `None` if nobody has. It may be over by the time that it is read.
    ///
    /// # Errors
    /// [`Unavailable`](leasehold_core::ErrorKind::Unavailable) if the server did not answer within the request time-out;
    /// [`Corrupt`](leasehold_core::ErrorKind::Corrupt), naming the key, if it is no lock but of another type;
    /// [`PermissionDenied`](leasehold_core::ErrorKind::PermissionDenied), … if the server refuses.
    ///
    /// # Cancel safety
    /// Dropping it changes nothing.
    pub async fn holder(&self) -> Result<Option<SharedKeyHolder>, Error> {
        self.on_driver("look", |lock| async move { look(&lock).await }).await
    }

    /// Takes the key from this holder, and answers whether it had the key still: never from the one after it.
    ///
    /// The holder learns of it at its next renewal, or as it releases (redis-py raises `LockNotOwnedError` then), and may go on working
    /// until then. There is no token by which a resource could reject it.
    ///
    /// # Errors
    /// As [`SharedKeyLock::holder`]; [`Indeterminate`](leasehold_core::ErrorKind::Indeterminate) if the removal was sent and not answered.
    ///
    /// # Cancel safety
    /// Once polled, it goes on whether or not the future is.
    pub async fn force_release(&self, holder: &SharedKeyHolder) -> Result<bool, Error> {
        let token = holder.token.clone();
        self.on_driver("force_release", |lock| async move { remove(&lock, &token).await }).await
    }

    /// The connection is the driver's, whose runtime outlives ours.
    async fn on_driver<T, F>(
        &self,
        operation: &'static str,
        request: impl FnOnce(Self) -> F,
    ) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, BackendError>> + Send + 'static,
    {
        match self.keys.driver.spawn(request(self.clone())).await {
            Ok(answer) => answer.map_err(|error| self.failed(operation, error)),
            Err(_) => Err(self.driver_gone(operation)),
        }
    }
}

async fn look(lock: &SharedKeyLock) -> Result<Option<SharedKeyHolder>, BackendError> {
    const WHAT: &str = "look at the key";
    let keys = [&*lock.key];
    let call = Call { what: WHAT, effect: Effect::Read, script: &LOOK, keys: &keys, args: &[] };
    let reply = lock.keys.link.run(&call).await?;
    match reply.as_slice() {
        [word] if word == b"free" => Ok(None),
        [word, kind] if word == b"other" => Err(no_lock(WHAT, &lock.key, kind)),
        [word, token, left] if word == b"held" => {
            let expires_in = expiry(left).ok_or_else(|| corrupt(WHAT))?;
            Ok(Some(SharedKeyHolder { token: token.clone(), expires_in }))
        }
        _ => Err(corrupt(WHAT)),
    }
}

async fn remove(lock: &SharedKeyLock, token: &[u8]) -> Result<bool, BackendError> {
    const WHAT: &str = "removal of the key";
    let (keys, args) = ([&*lock.key], [token]);
    let call = Call { what: WHAT, effect: Effect::Write, script: &REMOVE, keys: &keys, args: &args };
    done(WHAT, &lock.keys.link.run(&call).await?)
}
