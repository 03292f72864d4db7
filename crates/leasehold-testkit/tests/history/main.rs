//! The checker of histories, checked: what it must accept, what it must reject and for which reason.

mod broken;
mod fences;
mod generator;
mod linearizability;
mod lines;
mod mutations;
mod scale;
mod script;
mod valid;
