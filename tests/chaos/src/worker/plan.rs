use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::service::ServiceKind;

/// What a worker process does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerPlan {
    /// What the process is called in the history. Another life of it has another name.
    pub process: String,
    /// The service.
    pub service: ServiceKind,
    /// Where the service is reached: through the proxies of this process.
    pub endpoints: Vec<String>,
    /// The namespace of the locks.
    pub namespace: String,
    /// The TTL of its sessions.
    pub ttl_ms: u64,
    /// How long a request may take.
    pub request_timeout_ms: u64,
    /// The recipes under test.
    pub recipes: Vec<Recipe>,
    /// How many names each recipe has.
    pub names: usize,
    /// How many sessions it has.
    pub sessions: usize,
    /// How many tasks each session serves.
    pub tasks: usize,
    /// The longest time between two accesses of a tenure.
    pub longest_rest_ms: u64,
    /// The longest time between two rounds of a task.
    pub longest_pause_ms: u64,
    /// Whether something is left behind of every round.
    pub leaks: bool,
    /// The socket of the resource.
    pub resource: PathBuf,
    /// The file of the history.
    pub history: PathBuf,
    /// The seed of the run.
    pub seed: u64,
}

/// A recipe that is tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Recipe {
    /// [`Mutex`](leasehold_core::Mutex)
    Mutex,
    /// [`RwLock`](leasehold_core::RwLock)
    RwLock,
    /// [`Semaphore`](leasehold_core::Semaphore)
    Semaphore,
    /// [`Election`](leasehold_core::Election)
    Election,
}

impl Recipe {
    /// All of them.
    pub const ALL: [Recipe; 4] = [Recipe::Mutex, Recipe::RwLock, Recipe::Semaphore, Recipe::Election];

    /// As it is called on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Recipe::Mutex => "mutex",
            Recipe::RwLock => "rw-lock",
            Recipe::Semaphore => "semaphore",
            Recipe::Election => "election",
        }
    }
}

impl FromStr for Recipe {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Recipe::ALL.into_iter().find(|recipe| recipe.name() == text);
        found
            .ok_or_else(|| format!("{text:?} is no recipe; there are mutex, rw-lock, semaphore and election"))
    }
}
