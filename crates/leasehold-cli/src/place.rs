//! Which lock: a name in the URL's namespace, or a path in the layout of another program's client.

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use leasehold::{Admin, Coordinator, Election, Error, Mutex, RwLock, Semaphore, WireProfile};

use crate::claim::Claim;
use crate::contender::Kind;
use crate::exit::Failure;

/// The profiles, as they are written.
const PROFILES: &[&str] = &[
    "etcd-v3",
    "curator",
    "kazoo",
    #[cfg(feature = "redis")]
    REDIS_PY,
];

/// The one that is no layout of a queue.
const REDIS_PY: &str = "redis-py";

/// Whose layout is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Profile {
    Queue(WireProfile),
    /// A key of Redis.
    Key,
}

/// Which lock.
#[derive(Debug, Clone, Args)]
pub(crate) struct Place {
    /// The name
    #[arg(required_unless_present = "path")]
    name: Option<String>,
    /// Instead of a name: a path or key of another program's, taken as it is;
    /// who is there is shown as at a mutex, where no recipe is said
    #[arg(long, value_name = "PATH", conflicts_with = "name", requires = "profile")]
    path: Option<String>,
    /// Whose layout is used at PATH: that of etcdctl and Go's client of etcd, of
    /// Curator or kazoo for ZooKeeper, or of redis-py for Redis. At a key of
    /// redis-py's there is one lock, without a queue and without tokens
    #[arg(long, requires = "path", value_parser = profile())]
    profile: Option<Profile>,
}

fn profile() -> impl TypedValueParser<Value = Profile> {
    PossibleValuesParser::new(PROFILES).try_map(|word| match word.as_str() {
        REDIS_PY => Ok(Profile::Key),
        _ => word.parse::<WireProfile>().map(Profile::Queue),
    })
}

impl Place {
    /// As it was given.
    pub(crate) fn text(&self) -> &str {
        // One of them is there, which clap has seen to.
        self.path.as_deref().or(self.name.as_deref()).unwrap_or_default()
    }

    /// Whether it is a key that is shared with redis-py.
    pub(crate) fn is_key(&self) -> bool {
        self.profile == Some(Profile::Key)
    }

    /// Whether this can be claimed there, as far as can be told without asking.
    pub(crate) fn takes(&self, claim: &Claim) -> Result<(), Failure> {
        if !self.is_key() || matches!(claim, Claim::Mutex) {
            return Ok(());
        }
        let what = claim.recipe();
        Err(self.lacks(&format!("a {what}"), "take one by its name, without --path and --profile"))
    }

    /// The recipe that is asked about, or an error if there is no such at the place.
    pub(crate) fn asks(&self, chosen: Option<Kind>) -> Result<(), Failure> {
        match chosen.filter(|_| self.is_key()) {
            None | Some(Kind::Mutex) => Ok(()),
            Some(kind) => Err(self.lacks(&format!("a {}", kind.recipe()), "leave --recipe out")),
        }
    }

    /// That a key of redis-py's has no such thing.
    pub(crate) fn lacks(&self, what: &str, instead: &str) -> Failure {
        let key = self.text();
        Failure::usage(format!("the key {key:?} of redis-py's is one lock and has not {what}; {instead}"))
    }

    /// The layout of the queue, if it is not ours.
    fn layout(&self) -> Option<WireProfile> {
        match self.profile {
            Some(Profile::Queue(profile)) => Some(profile),
            // A key is no queue, and whoever asks for one has looked.
            Some(Profile::Key) | None => None,
        }
    }

    pub(crate) fn mutex(&self, coordinator: &Coordinator) -> Result<Mutex, Error> {
        match self.layout() {
            Some(profile) => coordinator.at(profile, self.text()).mutex(),
            None => Ok(coordinator.mutex(self.text())),
        }
    }

    pub(crate) fn rw_lock(&self, coordinator: &Coordinator) -> Result<RwLock, Error> {
        match self.layout() {
            Some(profile) => coordinator.at(profile, self.text()).rw_lock(),
            None => Ok(coordinator.rw_lock(self.text())),
        }
    }

    pub(crate) fn semaphore(&self, coordinator: &Coordinator, limit: u32) -> Result<Semaphore, Error> {
        match self.layout() {
            Some(profile) => coordinator.at(profile, self.text()).semaphore(limit),
            None => Ok(coordinator.semaphore(self.text(), limit)),
        }
    }

    pub(crate) fn election(&self, coordinator: &Coordinator) -> Result<Election, Error> {
        match self.layout() {
            Some(profile) => coordinator.at(profile, self.text()).election(),
            None => Ok(coordinator.election(self.text())),
        }
    }

    /// What sees queues of such places.
    pub(crate) fn admin(&self, coordinator: &Coordinator) -> Admin {
        match self.layout() {
            Some(profile) => coordinator.admin().of_profile(profile),
            None => coordinator.admin(),
        }
    }

    /// The chosen recipe, or all that a name can be of. At a path they share one queue, so that it is the mutex's if none is chosen.
    pub(crate) fn kinds(&self, chosen: Option<Kind>) -> Vec<Kind> {
        match self.profile {
            Some(_) => vec![chosen.unwrap_or(Kind::Mutex)],
            None => Kind::or_all(chosen),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_can_be_written() {
        let queues = WireProfile::ALL.map(|profile| profile.to_string());
        assert_eq!(&PROFILES[..queues.len()], &queues);
        assert!(PROFILES[queues.len()..].iter().all(|word| *word == REDIS_PY));
    }
}
