//! What can be seen of a coordinator: each name of `leasehold::observe`, as a subscriber and a recorder get it, over the memory service and
//! its faults, on paused time. Each test has a thread of its own, to which subscriber and recorder belong, and drives the session on it.

mod alerts;
mod holds;
mod names;
mod recording;
mod sessions;
mod world;
