//! The resource behind the locks: registers with fences, in a process of their own.
//!
//! Requests and answers are lines of JSON over a Unix socket, one answer a request, in their order.

mod client;
mod log;
mod server;

use leasehold_core::FencingToken;
use serde::{Deserialize, Serialize};

pub use client::ResourceClient;
pub use log::{LogLine, cross_check};
pub use server::serve;

/// What is asked of the resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Request {
    /// Reads a register.
    Read {
        /// Which.
        register: String,
        /// The token of the hold, as text.
        token: String,
        /// Whether the hold is shared with others.
        shared: bool,
    },
    /// Replaces the value of a register.
    Write {
        /// Which.
        register: String,
        /// The token of the hold, as text.
        token: String,
        /// The new value.
        value: u64,
    },
    /// All registers, without a token: for the judge.
    Inspect,
}

/// What the resource answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// The access was accepted.
    Accepted {
        /// How many writes the register has accepted.
        version: u64,
        /// Its value.
        value: u64,
    },
    /// The access was rejected: the register has seen a higher token.
    Stale {
        /// Which, as text.
        highest: String,
    },
    /// All registers: the name, the version and the value.
    Registers {
        /// In the order of the names.
        all: Vec<(String, u64, u64)>,
    },
    /// It is no request.
    Unreadable {
        /// Why.
        why: String,
    },
}

pub(crate) fn token(text: &str) -> Result<FencingToken, String> {
    text.parse().map_err(|error| format!("{text:?}: {error}"))
}
