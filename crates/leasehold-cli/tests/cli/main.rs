//! The command itself, over real servers and on a terminal.

#![cfg(target_os = "linux")]

mod doctor;
mod elections;
mod limits;
mod papers;
mod redis_py;
mod services;
mod support;
mod terminal;
mod tty;
mod usage;
mod wire;
