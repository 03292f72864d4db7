//! A lock at a path of another program's.

use std::sync::Arc;

use crate::admin::Recipe;
use crate::coordinator::Coordinator;
use crate::election::Election;
use crate::error::{Error, ErrorKind};
use crate::mutex::Mutex;
use crate::name::KeyPath;
use crate::named::Named;
use crate::rw_lock::RwLock;
use crate::semaphore::Semaphore;
use crate::wire::{WireLayout, WireProfile};

const OPERATION: &str = "at";

/// A verbatim path and the client whose layout is used there; made by [`Coordinator::at`].
///
/// Its methods give the same recipes as the coordinator's own, with all that they promise of guards, tokens, deadlines and losses, but
/// over entries that the other client reads and writes, too. What is not the other client's way is refused: a leadership at such a path cannot
/// be [resumed](Election::resume), its entries do not say who made them, and nobody hears through them that it is
/// [asked to release](Mutex::ask_to_release).
///
/// One path is for one profile and one recipe. The path's own keeper decides which, and has to see to it that nobody uses another.
#[derive(Debug, Clone)]
pub struct WirePath {
    coordinator: Coordinator,
    profile: WireProfile,
    path: Arc<str>,
}

impl WirePath {
    /// The mutex of that path.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] if the backend does not speak the profile, or not for this recipe;
    /// [`ErrorKind::InvalidName`] if the profile has no such path, or the coordinator's own namespace is there.
    pub fn mutex(&self) -> Result<Mutex, Error> {
        Ok(Mutex::of(self.named(Recipe::Mutex, None)?))
    }

    /// The read/write lock of that path.
    ///
    /// # Errors
    /// As [`WirePath::mutex`].
    pub fn rw_lock(&self) -> Result<RwLock, Error> {
        Ok(RwLock::of(self.named(Recipe::RwLock, None)?))
    }

    /// The semaphore of that path with `limit` permits. The other client's contenders count as one permit each, of as many: what they believe
    /// the limit to be is not to be seen, and has to be the same.
    ///
    /// They take permits one by one, under a lock, and so do ours: more than one at once is [`ErrorKind::Unsupported`]. Who waits stands in
    /// line for that lock, first come first served. A try also comes to nothing while somebody else is at the entrance, who may be
    /// about to take one of several that are free.
    ///
    /// # Errors
    /// As [`WirePath::mutex`].
    pub fn semaphore(&self, limit: u32) -> Result<Semaphore, Error> {
        let permits = self.named(Recipe::Semaphore, Some(limit))?;
        let lock =
            self.profile.has_entrance(Recipe::Semaphore.kind()).then(|| self.entrance(Recipe::Semaphore));
        Ok(Semaphore::of(permits, lock.transpose()?, limit))
    }

    /// The election of that path. What is proclaimed is the entry's value, as the other client has it.
    ///
    /// # Errors
    /// As [`WirePath::mutex`].
    pub fn election(&self) -> Result<Election, Error> {
        Ok(Election::of(self.named(Recipe::Election, None)?))
    }

    pub(crate) fn named(&self, recipe: Recipe, limit: Option<u32>) -> Result<Named, Error> {
        let Self { coordinator, profile, path } = self;
        if !coordinator.capabilities().speaks(*profile, recipe) {
            let detail = format!("the backend has no {recipe} of the {profile} profile");
            let error = Error::new(ErrorKind::Unsupported, OPERATION, detail);
            return Err(error.with_name(path.clone()).with_backend(coordinator.backend_name()));
        }
        self.laid_out(WireLayout { limit, ..WireLayout::new(*profile, recipe.kind()) })
    }

    /// The lock under which the other client's contenders enter the queue.
    fn entrance(&self, recipe: Recipe) -> Result<Named, Error> {
        self.laid_out(WireLayout::new(self.profile, recipe.kind()).at_entrance())
    }

    fn laid_out(&self, layout: WireLayout) -> Result<Named, Error> {
        let Self { coordinator, path, .. } = self;
        let key = KeyPath::verbatim(coordinator.namespace(), layout, path).map_err(|objection| {
            let error = Error::new(ErrorKind::InvalidName, OPERATION, objection.to_string());
            error.with_name(path.clone()).with_backend(coordinator.backend_name()).with_source(objection)
        })?;
        Ok(Named::at(coordinator.clone(), path.clone(), key))
    }
}

impl Coordinator {
    /// A path in the layout of another client, to share a lock with programs that use that client. The path is taken as it is: the
    /// namespace is not put before it. It costs nothing; what cannot be used is reported when a recipe is asked for.
    ///
    /// What a backend speaks stands in [`Capabilities::wire`](crate::Capabilities::wire).
    ///
    /// ```
    /// use leasehold_core::{Coordinator, Error, WireProfile};
    ///
    /// # async fn example(coordinator: Coordinator) -> Result<(), Error> {
    /// // The same lock as that of `etcdctl lock /app/backup`.
    /// let guard = coordinator.at(WireProfile::EtcdV3, "/app/backup").mutex()?.lock().await?;
    /// // Its token's order is the revision that the other client calls its own.
    /// println!("under token {}", guard.fencing_token());
    /// guard.release().await?;
    /// # Ok(()) }
    /// ```
    pub fn at(&self, profile: WireProfile, path: impl AsRef<str>) -> WirePath {
        WirePath { coordinator: self.clone(), profile, path: path.as_ref().into() }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::admin::Released;
    use crate::fake::{Fake, raw};

    #[tokio::test]
    async fn what_cannot_be_shared_is_refused_with_profile_recipe_and_backend() {
        let coordinator = Fake::new().coordinator().await;
        let at = |profile, path| coordinator.at(profile, path);
        let refused = at(WireProfile::EtcdV3, "/app/lock").rw_lock().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unsupported);
        let line = r#"at "/app/lock" on fake: the backend has no read/write lock of the etcd-v3 profile"#;
        assert_eq!(refused.to_string(), line);
        let refused = at(WireProfile::Kazoo, "/a").mutex().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unsupported);
        let refused = at(WireProfile::EtcdV3, "leasehold/x").mutex().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidName);
        assert!(at(WireProfile::EtcdV3, "/app/lock").mutex().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn an_entry_says_what_the_other_client_reads_and_nothing_else() {
        let fake = Fake::new();
        let coordinator = fake.coordinator().await;
        let at = coordinator.at(WireProfile::EtcdV3, "/app/lock");
        let guard = at.mutex().unwrap().lock().await.unwrap();
        assert_eq!(fake.first().unwrap().value, Bytes::new());
        guard.release().await.unwrap();

        let election = at.election().unwrap();
        // It looks like an entry of ours that is being broken, and is what the application says.
        let proclaimed = "host=a&pid=1&since=1&purpose=&turn=9&broken=b";
        let leadership = election.campaign(proclaimed).await.unwrap();
        assert_eq!(fake.first().unwrap().value, proclaimed);
        let leader = election.leader().await.unwrap().unwrap();
        assert_eq!(leader.value(), proclaimed.as_bytes());
        assert_eq!(leader.fencing_token(), leadership.fencing_token());
        leadership.proclaim("b").await.unwrap();
        assert_eq!(fake.first().unwrap().value, "b");
        // Another one writes into it, after which the own entry is watched.
        fake.write(raw(b"host=a&pid=1&since=1&purpose=&broken=b"));
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        assert!(leadership.is_held());
        leadership.proclaim("c").await.unwrap();
        assert_eq!(fake.first().unwrap().value, "c");
        assert_eq!(leadership.ticket().unwrap_err().kind(), ErrorKind::Unsupported);
    }

    #[tokio::test]
    async fn administration_of_such_a_path() {
        let fake = Fake::new();
        let coordinator = fake.coordinator().await;
        let at = coordinator.at(WireProfile::EtcdV3, "/app/lock");
        let mutex = at.mutex().unwrap();
        let guard = mutex.lock().await.unwrap();
        let admin = coordinator.admin().of_profile(WireProfile::EtcdV3);
        let [contender] = &admin.contenders(Recipe::Mutex, "/app/lock").await.unwrap()[..] else { panic!() };
        assert!(contender.holds() && contender.details.is_none());
        let unsupported = |error: Error| assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        unsupported(mutex.ask_to_release("ops").await.unwrap_err());
        unsupported(admin.names(Recipe::Mutex, "").await.unwrap_err());
        unsupported(admin.contenders(Recipe::Semaphore, "/app/lock").await.unwrap_err());
        assert_eq!(mutex.force_release("ops").await.unwrap(), Released::ByForce);
        assert!(fake.first().is_none());
        drop(guard);
    }
}
