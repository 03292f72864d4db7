//! The quorum lock over memory services: on paused time where a time matters, on several threads where chance does.
//!
//! Over real servers it is tested in `quorum_redis`.

mod asking;
mod cancelling;
mod contending;
mod fixture;
mod keeping;
mod losing;
