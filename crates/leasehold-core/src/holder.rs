//! Who holds or waits: what people read beside an entry.

/// Information about a holder, kept in its entry for people and tools. It decides nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HolderInfo {
    /// The host's name.
    pub host: String,
    /// The process id.
    pub pid: u32,
    /// What the lock is used for, in the application's words; empty if it gave none.
    pub purpose: String,
}

impl HolderInfo {
    /// This process.
    pub fn this_process() -> Self {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Self { host, pid: std::process::id(), purpose: String::new() }
    }

    /// The same with a purpose.
    #[must_use]
    pub fn with_purpose(mut self, purpose: impl Into<String>) -> Self {
        self.purpose = purpose.into();
        self
    }
}
