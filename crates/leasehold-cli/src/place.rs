//! Which lock: a name in the URL's namespace, or a path in the layout of another program's client.

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use leasehold::{Admin, Coordinator, Election, Error, Mutex, RwLock, Semaphore, WireProfile};

use crate::contender::Kind;

/// The profiles, as they are written.
const PROFILES: [&str; 3] = ["etcd-v3", "curator", "kazoo"];

/// Which lock.
#[derive(Debug, Clone, Args)]
pub(crate) struct Place {
    /// The name
    #[arg(required_unless_present = "path")]
    name: Option<String>,
    /// Instead of a name: a path of another program's, taken as it is; who is
    /// there is shown as at a mutex, where no recipe is said
    #[arg(long, value_name = "PATH", conflicts_with = "name", requires = "profile")]
    path: Option<String>,
    /// Whose layout is used at PATH: that of etcdctl and Go's client, of
    /// Curator, or of kazoo
    #[arg(long, requires = "path", value_parser = profile())]
    profile: Option<WireProfile>,
}

fn profile() -> impl TypedValueParser<Value = WireProfile> {
    PossibleValuesParser::new(PROFILES).try_map(|word| word.parse::<WireProfile>())
}

impl Place {
    /// As it was given.
    pub(crate) fn text(&self) -> &str {
        // One of them is there, which clap has seen to.
        self.path.as_deref().or(self.name.as_deref()).unwrap_or_default()
    }

    pub(crate) fn mutex(&self, coordinator: &Coordinator) -> Result<Mutex, Error> {
        match self.profile {
            Some(profile) => coordinator.at(profile, self.text()).mutex(),
            None => Ok(coordinator.mutex(self.text())),
        }
    }

    pub(crate) fn rw_lock(&self, coordinator: &Coordinator) -> Result<RwLock, Error> {
        match self.profile {
            Some(profile) => coordinator.at(profile, self.text()).rw_lock(),
            None => Ok(coordinator.rw_lock(self.text())),
        }
    }

    pub(crate) fn semaphore(&self, coordinator: &Coordinator, limit: u32) -> Result<Semaphore, Error> {
        match self.profile {
            Some(profile) => coordinator.at(profile, self.text()).semaphore(limit),
            None => Ok(coordinator.semaphore(self.text(), limit)),
        }
    }

    pub(crate) fn election(&self, coordinator: &Coordinator) -> Result<Election, Error> {
        match self.profile {
            Some(profile) => coordinator.at(profile, self.text()).election(),
            None => Ok(coordinator.election(self.text())),
        }
    }

    /// What sees queues of such places.
    pub(crate) fn admin(&self, coordinator: &Coordinator) -> Admin {
        match self.profile {
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
        assert_eq!(PROFILES.map(str::to_owned), WireProfile::ALL.map(|profile| profile.to_string()));
    }
}
