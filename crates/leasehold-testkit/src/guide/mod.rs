#![doc = include_str!("design.md")]
//!
//! # The server's side, whole
//!
//! ```sql
#![doc = include_str!("layout.sql")]
//! ```
//!
#![doc = include_str!("building.md")]
